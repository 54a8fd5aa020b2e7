"""Several execution environments of one guard on one real server: they take turns, and each knows what others did."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connection_guard.adapters.turn import MEMORY, TURN
from connection_guard.core.engagement import Engagement, ready_to_save, to_text
from connection_guard.core.policy import Mode, Policy, Tier
from tests.builders import NOW, WARNING_ALARM, a_policy, a_pulse_event, a_rule, an_alarm_event
from tests.integration.guarded import GUARD, Guarded, create_guard_role, fill
from tests.postgres_server import PostgresServer

NEWEST = pytest.mark.parametrize("postgres", [18], indirect=True)


@pytest.fixture
def database(server: PostgresServer) -> PostgresServer:
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    return server


Environment = Callable[..., Guarded]


@pytest.fixture
def environment(database: PostgresServer) -> Environment:
    """A new execution environment of the same guard, with a seat of its own where it has served a pulse."""

    def new(policy: Policy | None = None, *, is_warm: bool = True) -> Guarded:
        guard = Guarded(database, policy)
        if is_warm:
            guard.deliver(a_pulse_event())
        return guard

    return new


def terminated(report: dict[str, Any]) -> int:
    return int(report["outcomes"]["terminated"])


def pulse(minute: int) -> dict[str, Any]:
    return a_pulse_event(NOW + timedelta(minutes=minute))


def seats(database: PostgresServer) -> set[int]:
    return {pid for (pid,) in database.execute("SELECT pid FROM pg_stat_activity WHERE usename = %s", (GUARD,))}


def sessions_of_app(database: PostgresServer) -> int:
    ((count,),) = database.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")
    return int(count)


def deliver_at_once(environments: Sequence[Guarded]) -> list[dict[str, Any]]:
    """The reports on an alarm that each environment is given at the same moment, in the order in which they ended."""
    reports: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda guard=guard: reports.append(guard.deliver())) for guard in environments]
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
    assert first.deliver(a_pulse_event())["seat_held"]
    report = second.deliver()
    assert (report["kind"], report["recovered"]) == ("remediation", True)
    assert first.deliver(a_pulse_event())["kind"] in ("pulse", "observation")
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
    assert [(each["kind"], each["restraint"]) for each in others] == [("observation", "below target")] * 3
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
    memory = MEMORY + to_text(ready_to_save(Engagement(), datetime.now(UTC)))
    database.execute(f"ALTER ROLE {GUARD} SET application_name = %s", (memory,))
    another_run.close()
    assert guard.deliver(a_pulse_event())["kind"] == "remediation"


@NEWEST
def test_the_hours_share_survives_the_environment(database: PostgresServer, environment: Environment) -> None:
    policy = a_policy(most_per_run=4, most_per_hour=10, attempts=100)
    fill(database, role="app")
    before = sessions_of_app(database)
    reports = [environment(policy, is_warm=False).deliver(an_alarm_event()) for _ in range(6)]
    assert before - sessions_of_app(database) == 10
    assert [terminated(report) for report in reports] == [4, 4, 2, 0, 0, 0]
    assert [report["restraint"] for report in reports[3:]] == ["hourly cap"] * 3


@NEWEST
def test_environments_that_run_at_once_share_one_hour(database: PostgresServer, environment: Environment) -> None:
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
        patch.setattr("responder.respond.terminate", die)
        with pytest.raises(SystemExit):
            killed.deliver()
    killed.responder._doors.leave()  # a process that is gone holds no session
    reports = [environment(policy, is_warm=False).deliver(pulse(minute)) for minute in range(1, 3)]
    assert [(report["attempt"], terminated(report)) for report in reports] == [(2, 2), (0, 0)]


@NEWEST
def test_environments_that_live_for_one_event_carry_on_and_ask_for_people_at_last(
    database: PostgresServer, environment: Environment
) -> None:
    policy = a_policy(most_per_run=1, attempts=3)
    fill(database, role="app")
    events = [an_alarm_event(), *map(pulse, range(1, 6))]
    reports = [environment(policy, is_warm=False).deliver(event) for event in events]
    assert [report["attempt"] for report in reports] == [1, 2, 3, 0, 0, 0]
    assert [report["escalation"] is not None for report in reports] == [False, False, True, False, False, False]


@NEWEST
def test_pulses_of_several_environments_engage_together(database: PostgresServer, environment: Environment) -> None:
    fill(database, role="app")
    first, second = (environment(is_warm=False).deliver(pulse(minute)) for minute in range(2))
    assert (first["kind"], second["kind"]) == ("pulse", "remediation")


@NEWEST
def test_after_an_escalation_a_warning_that_fires_anew_lets_pulses_engage_again(
    database: PostgresServer, environment: Environment
) -> None:
    modes = {Tier.WARNING: Mode.OBSERVE, Tier.CRITICAL: Mode.ENFORCE}
    guard = environment(a_policy(a_rule(roles=("app",)), modes=modes, most_per_run=1, attempts=1))
    fill(database, role="app")
    assert guard.deliver()["escalation"] is not None
    assert [guard.deliver(pulse(minute))["kind"] for minute in range(1, 4)] == ["pulse"] * 3
    again = guard.deliver(an_alarm_event(WARNING_ALARM))
    assert again["restraint"] == "observing"
    assert guard.deliver(pulse(5))["kind"] == "remediation"


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
    assert problem.startswith("this run may not be remembered if another execution environment serves the next: ")
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
def test_backends_that_are_stuck_do_not_keep_others_alive(database: PostgresServer, environment: Environment) -> None:
    stuck = [database.connect("app").info.backend_pid for _ in range(5)]
    guard = environment(a_policy(most_per_run=5, attempts=10))
    fill(database, role="app")
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    try:
        first, second = guard.deliver(), guard.deliver(pulse(1))
    finally:
        for pid in stuck:
            os.kill(pid, signal.SIGCONT)
    assert (terminated(first), first["outcomes"]["survived"]) == (0, 5)
    assert (terminated(second), second["outcomes"]["survived"]) == (5, 0)
