"""What an incident keeps of an alarm about the guard itself, and what its end ends."""

import json
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from connection_guard.core.incident.delivery import GuardAlarmDelivery, read_delivery
from connection_guard.core.incident.entry import GUARD_ALARM, Alarm, Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.lifecycle import absorb
from connection_guard.core.incident.progress import Progress
from connection_guard.core.incident.report_entry import entry_of
from connection_guard.core.policy import Tier
from tests.support.reporter.stories import (
    a_failure,
    a_guard_alarm,
    absorbed,
    alarm_ok,
    an_attempt,
    in_alarm,
    locked_out,
    recovered,
)

NAME = "ConnectionGuard-orders-prod-unguarded"
DIMENSION = {"name": "Database", "value": "orders-prod"}
ARN = f"arn:aws:cloudwatch:eu-central-1:123456789012:alarm:{NAME}"
WHAT = "The guard could not do all of its work: it may not be able to help. See its log."


def a_message(state: str = "ALARM", before: str = "OK", **changes: Any) -> str:
    """Return what CloudWatch publishes."""
    message = {
        "AlarmName": NAME,
        "AlarmDescription": f"orders-prod: {WHAT}",
        "AlarmArn": ARN,
        "NewStateValue": state,
        "OldStateValue": before,
        "NewStateReason": "Threshold Crossed: 1 datapoint",
        "StateChangeTime": "2026-11-20T03:05:07.123+0000",
        "Trigger": {
            "Metrics": [
                {"Id": "e1", "Expression": "FILL(healthy, 0)", "ReturnData": True},
                {"Id": "healthy", "MetricStat": {"Metric": {"Dimensions": [DIMENSION]}}},
            ]
        },
    }
    return json.dumps(message | changes)


def an_entry_of(message: str) -> Entry:
    delivery = read_delivery(message, "message-1")
    assert isinstance(delivery, GuardAlarmDelivery)
    return entry_of(delivery, evidence=delivery.record_key)


def test_it_says_what_happened_what_it_means_and_what_to_do_without_the_database() -> None:
    entry = an_entry_of(a_message())

    at = datetime(2026, 11, 20, 3, 5, 7, 123_000, tzinfo=UTC)
    assert (entry.kind, entry.at) == (GUARD_ALARM, at)
    assert entry.headline == "The guard could not do all of its work"
    assert (entry.escalation, entry.reason) == (WHAT, f"guard alarm {NAME}")
    assert entry.alarm == Alarm(NAME, ARN, "ALARM", None, at)
    assert entry.request_id == f"{NAME}@2026-11-20T03:05:07.123000+00:00"
    assert entry.evidence == f"alarms/{NAME}/2026/11/20/030507.123000.json"


def test_its_end_requires_no_action_and_says_what_is_over() -> None:
    entry = an_entry_of(a_message("OK", "ALARM"))

    assert (entry.escalation, entry.reason, entry.opens) == (None, None, False)
    assert entry.headline == "cleared: The guard could not do all of its work"


def test_its_database_is_that_of_its_metrics_whatever_its_name_is() -> None:
    def database(**changes: Any) -> str | None:
        delivery = read_delivery(a_message(**changes), "message-1")
        assert isinstance(delivery, GuardAlarmDelivery)
        return delivery.database

    assert database(AlarmName="anything") == "orders-prod"
    of_queue = {"MetricName": "Messages", "Dimensions": [{"name": "QueueName", "value": "x"}]}
    assert database(Trigger=of_queue) is None
    assert database(Trigger=None) is None


@pytest.mark.parametrize(
    "description", ["The queue holds a message. Look at it.", "other: x", None]
)
def test_a_description_that_names_no_database_is_kept_whole(description: str | None) -> None:
    entry = an_entry_of(a_message(AlarmDescription=description))

    assert entry.escalation == (description or "Threshold Crossed: 1 datapoint")


@pytest.mark.parametrize(
    ("state", "before"), [("OK", "INSUFFICIENT_DATA"), ("INSUFFICIENT_DATA", "ALARM")]
)
def test_a_new_alarm_s_first_data_and_missing_data_are_nothing(state: str, before: str) -> None:
    entry = an_entry_of(a_message(state, before))
    current = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95)])

    assert absorb(None, entry, database="orders-prod", new_id="new").latest is None
    assert absorb(current, entry, database="orders-prod", new_id="new").latest is current


def test_an_alarm_that_was_without_data_clears_with_its_next() -> None:
    on = an_entry_of(a_message())
    ok = an_entry_of(
        a_message("OK", "INSUFFICIENT_DATA", StateChangeTime="2026-11-20T03:15:07.123+0000")
    )

    assert absorbed([on]).progress is Progress.ESCALATED
    assert absorbed([on, ok]).progress is Progress.CLOSED


