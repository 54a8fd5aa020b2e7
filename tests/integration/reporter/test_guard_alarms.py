"""One fault of the guard itself is one message, whichever alarms it sets off."""

import json
from collections.abc import Mapping
from typing import Any

from connection_guard.adapters.channels.slack_secret import SlackWebhook
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.progress import Progress
from doubles.slack_double import SlackDouble
from tests.support.builders import an_alarm_event
from tests.support.reporter.deliveries import a_crash, a_report, a_success
from tests.support.reporter.outside import (
    ORDERS,
    Outside,
    at,
    everything_said,
    states,
    stores_in_memory,
)

ARN = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:"
NO_HEARTBEAT = f"{ARN}connection-guard-orders-prod-no-heartbeat"
FAILED = f"{ARN}connection-guard-orders-prod-responder-failed"
LOCKED_OUT = f"{ARN}connection-guard-orders-prod-locked-out"
DIRECT = f"{ARN}connection-guard-orders-prod-direct-login-failed"
DEAD_LETTERS = f"{ARN}ConnectionGuard-undelivered-reports"

UNPROTECTED = "orders-prod: No heartbeat for 3 minutes. This database is unprotected."


def an_alarm(
    arn: str, minute: int, state: str = "ALARM", *, before: str = "OK", **changes: Any
) -> Mapping[str, Any]:
    """Return CloudWatch's message."""
    event = an_alarm_event(
        arn,
        state=state,
        OldStateValue="ALARM" if state == "OK" and before == "OK" else before,
        StateChangeTime=at(minute).isoformat(),
        **{"AlarmDescription": UNPROTECTED, **changes},
    )
    message: Mapping[str, Any] = json.loads(event["Records"][0]["Sns"]["Message"])
    return message


def test_a_fault_with_four_alarms_a_crash_and_their_oks_is_one_message(
    outside: Outside, slack: SlackDouble
) -> None:
    heartbeat = {"source": "aws.events"}
    crash = a_crash() | {"timestamp": at(27).isoformat(), "requestPayload": heartbeat}
    outside.deliver(crash)
    for minute, alarm in enumerate((FAILED, NO_HEARTBEAT, LOCKED_OUT, DIRECT), start=28):
        outside.now = at(minute)
        outside.deliver(an_alarm(alarm, minute))
    (message,) = slack.channel_view
    assert outside.progress() is Progress.ESCALATED
    assert "This database is unprotected" in everything_said(slack)

    for minute, alarm in enumerate((FAILED, NO_HEARTBEAT, LOCKED_OUT, DIRECT), start=40):
        outside.now = at(minute)
        outside.deliver(an_alarm(alarm, minute, "OK"))
    outside.every_minute(1)

    assert slack.channel_view == [message]
    assert outside.progress() is Progress.CLOSED
    assert "recovered" in message.text
    assert states(outside)[-1] == "[RESOLVED]"
    assert outside.is_settled


def test_an_alarm_that_is_new_is_not_news(outside: Outside, slack: SlackDouble) -> None:
    outside.deliver(an_alarm(NO_HEARTBEAT, 0, "OK", before="INSUFFICIENT_DATA"))
    outside.deliver(an_alarm(NO_HEARTBEAT, 1, "INSUFFICIENT_DATA"))

    assert not slack.messages
    assert not outside.sns.messages


def test_the_same_alarm_twice_is_one_message(outside: Outside, slack: SlackDouble) -> None:
    for _ in range(2):
        outside.deliver(an_alarm(NO_HEARTBEAT, 0))

    assert len(slack.channel_view) == len(outside.sns.messages) == 1
    assert len(outside.incident.entries) == 1


def test_an_alarm_belongs_to_the_database_of_the_longest_name_that_it_begins_with(
    slack: SlackDouble,
) -> None:
    orders = WatchedDatabase("orders", is_cluster=False, function_name="responder-of-orders")
    outside = Outside(slack, stores_in_memory(), orders, ORDERS)

    outside.deliver(an_alarm(NO_HEARTBEAT, 0))

    assert outside.incident.database == ORDERS.identifier
    assert outside.incidents.latest("orders") is None


def test_an_alarm_about_what_all_databases_share_is_named_after_the_stack(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(
        an_alarm(DEAD_LETTERS, 0, AlarmDescription="The reporter could not read a message.")
    )

    assert "ConnectionGuard" in slack.channel_view[0].text
    assert "could not read a message" in everything_said(slack)
    assert "log-group/$252Faws$252Flambda$252Freporter" in everything_said(slack), "its own log"


def test_the_end_of_the_guard_s_own_trouble_does_not_end_a_shortage(outside: Outside) -> None:
    refusal = a_report(
        "observation", at(0), alarm="ALARM", used=97, escalation="refused: 80 % of all sessions"
    )
    outside.deliver(a_success(refusal, "run-1"))
    outside.deliver(an_alarm(FAILED, 1))
    outside.deliver(an_alarm(FAILED, 3, "OK"))

    assert outside.progress() is Progress.ESCALATED
    assert outside.incident.action_required == "refused: 80 % of all sessions"


def test_machines_find_the_incident_s_own_shape_on_the_topic(outside: Outside) -> None:
    outside.deliver(an_alarm(NO_HEARTBEAT, 0))

    (message,) = outside.sns.messages
    document = json.loads(json.loads(message["Message"])["default"])
    assert document["database"] == "orders-prod"
    assert document["schema_version"] >= 1


def test_a_webhook_gets_the_alarm_and_its_end(outside: Outside, slack: SlackDouble) -> None:
    outside.secret = SlackWebhook(slack.webhook)
    outside.deliver(an_alarm(NO_HEARTBEAT, 0))
    outside.now = at(4)
    outside.deliver(an_alarm(NO_HEARTBEAT, 4, "OK"))

    assert len(slack.channel_view) == 2
