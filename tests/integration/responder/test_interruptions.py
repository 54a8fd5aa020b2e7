"""Runs whose time, session or server ends in the middle."""

import threading
from datetime import timedelta
from typing import Any

import psycopg2
from psycopg2.extensions import connection

from connection_guard.core.database.door import Door
from doubles.waiting import wait_until
from responder.respond import Responder
from tests.integration.conftest import NEWEST, OwnPostgres
from tests.integration.responder.responder_actions import sessions_of_app, terminated, with_policy
from tests.support.builders import (
    a_heartbeat_event,
    a_policy,
)
from tests.support.guarded import GUARD, Guarded, create_guard_role, fill


@NEWEST
def test_when_the_function_must_end_soon_it_reports_what_was_done_and_what_was_left(
    guarded: Guarded,
) -> None:
    guard = with_policy(guarded, a_policy(batch_size=1, pause=timedelta(hours=1)))
    fill(guarded.server, role="app")
    report = guard.deliver(seconds_left=7)
    assert (terminated(report), report["outcomes"]["left"]) == (
        1,
        report["verdicts"]["terminate"] - 1,
    )
    assert "stopped early: the function's deadline is near" in report["problems"]
    assert report["after"]["used"] == report["before"]["used"] - 1
    assert report["engaged"] is True


def test_a_server_that_restarts_in_the_middle_leaves_a_partial_report(
    own_postgres: OwnPostgres,
) -> None:
    server = own_postgres()
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    guard = Guarded(server, a_policy(batch_size=1, pause=timedelta(seconds=1)))
    guard.deliver(a_heartbeat_event())
    sessions = len(fill(server, role="app"))
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"

    def restart_after_the_first_batch() -> None:
        wait_until(lambda: server.execute(count) < [(sessions,)])
        server.restart("immediate")

    restart = threading.Thread(target=restart_after_the_first_batch)
    restart.start()
    report = guard.deliver()
    restart.join()
    assert report["kind"] == "remediation"
    assert terminated(report) + report["outcomes"]["unknown"] < report["verdicts"]["terminate"]
    assert report["outcomes"]["left"] > 0
    assert report["problems"][0].startswith(
        "stopped early: the connection to the database was lost: "
    )
    assert "it is not known what was terminated" in report["problems"][1]
    assert (report["reconnected"], report["reconnections"]) == (1, [])
    assert guard.deliver(a_heartbeat_event())["kind"] in ("observation", "heartbeat")


def test_a_server_that_is_gone_afterwards_leaves_a_report_that_says_so(
    own_postgres: OwnPostgres,
) -> None:
    server = own_postgres()
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    guard = Guarded(server, a_policy(watch=timedelta(seconds=2)))
    guard.deliver(a_heartbeat_event())
    fill(server, role="app")
    pids = sessions_of_app(server)
    is_watching = (
        "SELECT state = 'idle' AND state_change < clock_timestamp() - interval '0.3 s' FROM "
        f"pg_stat_activity WHERE usename = '{GUARD}'"
    )

    def stop_after_the_batch() -> None:
        wait_until(
            lambda: sessions_of_app(server) != pids and server.execute(is_watching) == [(True,)]
        )
        server.execute(f"ALTER ROLE {GUARD} NOLOGIN")
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (GUARD,)
        )

    stop = threading.Thread(target=stop_after_the_batch)
    stop.start()
    report = guard.deliver(seconds_left=9)
    stop.join()
    assert report["kind"] == "remediation"
    assert terminated(report) > 0
    assert report["after"] is None
    assert report["problems"][-1].startswith("the result could not be verified: ")
    assert (report["seat_held"], report["engaged"]) == (False, True)


@NEWEST
def test_a_session_lost_before_anything_is_done_is_replaced_once(guarded: Guarded) -> None:
    guard = losing_its_session_before(guarded, statement=3)
    fill(guarded.server, role="app")
    report = guard.deliver()
    assert (report["kind"], report["reconnected"]) == ("remediation", 1)
    assert [door["error"] is None for door in report["doors"]] == [True, False, True]


def losing_its_session_before(guarded: Guarded, statement: int) -> Guarded:
    """Return a guard whose first session is terminated just before it runs its n-th statement."""
    server = guarded.server

    class Dying(connection):
        statements = 0

        def cursor(self, *args: Any, **options: Any) -> Any:
            Dying.statements += 1
            if Dying.statements == statement:
                server.execute("SELECT pg_terminate_backend(%s)", (self.info.backend_pid,))
                wait_until(lambda: not server.has_session(self.info.backend_pid))
            return super().cursor(*args, **options)

    def connect(door: Door) -> connection:
        return psycopg2.connect(
            host=door.host,
            port=door.port,
            user=door.role,
            dbname="postgres",
            async_=True,
            connection_factory=Dying,
        )

    guard = Guarded(server)
    guard.responder = Responder(guard.settings, a_policy(), connect)
    return guard


@NEWEST
def test_sessions_that_cannot_be_read_lock_the_guard_out_and_nothing_is_done(
    guarded: Guarded,
) -> None:
    fill(guarded.server, role="app")
    pids = sessions_of_app(guarded.server)
    guarded.server.execute('REVOKE EXECUTE ON FUNCTION concat_ws(text, VARIADIC "any") FROM PUBLIC')
    try:
        report = guarded.deliver()
    finally:
        guarded.server.execute(
            'GRANT EXECUTE ON FUNCTION concat_ws(text, VARIADIC "any") TO PUBLIC'
        )
    assert (report["kind"], report["escalation"]) == (
        "locked_out",
        "the connection to the database was lost",
    )
    assert "permission denied for function concat_ws" in report["problems"][-1]
    assert sessions_of_app(guarded.server) == pids
