"""`connection-guard top` at a terminal, on real servers."""

import signal
import threading
from pathlib import Path

from psycopg2.extensions import connection

from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import NEWEST
from tests.integration.responder.responder_actions import run
from tests.support.cli.live_database import at, idle_for_a_second, policy_file, wait_until_gone
from tests.support.cli.live_terminal import (
    ALTERNATE_SCREEN,
    ORDINARY_SCREEN,
    running_at_terminal,
)
from tests.support.cli.running import in_a_pipe
from tests.support.guarded import GUARD


def a_queue(database: PostgresServer) -> list[connection]:
    """Return three sessions that wait for a lock, one behind another, after the one that holds
    it.
    """
    database.execute("CREATE TABLE stock (id int); INSERT INTO stock VALUES (1)")
    database.execute("GRANT ALL ON stock TO app")
    holder = database.connect("app", application_name="forgetful")
    run(holder, "BEGIN; UPDATE stock SET id = 1")
    waiters = [database.connect("app", application_name="patient") for _ in range(3)]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    for number, waiter in enumerate(waiters, start=1):
        threading.Thread(target=run, args=(waiter, "UPDATE stock SET id = 1"), daemon=True).start()
        while database.execute(waiting) != [(number,)]:
            pass
    return [holder, *waiters]


def test_it_shows_what_happens_now_and_leaves_the_terminal_as_it_was(
    database: PostgresServer, tmp_path: Path
) -> None:
    clients = [database.connect("app", application_name="checkout") for _ in range(26)]
    idle_for_a_second(database)
    with running_at_terminal(
        "top", *at(database, "--policy", policy_file(tmp_path), "--every", "0.5"), columns=120
    ) as terminal:
        shown = terminal.wait_for("26 idle")
        assert "28 of 3" in shown, "with the observer and the guard"
        assert f"{clients[0].info.backend_pid}  go" in shown
        assert "stale idle: idle for" in shown
        assert "limits.keep_per_pool: among the most recently used" in shown
        assert not terminal.shows_typing

        database.connect("app", application_name="newcomer")
        assert "newcomer (app)" in terminal.wait_for("29 of 3")

        terminal.type("xq")
        assert terminal.status() == 0
        assert terminal.shows_typing
        assert terminal.written.count(ALTERNATE_SCREEN) == 1
        assert terminal.written.rstrip().endswith(ORDINARY_SCREEN)
    wait_until_gone(database)


@NEWEST
def test_it_shows_who_blocks_whom(database: PostgresServer) -> None:
    holder, first, *_ = a_queue(database)
    with running_at_terminal("top", *at(database)) as terminal:
        shown = terminal.wait_for("forgetful (app)")
        terminal.type("\x03")
        assert terminal.status() == 0
        assert terminal.shows_typing
        assert "interrupted" not in terminal.text

    rows = [line.split() for line in shown.splitlines() if "waits for" in line or "UPDATE" in line]
    assert [(row[0], row[3]) for row in rows] == [
        ("3", str(holder.info.backend_pid)),
        ("2", str(first.info.backend_pid)),
    ]
    document = in_a_pipe("top", *at(database)).document
    assert [(each["pid"], each["waiting"], each["depth"]) for each in document["blockers"]] == [
        (holder.info.backend_pid, 3, 0),
        (first.info.backend_pid, 2, 1),
    ]
    pools = {pool["application"]: pool for pool in document["pools"]}
    assert pools["patient"]["sessions"] == 3
    assert [each["state"] for each in pools["patient"]["states"]] == ["active"]
    assert pools["forgetful"]["states"][0]["state"] == "idle in transaction"
    run(holder, "COMMIT")


@NEWEST
def test_it_follows_the_terminal_from_wide_to_narrow(
    database: PostgresServer, tmp_path: Path
) -> None:
    [database.connect("app", application_name="checkout") for _ in range(26)]
    idle_for_a_second(database)
    with running_at_terminal(
        "top",
        *at(database, "--policy", policy_file(tmp_path), "--every", "60"),
        columns=140,
        lines=30,
    ) as terminal:
        assert "client" in terminal.wait_for("stale idle")
        terminal.resize(50, 20)
        # Cut off at 50 columns, the wide screen would not show the last column.
        narrow = terminal.wait_for("stale idle: ", seconds=20)
        assert all(len(line) <= 50 for line in narrow.splitlines())
        for text in ("28 of 3", "target 70 %", "checkout", "26 idle", "go"):
            assert text in narrow
        terminal.type("q")
        assert terminal.status() == 0


@NEWEST
def test_a_lost_connection_is_shown_and_opened_again(database: PostgresServer) -> None:
    with running_at_terminal("top", *at(database, "--every", "0.5")) as terminal:
        terminal.wait_for("connections in use")
        database.execute(f"ALTER ROLE {GUARD} NOLOGIN")
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (GUARD,)
        )
        lost = terminal.wait_for("connection lost, trying again")
        assert "connections in use" in lost, "the last look stays"
        terminal.wait_for("is not permitted to log in")
        database.execute(f"ALTER ROLE {GUARD} LOGIN")
        database.connect(application_name="newcomer")
        assert "connection lost" not in terminal.wait_for("newcomer")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.status() == 128 + signal.SIGTERM
        assert terminal.shows_typing
    wait_until_gone(database)


@NEWEST
def test_before_the_first_look_a_shut_door_is_one_line(database: PostgresServer) -> None:
    with running_at_terminal("top", *at(database, "--user", "nobody")) as terminal:
        assert terminal.status() == 2
        assert 'role "nobody" does not exist' in terminal.text
        assert ALTERNATE_SCREEN not in terminal.written


@NEWEST
def test_in_a_pipe_it_looks_once(database: PostgresServer, tmp_path: Path) -> None:
    policy = policy_file(tmp_path)

    top = in_a_pipe("top", *at(database, "--policy", policy))
    plan = in_a_pipe("plan", *at(database, "--policy", policy))

    assert (top.status, top.errors) == (0, "")
    assert set(top.document) == {*plan.document, "pools", "blockers"}
    assert sum(pool["sessions"] for pool in top.document["pools"]) == top.document["usage"]["used"]
