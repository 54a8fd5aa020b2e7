"""`connection-guard audit`, as people and pipelines run it on a real server."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connection_guard.cli.audit.audit_verb import gather
from connection_guard.cli.audit.budget_section import services_above_budget
from connection_guard.configuration.services.service_tables import read_services
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import NEWEST
from tests.support.builders import a_policy
from tests.support.cli.live_database import an_access
from tests.support.cli.running import at_a_terminal, in_a_pipe
from tests.support.configurations import a_configuration
from tests.support.guarded import GUARD

HOSTILE = "\\|<img src=x>`[x](y)`|"
IDLE = """
SELECT bool_and(clock_timestamp() - state_change > '1 s')
FROM pg_stat_activity WHERE usename = 'app'
"""


@pytest.fixture
def access(database: PostgresServer) -> tuple[str, ...]:
    return ("orders", "--host", f"{database.host}:{database.port}", "--user", GUARD)


def rows_of(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    [section] = [each for each in document["sections"] if each["name"] == name]
    rows: list[dict[str, Any]] = section["rows"]
    return rows


def test_what_is_wrong_is_found_as_json_and_markdown(
    database: PostgresServer, access: tuple[str, ...], tmp_path: Path
) -> None:
    for name in ("cart", "cart", "", HOSTILE):
        database.connect("app", application_name=name)
    wait_until(lambda: database.execute(IDLE) == [(True,)])
    file = tmp_path / "audit.md"

    ran = in_a_pipe("audit", *access, "--idle-for", "1s", "--json", folder=tmp_path)

    assert (ran.status, ran.errors) == (1, "")
    found = ran.document
    assert found["database"] == "orders"
    idle = {
        row["application"]: row["sessions"]
        for row in rows_of(found, "long_idle_sessions")
        if row["role"] == "app"
    }
    assert idle == {"cart": 2, "": 1, HOSTILE: 1}
    assert [row["application"] for row in rows_of(found, "unused_pools")] == ["cart"]
    assert [row["role"] for row in rows_of(found, "unlimited_roles")] == ["app"]
    assert {row["role"] for row in rows_of(found, "missing_timeouts")} == {"app"}
    assert rows_of(found, "unnamed_sessions")[0]["sessions"] == 1
    assert rows_of(found, "unused_reserve") == []
    assert found["findings"] == sum(section["findings"] for section in found["sections"])

    ran = in_a_pipe("audit", *access, "--idle-for", "1s", "--output", file, folder=tmp_path)

    assert (ran.status, ran.output, ran.errors) == (1, "", "")
    page = file.read_text()
    assert page.startswith("# Connections of `orders`\n")
    assert "| `cart` | `app` | `127.0.0.1` | `idle` | 2 | " in page
    assert "ALTER ROLE \"app\" SET idle_session_timeout = '15min';" in page
    assert "| ``\\ \\|<img src=x>`[x](y)`\\|`` |" in page

    ran = at_a_terminal("audit", *access, folder=tmp_path, columns=90, lines=200)

    assert ran.status == 1
    assert "Roles without CONNECTION LIMIT" in ran.output
    assert "| --- |" not in ran.output


@NEWEST
def test_each_statement_ends_its_finding(
    database: PostgresServer, access: tuple[str, ...], tmp_path: Path
) -> None:
    """Run all of them, as an operator would; then nothing is found."""
    first = in_a_pipe("audit", *access, "--json", folder=tmp_path)
    assert first.status == 1
    for section in first.document["sections"]:
        for statement in section["statements"]:
            database.execute(statement)

    again = in_a_pipe("audit", *access, folder=tmp_path)

    assert (again.status, again.errors) == (0, "")
    assert again.output.count("| none |") == 8


@NEWEST
def test_services_of_guard_toml_are_held_against_what_is_open(database: PostgresServer) -> None:
    [cart, other] = read_services(
        [
            {"name": "cart", "database": "orders", "surge": 0, "pool_size": 1},
            {"name": "other", "database": "billing", "pool_size": 500},
        ],
        "guard.toml",
        ("orders", "billing"),
        [],
        {},
    )
    for _ in range(2):
        database.connect("app", application_name="cart-6d5f-x2")
    configured = replace(a_configuration(), services=(cart, other))
    access = replace(an_access(database, a_policy()), name="orders", configuration=configured)

    found = services_above_budget(gather(access, timedelta(hours=1)))

    assert found.rows == ({"service": "cart", "may_open": 1, "open_now": 2, "budget": 1},)


def test_the_page_of_limits_is_from_what_is_true(
    database: PostgresServer, access: tuple[str, ...], tmp_path: Path
) -> None:
    database.execute("CREATE ROLE mail LOGIN CONNECTION LIMIT 7")
    database.execute('CREATE DATABASE "a|b" CONNECTION LIMIT 12')
    version = database.connect().info.server_version // 10_000
    usable = 34 if version >= 16 else 37

    ran = in_a_pipe("audit", *access, "--limits-page", folder=tmp_path)

    assert (ran.status, ran.errors) == (0, "")
    assert ran.output.startswith("# Connection limits of `orders`\n")
    assert "| `max_connections` | 40 |" in ran.output
    assert f"| **usable by applications** | **{usable}** |" in ran.output
    assert f"Client number {usable + 1} is refused" in ran.output
    assert "| `mail` | role | 7 |" in ran.output
    assert "| `a\\|b` | database | 12 |" in ran.output
    assert "- At **warning**, Connection Guard reports what it would terminate" in ran.output
    assert "3. `stale idle` terminates sessions that are idle for 10 min" in ran.output

    figures = in_a_pipe("audit", *access, "--limits-page", "--json", folder=tmp_path).document
    assert (figures["usable"], figures["role_limits"]) == (usable, {"mail": 7})
    assert figures["warning_at"] == -(-usable * 75 // 100)


def test_a_role_that_sees_nothing_is_refused_with_the_grant(
    access: tuple[str, ...], tmp_path: Path
) -> None:
    ran = in_a_pipe("audit", *access, "--user", "app", folder=tmp_path)

    assert (ran.status, ran.output) == (2, "")
    [line] = ran.errors.splitlines()
    assert 'GRANT pg_read_all_stats TO "app";' in line


@NEWEST
def test_a_file_that_cannot_be_written_is_a_line(access: tuple[str, ...], tmp_path: Path) -> None:
    ran = in_a_pipe("audit", *access, "--output", tmp_path / "no" / "file.md", folder=tmp_path)

    assert (ran.status, ran.output) == (2, "")
    [line] = ran.errors.splitlines()
    assert line.endswith("file.md cannot be written: No such file or directory")
