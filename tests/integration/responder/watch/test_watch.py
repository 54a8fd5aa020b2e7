"""A heartbeat that sees pressure keeps looking within its minute, and acts at once."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection

from connection_guard.core.database.door import Door
from connection_guard.core.policy import Mode, Tier
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from responder.respond import Responder
from tests.integration.conftest import NEWEST, OwnPostgres
from tests.integration.responder.responder_actions import sessions_of_app
from tests.integration.responder.watch.watching import (
    PRESSED,
    QUICK,
    SECONDS_OF_SHORT_WATCH,
    Run,
    has_the_turn,
    open_sessions,
    wait_for_looks,
    watching,
)
from tests.support.builders import (
    a_heartbeat_at,
    a_heartbeat_event,
    a_policy,
)
from tests.support.guarded import GUARD, Guarded, can_log_in, create_guard_role, fill


@pytest.fixture
def looks_of(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    """Return how many looks the latest run has logged."""
    caplog.set_level("INFO")
    return lambda: [record.looks for record in caplog.records if hasattr(record, "looks")][-1]


# Between two heartbeats


@NEWEST
def test_a_storm_after_the_first_look_is_ended_in_the_same_run(
    database: PostgresServer, looks_of: Callable[[], int]
) -> None:
    guard = watching(database)
    open_sessions(database, PRESSED)
    run = Run(guard, a_heartbeat_at(1))
    wait_for_looks(guard)
    assert not has_the_turn(database)

    fill(database, role="app")

    report = run.report()
    assert (report["kind"], report["recovered"], report["attempt"]) == ("remediation", True, 1)
    assert report["before"]["utilisation"] >= 90
    assert can_log_in(database)
    assert looks_of() > 3
    assert not has_the_turn(database)


@NEWEST
def test_a_database_that_is_full_at_the_first_look_is_freed_by_the_second(
    database: PostgresServer, looks_of: Callable[[], int]
) -> None:
    guard = watching(database)
    fill(database, role="app")

    report = guard.deliver(a_heartbeat_at(1))

    assert (report["kind"], looks_of()) == ("remediation", 2)


@pytest.mark.parametrize(
    ("sessions", "watch_from", "keeps"),
    [(PRESSED, 75, True), (5, 75, False), (5, 0, True), (PRESSED, 100, False)],
)
@NEWEST
def test_each_look_is_one_statement_and_quiet_times_have_one_look(
    database: PostgresServer,
    looks_of: Callable[[], int],
    capsys: pytest.CaptureFixture[str],
    sessions: int,
    watch_from: float,
    *,
    keeps: bool,
) -> None:
    guard = watching(database, watch_from=watch_from)
    statements = count_statements(guard)
    open_sessions(database, sessions)
    before, _ = len(statements), capsys.readouterr()

    report = guard.deliver(a_heartbeat_at(1), seconds_left=SECONDS_OF_SHORT_WATCH)

    assert report["kind"] == "heartbeat"
    assert (looks_of() > 1) is keeps
    assert len(statements) - before == looks_of()
    metrics = [line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert len(metrics) == (2 if keeps else 1), "the minute has its figures in time"


def count_statements(guard: Guarded) -> list[int]:
    """Let the guard log in anew, and return a list that has an item per statement of its own."""
    statements: list[int] = []

    class Counting(connection):
        def cursor(self, *args: Any, **options: Any) -> Any:
            statements.append(self.info.backend_pid)
            return super().cursor(*args, **options)

    def connect(door: Door) -> connection:
        return psycopg2.connect(
            host=door.host,
            port=door.port,
            user=door.role,
            dbname="postgres",
            async_=True,
            connection_factory=Counting,
        )

    guard.responder._doors.leave()
    guard.responder = Responder(guard.settings, a_policy(), connect, watch_times=QUICK)
    guard.deliver(a_heartbeat_event())
    return statements


@NEWEST
def test_a_recovery_is_reported_by_the_look_that_sees_it(database: PostgresServer) -> None:
    guard = watching(database, a_policy(refuse_above_percent=1))
    clients = fill(database, role="app")
    assert guard.deliver(a_heartbeat_at(1))["escalation"] is not None
    run = Run(guard, a_heartbeat_at(2))
    wait_for_looks(guard)

    for client in clients:
        client.close()

    report = run.report()
    assert (report["kind"], report["recovered"]) == ("observation", True)


@NEWEST
def test_a_run_with_little_time_left_ends_in_time(database: PostgresServer) -> None:
    guard = watching(database, a_policy(watch=timedelta(seconds=1)))
    open_sessions(database, PRESSED)
    deadline = time.monotonic() + 15

    report = guard.deliver(a_heartbeat_at(1), seconds_left=15)

    assert report["kind"] == "heartbeat"
    assert time.monotonic() < deadline - 8, "a round would have had its whole time"


@pytest.mark.parametrize("restraint", ["observing", "paused"])
@NEWEST
def test_a_guard_that_may_not_act_reports_the_shortage_and_ends_the_watch(
    database: PostgresServer, restraint: str
) -> None:
    modes = dict.fromkeys(Tier, Mode.OBSERVE if restraint == "observing" else Mode.ENFORCE)
    guard = watching(database, a_policy(modes=modes))
    if restraint == "paused":
        database.execute(
            f"CREATE ROLE connection_guard_paused; GRANT connection_guard_paused TO {GUARD}"
        )
    fill(database, role="app")
    pids = sessions_of_app(database)

    reports = [
        guard.deliver(a_heartbeat_at(minute), seconds_left=SECONDS_OF_SHORT_WATCH)
        for minute in (1, 2)
    ]

    # What only observes reports a shortage once; a pause ends without a new look at critical.
    assert [report["restraint"] for report in reports] == [
        restraint,
        None if restraint == "observing" else restraint,
    ]
    assert sessions_of_app(database) == pids


# What breaks between two looks


@NEWEST
def test_a_session_that_is_lost_between_two_looks_is_replaced(database: PostgresServer) -> None:
    guard = watching(database)
    open_sessions(database, PRESSED)
    run = Run(guard, a_heartbeat_at(1))
    wait_for_looks(guard)
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
    database.execute(query, (GUARD,))
    wait_for_looks(guard)

    fill(database, role="app")

    report = run.report()
    assert (report["kind"], report["reconnected"]) == ("remediation", 1)


@pytest.mark.parametrize("drop", ["NOLOGIN", "dropped"])
@NEWEST
def test_a_role_that_can_no_longer_log_in_is_reported_at_once(
    database: PostgresServer, drop: str
) -> None:
    guard = watching(database)
    open_sessions(database, PRESSED)
    run = Run(guard, a_heartbeat_at(1))
    wait_for_looks(guard)

    if drop == "dropped":
        database.execute(f"DROP OWNED BY {GUARD}; DROP ROLE {GUARD}")
    else:
        database.execute(f"ALTER ROLE {GUARD} NOLOGIN")
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        database.execute(query, (GUARD,))

    started = time.monotonic()
    report = run.report()
    assert report["kind"] == "locked_out"
    assert time.monotonic() < started + 25, "it does not look on until its time is up"
    assert report["before"] is None
    assert report["escalation"] is not None


def test_a_server_that_restarts_between_two_looks_is_looked_at_again(
    own_postgres: OwnPostgres,
) -> None:
    server = own_postgres()
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    guard = watching(server, watch_from=0)
    run = Run(guard, a_heartbeat_at(1))
    wait_for_looks(guard)

    server.restart("immediate")
    wait_for_looks(guard)
    fill(server, role="app")

    report = run.report()
    assert (report["kind"], report["reconnected"]) == ("remediation", 1)


@contextmanager
def measure_blocked(database: PostgresServer) -> Iterator[None]:
    """Keep every look waiting, as an overloaded server does."""
    blocker = database.connect()
    with blocker.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


@NEWEST
def test_a_look_that_gets_no_answer_in_time_is_made_again_through_a_new_session(
    database: PostgresServer,
) -> None:
    guard = watching(database)
    seat = guard.responder._doors.seat
    open_sessions(database, PRESSED)
    run = Run(guard, a_heartbeat_at(1))
    wait_for_looks(guard)

    with measure_blocked(database):
        wait_until(lambda: guard.responder._doors.seat is not seat)
    fill(database, role="app")

    assert run.report()["kind"] == "remediation"
