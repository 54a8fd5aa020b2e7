"""Several execution environments of one guard on one real server take turns."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connection_guard.adapters.postgresql.observe import take_snapshot
from connection_guard.adapters.postgresql.turn import TURN
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.errors import StatementError
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from responder import look, rounds
from responder.respond import Responder
from tests.integration.conftest import NEWEST
from tests.integration.responder.responder_actions import (
    Environment,
    a_memory,
    deliver_at_once,
    hold_the_turn,
    sessions_of_app,
    terminated,
)
from tests.support.builders import (
    a_heartbeat_at,
    a_heartbeat_event,
    a_policy,
    an_alarm_event,
)
from tests.support.guarded import GUARD, fill


def seats(database: PostgresServer) -> set[int]:
    return {
        pid
        for (pid,) in database.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = %s", (GUARD,)
        )
    }


def test_two_environments_keep_a_seat_each_and_both_get_into_a_full_database(
    database: PostgresServer, environment: Environment
) -> None:
    """Also before PostgreSQL 16, where the seat is the only way in."""
    first, second = environment(), environment()
    assert len(seats(database)) == 2
    fill(database, role="app")
    kept = seats(database)
    assert first.deliver(a_heartbeat_event())["seat_held"]
    report = second.deliver()
    assert (report["kind"], report["recovered"]) == ("remediation", True)
    assert first.deliver(a_heartbeat_event())["kind"] in ("heartbeat", "observation")
    assert seats(database) == kept


@NEWEST
def test_a_run_waits_for_the_turn_of_another_and_finds_its_work_done(
    database: PostgresServer, environment: Environment
) -> None:
    policy = a_policy(watch=timedelta(seconds=2))
    environments = [environment(policy) for _ in range(4)]
    clients = len(fill(database, role="app"))
    first, *others = deliver_at_once(environments)
    assert first["kind"] == "remediation"
    assert [(each["kind"], each["restraint"]) for each in others] == [
        ("observation", "below target")
    ] * 3
    assert terminated(first) == clients - len(sessions_of_app(database))
    assert [each["problems"] for each in (first, *others)] == [[]] * 4
    assert [each["outcomes"]["unknown"] for each in (first, *others)] == [0] * 4


@NEWEST
def test_a_run_that_does_not_get_its_turn_reports_it_and_the_next_run_serves_its_alarm(
    database: PostgresServer, environment: Environment
) -> None:
    guard, another_run = environment(), database.connect(GUARD)
    fill(database, role="app")
    before = len(sessions_of_app(database))
    with another_run.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (TURN,))
    report = guard.deliver(seconds_left=16)
    assert (report["kind"], report["restraint"]) == ("observation", "another run")
    assert "did not finish in time" in report["explanation"]
    assert len(sessions_of_app(database)) == before
    database.execute(
        f"ALTER ROLE {GUARD} SET application_name = %s", (a_memory(datetime.now(UTC)),)
    )
    another_run.close()
    assert guard.deliver(a_heartbeat_event())["kind"] == "remediation"


def turns_taken(database: PostgresServer) -> int:
    ((count,),) = database.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    return int(count)


@NEWEST
def test_a_stranger_that_holds_the_guards_lock_does_not_stop_it_and_is_named(
    database: PostgresServer, environment: Environment
) -> None:
    guard = environment()
    stranger = hold_the_turn(database, "app")
    fill(database, role="app")
    report = guard.deliver()
    assert (report["kind"], report["recovered"]) == ("remediation", True)
    (problem,) = [each for each in report["problems"] if "advisory lock" in each]
    assert problem.startswith(
        f'role "app" (pid {stranger.info.backend_pid}) holds the guard\'s own advisory lock'
    )


@NEWEST
def test_a_run_that_misses_its_turn_again_escalates(
    database: PostgresServer, environment: Environment
) -> None:
    guard = environment()
    hold_the_turn(database, GUARD)
    fill(database, role="app")
    events = (an_alarm_event(), a_heartbeat_at(1))
    reports = [guard.deliver(event, seconds_left=13) for event in events]
    assert [each["restraint"] for each in reports] == ["another run"] * 2
    assert reports[0]["escalation"] is None
    assert "did not finish in time" in reports[1]["escalation"]


@NEWEST
def test_the_turn_ends_with_a_run_that_had_to_take_it_twice(
    database: PostgresServer, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = environment()
    fill(database, role="app")
    monkeypatch.setattr(rounds, "take_snapshot", fail_once(take_snapshot, monkeypatch))
    assert guard.deliver()["kind"] == "remediation"
    assert turns_taken(database) == 0


def fail_once(
    take: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Snapshot]:
    def fail(*_: object) -> Snapshot:
        monkeypatch.setattr(rounds, "take_snapshot", take)
        raise StatementError("sessions: the statement was cancelled")

    return fail


@NEWEST
def test_the_turn_ends_with_a_run_that_fails(
    database: PostgresServer, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = environment()
    fill(database, role="app")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(look, "planned", fail)
    with pytest.raises(ZeroDivisionError):
        guard.deliver()
    assert turns_taken(database) == 0


def test_a_seat_that_died_at_work_as_the_other_role_does_not_keep_the_turn(
    database: PostgresServer, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "connection_guard.adapters.postgresql.observe.SEAT_IS_STALE_AFTER", timedelta(seconds=1)
    )
    database.execute("CREATE ROLE connection_guard_proxy LOGIN")
    guard = environment(is_warm=False)
    guard.responder = Responder(
        replace(
            guard.settings, proxy=Door(DoorName.PROXY, "127.0.0.2", 1, "connection_guard_proxy")
        ),
        a_policy(),
        guard.connect,
    )
    dead = database.connect("connection_guard_proxy", application_name="connection-guard proxy")
    with dead.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (TURN,))
    is_stale = (
        "SELECT state_change < clock_timestamp() - interval '1 s' FROM pg_stat_activity WHERE pid "
        "= %s"
    )
    wait_until(lambda: database.execute(is_stale, (dead.info.backend_pid,)) == [(True,)])
    fill(database, role="app")
    # A login succeeds again for a moment.
    database.execute(
        "SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE usename = 'app'"
    )
    assert guard.deliver()["kind"] == "remediation"
