"""What an execution environment knows of the runs of others."""

from datetime import UTC, datetime, timedelta

import pytest

from connection_guard.core.policy import Mode, Tier
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
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
    WARNING_ALARM,
    a_heartbeat_at,
    a_policy,
    a_rule,
    an_alarm_event,
)
from tests.support.guarded import GUARD, fill


@NEWEST
def test_the_hours_share_survives_the_environment(
    database: PostgresServer, environment: Environment
) -> None:
    policy = a_policy(most_per_run=4, most_per_hour=10, attempts=100)
    fill(database, role="app")
    before = len(sessions_of_app(database))
    reports = [environment(policy, is_warm=False).deliver(an_alarm_event()) for _ in range(6)]
    assert before - len(sessions_of_app(database)) == 10
    assert [terminated(report) for report in reports] == [4, 4, 2, 0, 0, 0]
    assert [report["restraint"] for report in reports[3:]] == ["hourly cap"] * 3


@NEWEST
def test_environments_that_run_at_once_share_one_hour(
    database: PostgresServer, environment: Environment
) -> None:
    policy = a_policy(most_per_run=4, most_per_hour=6, attempts=100, watch=timedelta(seconds=1))
    environments = [environment(policy) for _ in range(3)]
    fill(database, role="app")
    before = len(sessions_of_app(database))
    reports = deliver_at_once(environments)
    assert [terminated(report) for report in reports] == [4, 2, 0]
    assert before - len(sessions_of_app(database)) == 6


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
        environment(policy, is_warm=False).deliver(a_heartbeat_at(minute)) for minute in range(1, 3)
    ]
    assert [(report["attempt"], terminated(report)) for report in reports] == [(2, 2), (0, 0)]


@NEWEST
def test_environments_that_live_for_one_event_carry_on_and_escalate_in_the_end(
    database: PostgresServer, environment: Environment
) -> None:
    policy = a_policy(most_per_run=1, attempts=3)
    fill(database, role="app")
    events = [an_alarm_event(), *map(a_heartbeat_at, range(1, 6))]
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
    heartbeats = map(a_heartbeat_at, range(2))
    first, second = (environment(is_warm=False).deliver(each) for each in heartbeats)
    assert (first["kind"], second["kind"]) == ("heartbeat", "remediation")


@NEWEST
def test_after_an_escalation_a_warning_that_fires_again_lets_heartbeats_engage_again(
    database: PostgresServer, environment: Environment
) -> None:
    modes = {Tier.WARNING: Mode.OBSERVE, Tier.CRITICAL: Mode.ENFORCE}
    guard = environment(a_policy(a_rule(roles=("app",)), modes=modes, most_per_run=1, attempts=1))
    fill(database, role="app")
    assert guard.deliver()["escalation"] is not None
    reports = [guard.deliver(a_heartbeat_at(minute)) for minute in range(1, 4)]
    assert [report["kind"] for report in reports] == ["heartbeat"] * 3
    again = guard.deliver(an_alarm_event(WARNING_ALARM))
    assert again["restraint"] == "observing"
    assert guard.deliver(a_heartbeat_at(5))["kind"] == "remediation"


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
        "this run may be forgotten if another execution environment serves the next one: "
    )
    assert "lock timeout" in problem


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
    assert guard.deliver(a_heartbeat_at(10))["kind"] == "heartbeat"


def close_some(database: PostgresServer, *, leave: int) -> None:
    """Bring usage between target and critical, where a heartbeat does nothing by itself."""
    too_many = "SELECT pid FROM pg_stat_activity WHERE usename = 'app' OFFSET %s"
    database.execute(f"SELECT pg_terminate_backend(pid) FROM ({too_many}) AS too_many", (leave,))
    wait_until(lambda: len(sessions_of_app(database)) == leave)


@NEWEST
def test_what_a_restored_database_remembers_engages_no_guard(
    database: PostgresServer, environment: Environment
) -> None:
    """A database restored from a snapshot that was taken during an incident."""
    long_ago = datetime.now(UTC) - timedelta(days=30)
    memory = a_memory(long_ago, tier=Tier.CRITICAL, attempts=3)
    fill(database, role="app")
    close_some(database, leave=27)
    database.execute(f"ALTER ROLE {GUARD} SET application_name = %s", (memory,))
    report = environment(is_warm=False).deliver(a_heartbeat_at(1))
    assert (report["kind"], report["engaged"]) == ("heartbeat", False)