def test_one_fault_with_all_its_alarms_is_one_incident_that_their_ends_close() -> None:
    names = ["unguarded", "limit", "undelivered-alarms", "further"]
    fault = [
        locked_out(minute=0),
        *(a_guard_alarm(name, "ALARM", minute=1 + n) for n, name in enumerate(names)),
    ]
    ends = [a_guard_alarm(name, "OK", minute=10 + n) for n, name in enumerate(names)]

    on = absorbed(fault)
    almost = absorbed(ends[:-1], on)
    over = absorbed(ends[-1:], almost)

    assert (on.progress, len(on.reasons)) == (Progress.ESCALATED, 5)
    assert (almost.id, almost.progress) == (on.id, Progress.ESCALATED)
    assert (over.id, over.progress) == (on.id, Progress.CLOSED)
    assert over.closed_at == ends[-1].at
    assert all(absorbed(order, on).progress is Progress.CLOSED for order in permutations(ends))


def _shortage(used: int) -> Incident:
    fired = in_alarm(Tier.CRITICAL, minute=0, used=used, escalation="refused")
    return absorbed([fired, a_guard_alarm("errors", "ALARM", minute=1)])


def test_a_guard_alarm_s_end_says_nothing_about_a_shortage() -> None:
    escalated = absorbed([a_guard_alarm("errors", "OK", minute=5)], _shortage(97))
    observed = absorbed(
        [
            in_alarm(Tier.CRITICAL, minute=0, used=95),
            a_guard_alarm("errors", "ALARM", minute=1),
            a_guard_alarm("errors", "OK", minute=5),
        ]
    )
    without_alarm = absorbed(
        [
            an_attempt(minute=0, before=97, after=90, escalation="refused"),
            a_guard_alarm("errors", "ALARM", minute=1),
            a_guard_alarm("errors", "OK", minute=5),
        ]
    )

    assert (escalated.progress, escalated.action_required) == (Progress.ESCALATED, "refused")
    assert (observed.progress, observed.action_required) == (
        Progress.ESCALATED,
        "errors: see the log",
    )
    assert without_alarm.progress is Progress.ESCALATED
    assert absorbed([recovered(minute=6)], without_alarm).progress is Progress.CLOSED


def test_a_guard_s_trouble_does_not_end_with_the_shortage() -> None:
    usage_ok = absorbed(
        [recovered(minute=3), alarm_ok(Tier.CRITICAL, minute=4, used=31)], _shortage(97)
    )

    assert (usage_ok.progress, usage_ok.action_required) == (
        Progress.ESCALATED,
        "errors: see the log",
    )
    end = a_guard_alarm("errors", "OK", minute=9)
    over = absorbed([end], usage_ok)
    assert (over.progress, over.closed_at) == (Progress.CLOSED, end.at)


def test_once_usage_is_known_to_be_low_a_guard_alarm_s_end_leaves_it_to_the_usage_alarm() -> None:
    low = absorbed([recovered(minute=3), a_guard_alarm("errors", "OK", minute=5)], _shortage(97))

    assert (low.progress, low.needs_no_more_action) == (Progress.RECOVERING, True)
    assert absorbed([alarm_ok(Tier.CRITICAL, minute=9, used=31)], low).progress is Progress.CLOSED


def test_a_locked_out_guard_s_incident_waits_for_the_usage_alarm_that_it_could_not_serve() -> None:
    served = in_alarm(Tier.CRITICAL, minute=0, used=97)
    unserved = locked_out(minute=0, alarm=served.alarm)
    trouble = [
        unserved,
        a_guard_alarm("unguarded", "ALARM", minute=1),
        a_guard_alarm("unguarded", "OK", minute=5),
    ]

    assert absorbed(trouble).progress is Progress.ESCALATED
    assert absorbed([*trouble, alarm_ok(Tier.CRITICAL, minute=9, used=60)]).progress is (
        Progress.CLOSED
    )


@pytest.mark.parametrize("trouble", [locked_out(minute=1), a_failure(minute=1)])
@pytest.mark.parametrize("alarm_at", [0, 2])
def test_the_alarm_is_no_further_reason_where_a_run_says_why_the_guard_could_not_work(
    trouble: Entry, alarm_at: float
) -> None:
    name = "ConnectionGuard-orders-prod-unguarded"
    unguarded = a_guard_alarm(name, "ALARM", minute=alarm_at)
    limit = a_guard_alarm("ConnectionGuard-orders-prod-limit", "ALARM", minute=3)

    assert absorbed([unguarded]).reasons == {name}
    assert absorbed([trouble, unguarded]).reasons == {trouble.reason}
    assert len(absorbed([trouble, unguarded, limit]).reasons) == 2
