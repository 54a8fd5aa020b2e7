"""Several execution environments of one guard on one real server: they take turns, and each knows
what others did.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812

from connection_guard.adapters.postgresql.observe import take_snapshot
from connection_guard.adapters.postgresql.turn import MEMORY, TURN
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.engagement import Engagement, ready_to_save, to_text
from connection_guard.core.policy import Mode, Policy, Tier
from connection_guard.errors import StatementError
from doubles.postgres_server import PostgresServer
from doubles.waiting import wait_until
from responder import respond, rounds
from responder.respond import Responder
from tests.support.builders import (
    NOW,
    WARNING_ALARM,
    a_heartbeat_event,
    a_policy,
    a_rule,
    an_alarm_event,
)
from tests.support.guarded import GUARD, Guarded, create_guard_role, fill

NEWEST = pytest.mark.parametrize("postgres", [18], indirect=True)


@pytest.fixture
def database(server: PostgresServer) -> PostgresServer:
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    return server


Environment = Callable[..., Guarded]


@pytest.fixture
def environment(database: PostgresServer) -> Environment:
    """A new execution environment of the same guard, with a seat of its own where it has served a
    heartbeat.
    """

    def new(policy: Policy | None = None, *, is_warm: bool = True) -> Guarded:
        guard = Guarded(database, policy)
        if is_warm:
            guard.deliver(a_heartbeat_event())
        return guard

    return new


def terminated(report: dict[str, Any]) -> int:
    return int(report["outcomes"]["terminated"])


def heartbeat(minute: int) -> dict[str, Any]:
    return a_heartbeat_event(NOW + timedelta(minutes=minute))


def seats(database: PostgresServer) -> set[int]:
    return {
        pid
        for (pid,) in database.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = %s", (GUARD,)
        )
    }


def sessions_of_app(database: PostgresServer) -> int:
    ((count,),) = database.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")
    return int(count)


def deliver_at_once(environments: Sequence[Guarded]) -> list[dict[str, Any]]:
    """The reports on an alarm that each environment is given at the same moment, in the order in
    which they ended.
    """
    reports: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda guard=guard: reports.append(guard.deliver()))
        for guard in environments
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


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
    assert terminated(first) == clients - sessions_of_app(database)
    assert [each["problems"] for each in (first, *others)] == [[]] * 4
    assert [each["outcomes"]["unknown"] for each in (first, *others)] == [0] * 4


@NEWEST
def test_a_run_that_does_not_get_its_turn_says_so_and_its_alarm_is_served_by_the_next(
    database: PostgresServer, environment: Environment
) -> None:
    guard, another_run = environment(), database.connect(GUARD)
    fill(database, role="app")
    before = sessions_of_app(database)
    with another_run.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (TURN,))
    report = guard.deliver(seconds_left=16)
    assert (report["kind"], report["restraint"]) == ("observation", "another run")
    assert "did not end in time" in report["explanation"]
    assert sessions_of_app(database) == before
    database.execute(
        f"ALTER ROLE {GUARD} SET application_name = %s", (a_memory(datetime.now(UTC)),)
    )
    another_run.close()
    assert guard.deliver(a_heartbeat_event())["kind"] == "remediation"


@NEWEST
def test_the_hours_share_survives_the_environment(
    database: PostgresServer, environment: Environment
) -> None:
    policy = a_policy(most_per_run=4, most_per_hour=10, attempts=100)
    fill(database, role="app")
    before = sessions_of_app(database)
    reports = [environment(policy, is_warm=False).deliver(an_alarm_event()) for _ in range(6)]
    assert before - sessions_of_app(database) == 10
    assert [terminated(report) for report in reports] == [4, 4, 2, 0, 0, 0]
    assert [report["restraint"] for report in reports[3:]] == ["hourly cap"] * 3


@NEWEST
def test_environments_that_run_at_once_share_one_hour(
    database: PostgresServer, environment: Environment
) -> None:
    policy = a_policy(most_per_run=4, most_per_hour=6, attempts=100, watch=timedelta(seconds=1))
    environments = [environment(policy) for _ in range(3)]
    fill(database, role="app")
    before = sessions_of_app(database)
    reports = deliver_at_once(environments)
    assert [terminated(report) for report in reports] == [4, 2, 0]
    assert before - sessions_of_app(database) == 6


@NEWEST
def test_a_run_that_is_killed_has_counted_what_it_was_about_to_do(
    database: PostgresServer, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = a_policy(most_per_run=4, most_per_hour=6, attempts=100)
    killed = environment(policy)
    fill(database, role="app")

    def die(*_: object, **__: object) -> None:
        raise SystemExit("Task timed out")

    with monkeypatch.context() as patch:
        patch.setattr("responder.rounds.terminate", die)
        with pytest.raises(SystemExit):
            killed.deliver()
    killed.responder._doors.leave()  # a process that is gone holds no session
    reports = [
        environment(policy, is_warm=False).deliver(heartbeat(minute)) for minute in range(1, 3)
    ]
    assert [(report["attempt"], terminated(report)) for report in reports] == [(2, 2), (0, 0)]


@NEWEST
def test_environments_that_live_for_one_event_carry_on_and_ask_for_people_at_last(
    database: PostgresServer, environment: Environment
) -> None:
    policy = a_policy(most_per_run=1, attempts=3)
    fill(database, role="app")
    events = [an_alarm_event(), *map(heartbeat, range(1, 6))]
    reports = [environment(policy, is_warm=False).deliver(event) for event in events]
    assert [report["attempt"] for report in reports] == [1, 2, 3, 0, 0, 0]
    assert [report["escalation"] is not None for report in reports] == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]


@NEWEST
def test_heartbeats_of_several_environments_engage_together(
    database: PostgresServer, environment: Environment
) -> None:
    fill(database, role="app")
    first, second = (environment(is_warm=False).deliver(heartbeat(minute)) for minute in range(2))
    assert (first["kind"], second["kind"]) == ("heartbeat", "remediation")


@NEWEST
def test_after_an_escalation_a_warning_that_fires_anew_lets_heartbeats_engage_again(
    database: PostgresServer, environment: Environment
) -> None:
    modes = {Tier.WARNING: Mode.OBSERVE, Tier.CRITICAL: Mode.ENFORCE}
    guard = environment(a_policy(a_rule(roles=("app",)), modes=modes, most_per_run=1, attempts=1))
    fill(database, role="app")
    assert guard.deliver()["escalation"] is not None
    assert [guard.deliver(heartbeat(minute))["kind"] for minute in range(1, 4)] == ["heartbeat"] * 3
    again = guard.deliver(an_alarm_event(WARNING_ALARM))
    assert again["restraint"] == "observing"
    assert guard.deliver(heartbeat(5))["kind"] == "remediation"


@NEWEST
def test_a_database_that_cannot_be_written_is_served_and_the_report_says_what_may_be_forgotten(
    database: PostgresServer, environment: Environment
) -> None:
    guard = environment()
    fill(database, role="app")
    database.execute("BEGIN; LOCK TABLE pg_db_role_setting IN EXCLUSIVE MODE")
    report = guard.deliver()
    database.execute("ROLLBACK")
    assert (report["kind"], report["recovered"]) == ("remediation", True)
    (problem,) = report["problems"]
    assert problem.startswith(
        "this run may not be remembered if another execution environment serves the next: "
    )
    assert "lock timeout" in problem


def test_a_role_that_was_dropped_while_its_sessions_live_does_not_protect_them(
    database: PostgresServer, environment: Environment
) -> None:
    database.execute("CREATE ROLE vault_token_1 LOGIN")
    orphans = [database.connect("vault_token_1").info.backend_pid for _ in range(24)]
    guard = environment()
    fill(database, role="app")
    database.execute("DROP ROLE vault_token_1")
    report = guard.deliver()
    assert report["outcomes"]["moved on"] == 0
    assert report["recovered"] is True
    ended = [pid for pid in orphans if not database.has_session(pid)]
    assert len(ended) == terminated(report) > 0, "their pool is the largest"


@NEWEST
def test_backends_that_are_stuck_do_not_keep_others_alive(
    database: PostgresServer, environment: Environment
) -> None:
    stuck = [database.connect("app").info.backend_pid for _ in range(5)]
    guard = environment(a_policy(most_per_run=5, attempts=10))
    fill(database, role="app")
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    try:
        first, second = guard.deliver(), guard.deliver(heartbeat(1))
    finally:
        for pid in stuck:
            os.kill(pid, signal.SIGCONT)
    assert (terminated(first), first["outcomes"]["survived"]) == (0, 5)
    assert (terminated(second), second["outcomes"]["survived"]) == (5, 0)


def hold_the_turn(database: PostgresServer, role: str) -> Connection:
    """A session of the role that has the lock by which the guard's runs take turns."""
    session = database.connect(
        role, application_name="connection-guard direct" if role == GUARD else ""
    )
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (TURN,))
    return session


