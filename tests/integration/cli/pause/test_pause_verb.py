"""`connection-guard pause` and `resume`, as people run them on a real server."""

from pathlib import Path

import pytest

from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import NEWEST
from tests.support.bootstrapping import bootstrap
from tests.support.cli.running import Ran, at_a_terminal, in_a_pipe
from tests.support.configurations import EXAMPLE_FILE
from tests.support.guarded import GUARD

PAUSING = "connection_guard_paused"


@pytest.fixture
def address(server: PostgresServer) -> str:
    assert bootstrap(server).returncode == 0
    return f"{server.host}:{server.port}"


def test_it_pauses_says_so_and_resumes(address: str, tmp_path: Path) -> None:
    access = ("orders", "--host", address, "--user", "postgres")
    why = ("--why", "load\ntest [bold]\x1b[2J", "--by", "alice")

    paused = at_a_terminal("pause", *access, "--for", "2h", *why, folder=tmp_path)

    assert paused.status == 0
    said = " ".join(paused.output.split())
    assert "orders is paused until 20" in said
    assert "UTC (alice: load test [bold]\ufffd[2J)." in said
    assert "It holds for every database of this server whose guard logs in as" in said
    assert f"connection-guard resume orders --host {address} --user postgres" in said

    again = in_a_pipe("pause", *access, "--by", "bob", folder=tmp_path)

    assert again.status == 0
    assert again.document == {
        "database": "orders",
        "paused": True,
        "until": None,
        "note": "bob",
        "was_paused": True,
        "roles": [GUARD],
        "resume": f"connection-guard resume orders --host {address} --user postgres",
    }

    resumed = [in_a_pipe("resume", *access, folder=tmp_path) for _ in range(2)]

    assert [(ran.status, ran.document["was_paused"]) for ran in resumed] == [(0, True), (0, False)]


def line_of(ran: Ran) -> str:
    """Return the only line that a mistake ends with."""
    assert (ran.status, ran.output) == (2, "")
    [line] = ran.errors.splitlines()
    return line


@NEWEST
def test_who_may_not_pause_gets_the_statement_in_a_line(address: str, tmp_path: Path) -> None:
    ran = in_a_pipe("pause", "orders", "--host", address, "--user", GUARD, folder=tmp_path)

    assert f'GRANT {PAUSING} TO "{GUARD}";' in line_of(ran)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--for", "soon"], '"soon" is not a duration'),
        (["--for", "31d"], 'write a duration from "1m" to "30d"'),
        (["--for", "-2h"], "out of range"),
        (["--why", "x" * 201], "--why has 201 characters"),
        (["--by", " "], "--by is empty"),
    ],
)
def test_a_mistake_is_a_line(arguments: list[str], line: str, tmp_path: Path) -> None:
    ran = in_a_pipe("pause", "orders", "--host", "127.0.0.1:1", *arguments, folder=tmp_path)

    assert line in line_of(ran)


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_the_database_has_to_be_named(verb: str, tmp_path: Path) -> None:
    ran = in_a_pipe(verb, "--guard", EXAMPLE_FILE, "--user", "postgres", folder=tmp_path)

    assert "name the database" in line_of(ran)
