"""Attempts from heartbeat to heartbeat, until usage is below the target or action is required."""

from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.extensions import connection

from connection_guard.core.policy import Mode, Tier
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import NEWEST
from tests.integration.responder.responder_actions import sessions_of_app, with_policy
from tests.support.builders import (
    a_heartbeat_at,
    a_heartbeat_event,
    a_policy,
    a_rule,
    an_alarm_event,
)
from tests.support.guarded import Guarded, fill


def leave_open(server: PostgresServer, clients: list[connection], number: int) -> None:
    """Close all clients but so many."""
    while len(clients) > number:
        clients.pop().close()
    query = "SELECT count(*) <= %s FROM pg_stat_activity WHERE usename = 'app'"
    wait_until(lambda: server.execute(query, (number,)) == [(True,)])


@NEWEST
def test_a_repeated_alarm_does_not_act_after_an_escalation(guarded: Guarded) -> None:
    enforcing = dict.fromkeys(Tier, Mode.ENFORCE)
    guard = with_policy(guarded, a_policy(modes=enforcing, most_per_run=1, attempts=1))
    fill(guarded.server, role="app")
    event = an_alarm_event()
    assert guard.deliver(event)["escalation"] is not None
    pids = sessions_of_app(guarded.server)
    assert guard.deliver(event)["kind"] == "heartbeat"
    assert sessions_of_app(guarded.server) == pids


@NEWEST
def test_while_the_shortage_lasts_each_heartbeat_carries_on_and_the_last_attempt_escalates(
    guarded: Guarded,
) -> None:
    guard = with_policy(guarded, a_policy(most_per_run=1, attempts=3))
    fill(guarded.server, role="app")
    reports = [guard.deliver()]
    reports += [guard.deliver(a_heartbeat_at(minute)) for minute in range(1, 5)]
    assert [report["kind"] for report in reports] == ["remediation"] * 3 + ["heartbeat"] * 2
    assert [report["attempt"] for report in reports] == [1, 2, 3, 0, 0]
    assert [report["escalation"] is None for report in reports] == [True, True, False, True, True]
    assert reports[2]["escalation"].endswith(" % after 3 attempts")


@NEWEST
def test_a_heartbeat_that_finds_usage_below_the_target_reports_recovery(guarded: Guarded) -> None:
    guard = with_policy(guarded, a_policy(a_rule(roles=("nobody",))))
    clients = fill(guarded.server, role="app")
    assert guard.deliver()["restraint"] == "nothing matches"
    for client in clients:
        client.close()
    wait_until(
        lambda: (
            guarded.server.execute(
                "SELECT count(*) < 5 FROM pg_stat_activity WHERE usename = 'app'"
            )
            == [(True,)]
        )
    )
    report = guard.deliver(a_heartbeat_event())
    assert (report["kind"], report["recovered"], report["engaged"]) == ("observation", True, False)
    assert guard.deliver(a_heartbeat_at(2))["kind"] == "heartbeat"


@pytest.mark.parametrize("attempts", [10, 1], ids=["engaged", "action required"])
@NEWEST
def test_an_alarm_s_ok_below_every_threshold_ends_the_attempts_and_lower_usage_is_reported_later(
    guarded: Guarded, attempts: int
) -> None:
    guard = with_policy(
        guarded, a_policy(a_rule(roles=("nobody",)), attempts=attempts, target_percent=60)
    )
    clients = fill(guarded.server, role="app")
    usable = guard.deliver()["before"]["usable"]
    leave_open(guarded.server, clients, usable * 65 // 100)

    over = guard.deliver(
        an_alarm_event(state="OK", changed_at=datetime.now(UTC) - timedelta(minutes=9))
    )
    quiet = guard.deliver(a_heartbeat_event())
    leave_open(guarded.server, clients, usable * 40 // 100)
    down = [guard.deliver(a_heartbeat_at(minute)) for minute in (2, 3)]

    assert (over["kind"], over["restraint"], over["recovered"]) == (
        "observation",
        "not an alarm",
        False,
    )
    assert 60 < over["before"]["utilisation"] < 75
    assert (quiet["kind"], quiet["engaged"]) == ("heartbeat", False)
    assert [(report["kind"], report["recovered"]) for report in down] == [
        ("observation", True),
        ("heartbeat", False),
    ]


@NEWEST
def test_an_alarm_s_ok_above_the_lowest_threshold_ends_no_attempts(guarded: Guarded) -> None:
    guard = with_policy(guarded, a_policy(a_rule(roles=("nobody",))))
    fill(guarded.server, role="app")
    guard.deliver()

    assert guard.deliver(an_alarm_event(state="OK"))["engaged"] is True