def turns_taken(database: PostgresServer) -> int:
    ((count,),) = database.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    return int(count)


@NEWEST
def test_whoever_else_takes_the_guards_lock_does_not_stop_it_and_is_named(
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
def test_people_are_asked_where_a_run_misses_its_turn_again(
    database: PostgresServer, environment: Environment
) -> None:
    guard = environment()
    hold_the_turn(database, GUARD)
    fill(database, role="app")
    reports = [guard.deliver(event, seconds_left=13) for event in (an_alarm_event(), heartbeat(1))]
    assert [each["restraint"] for each in reports] == ["another run"] * 2
    assert reports[0]["escalation"] is None
    assert "did not end in time" in reports[1]["escalation"]


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
        raise StatementError("sessions: somebody cancelled it")

    return fail


@NEWEST
def test_the_turn_ends_with_a_run_that_fails(
    database: PostgresServer, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = environment()
    fill(database, role="app")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(respond, "planned", fail)
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
    # The way in is free again for a moment.
    database.execute(
        "SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE usename = 'app'"
    )
    assert guard.deliver()["kind"] == "remediation"


@pytest.mark.parametrize("is_over", [True, False], ids=["over", "old"])
@NEWEST
def test_an_alarm_that_was_kept_is_not_acted_on_when_it_is_over_or_old(
    database: PostgresServer, environment: Environment, *, is_over: bool
) -> None:
    guard = environment()
    fill(database, role="app")
    turn = hold_the_turn(database, GUARD)
    changed_at = datetime.now(UTC) - timedelta(minutes=4, seconds=58)
    assert (
        guard.deliver(an_alarm_event(changed_at=changed_at), seconds_left=13)["restraint"]
        == "another run"
    )
    close_some(database, leave=27)
    database.execute(
        f"ALTER ROLE {GUARD} SET application_name = %s", (a_memory(datetime.now(UTC)),)
    )
    turn.close()
    if is_over:
        guard.deliver(an_alarm_event(state="OK"))
    else:
        wait_until(lambda: datetime.now(UTC) - changed_at > timedelta(minutes=5))
    assert guard.deliver(heartbeat(10))["kind"] == "heartbeat"


def a_memory(saved_at: datetime, **engagement: Any) -> str:
    """What another execution environment remembered, as its role's application_name."""
    return MEMORY + to_text(ready_to_save(Engagement(**engagement), saved_at))


def close_some(database: PostgresServer, *, leave: int) -> None:
    """Usage between target and critical: a heartbeat by itself does nothing."""
    too_many = "SELECT pid FROM pg_stat_activity WHERE usename = 'app' OFFSET %s"
    database.execute(f"SELECT pg_terminate_backend(pid) FROM ({too_many}) AS too_many", (leave,))
    wait_until(lambda: sessions_of_app(database) == leave)


@NEWEST
def test_what_another_life_of_the_database_remembers_engages_nobody(
    database: PostgresServer, environment: Environment
) -> None:
    """A database restored from a snapshot that was taken during an incident."""
    long_ago = datetime.now(UTC) - timedelta(days=30)
    memory = a_memory(long_ago, tier=Tier.CRITICAL, attempts=3)
    fill(database, role="app")
    close_some(database, leave=27)
    database.execute(f"ALTER ROLE {GUARD} SET application_name = %s", (memory,))
    report = environment(is_warm=False).deliver(heartbeat(1))
    assert (report["kind"], report["engaged"]) == ("heartbeat", False)
