"""Given what Lambda delivers, which event it is; or a clear error."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from connection_guard.core.deployment.events import (
    AlarmNotification,
    AlarmState,
    Heartbeat,
    read_event,
)
from connection_guard.core.policy import Tier
from connection_guard.errors import ForeignEventError
from tests.support.builders import (
    CRITICAL_ALARM,
    WARNING_ALARM,
    a_heartbeat_event,
    an_alarm_event,
    some_settings,
)

SINGLE_METRIC = {
    "MetricName": "DatabaseConnections",
    "Namespace": "AWS/RDS",
    "StatisticType": "Statistic",
    "Statistic": "MAXIMUM",
    "Dimensions": [{"value": "orders-prod", "name": "DBInstanceIdentifier"}],
    "Period": 60,
    "Threshold": 87.0,
    "TreatMissingData": "missing",
}


@pytest.mark.parametrize(
    ("arn", "tier"), [(CRITICAL_ALARM, Tier.CRITICAL), (WARNING_ALARM, Tier.WARNING)]
)
@pytest.mark.parametrize(
    "more", [{}, {"Trigger": SINGLE_METRIC}, {"Trigger": None}, {"SomethingNew": {"a": [1]}}]
)
def test_an_alarm_is_known_by_its_arn_whether_of_one_metric_or_of_metric_math(
    arn: str, tier: Tier, more: dict[str, Any]
) -> None:
    changed_at = datetime(2026, 11, 20, 3, 0, 0, 123000, tzinfo=UTC)
    event = read_event(an_alarm_event(arn, changed_at=changed_at, **more), some_settings())
    assert isinstance(event, AlarmNotification)
    assert (event.alarm_arn, event.tier, event.state, event.changed_at) == (
        arn,
        tier,
        AlarmState.ALARM,
        changed_at,
    )


def test_the_same_state_change_has_the_same_key_and_another_has_another() -> None:
    first, second = (
        datetime(2026, 11, 20, 3, 0, tzinfo=UTC),
        datetime(2026, 11, 20, 3, 1, tzinfo=UTC),
    )
    keys = [
        read_event(an_alarm_event(changed_at=at), some_settings()).key
        for at in (first, first, second)
    ]
    assert keys[0] == keys[1] != keys[2]


def test_the_scheduled_event_is_the_heartbeat() -> None:
    at = datetime(2026, 11, 20, 3, 15, tzinfo=UTC)
    assert read_event(a_heartbeat_event(at), some_settings()) == Heartbeat(at)


def message(**changes: Any) -> dict[str, Any]:
    event = an_alarm_event()
    sns = event["Records"][0]["Sns"]
    sns["Message"] = json.dumps({**json.loads(sns["Message"]), **changes})
    return event


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({}, "no single SNS record"),
        ("ALARM", "found a str"),
        (None, "found a NoneType"),
        ({"Records": []}, "no single SNS record"),
        ({"Records": [an_alarm_event()["Records"][0]] * 2}, "no single SNS record"),
        ({"Records": [{"s3": {}}]}, "a record without an alarm (KeyError: 'Sns')"),
        (
            {"Records": [{"Sns": {"Message": "disk full"}}]},
            "a record without an alarm (JSONDecodeError",
        ),
        ({"Records": [{"Sns": {"Message": "[]"}}]}, "a record without an alarm (TypeError"),
        (
            {"Records": [{"Sns": {"Message": "[" * 200_000}}]},
            "a record without an alarm (RecursionError",
        ),
        (
            an_alarm_event("arn:aws:cloudwatch:eu-central-1:123456789012:alarm:other"),
            "alarm:other of orders-prod",
        ),
        (an_alarm_event(database="billing-prod"), "critical of billing-prod"),
        (message(NewStateValue="PANIC"), "alarm state 'PANIC'"),
        (message(StateChangeTime="yesterday"), "StateChangeTime 'yesterday'"),
        (message(StateChangeTime="2026-11-20T03:00:00"), "without a time zone"),
        (message(Trigger=7), "a record without an alarm"),
        ({"detail-type": "Scheduled Event"}, "time None"),
    ],
)
def test_anything_else_is_one_clear_error_that_names_what_was_expected(
    event: object, found: str
) -> None:
    with pytest.raises(ForeignEventError) as raised:
        read_event(event, some_settings())
    assert found in str(raised.value)
    assert (
        "expected an SNS notification from one of the 2 alarms of orders-prod, or a scheduled event"
        in str(raised.value)
    )
