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
UNGUARDED = f"{ARN}ConnectionGuard-orders-prod-unguarded"
LIMIT = f"{ARN}ConnectionGuard-orders-prod-limit"
DEAD_LETTERS = f"{ARN}ConnectionGuard-undelivered-reports"

UNPROTECTED = "orders-prod: For 3 minutes the guard could not work. This database is unprotected."


def an_alarm(
    arn: str, minute: float, state: str = "ALARM", *, before: str = "OK", **changes: Any
) -> Mapping[str, Any]:
    """Return CloudWatch's message."""
    own = {
        "OldStateValue": "ALARM" if state == "OK" and before == "OK" else before,
        "StateChangeTime": at(minute).isoformat(),
        "AlarmDescription": UNPROTECTED,
    }
    event = an_alarm_event(arn, state=state, **{**own, **changes})
    message: Mapping[str, Any] = json.loads(event["Records"][0]["Sns"]["Message"])
    return message


def test_a_fault_with_two_alarms_a_crash_and_their_oks_is_one_message(
    outside: Outside, slack: SlackDouble
) -> None:
    heartbeat = {"source": "aws.events"}
    crash = a_crash() | {"timestamp": at(27).isoformat(), "requestPayload": heartbeat}
    outside.deliver(crash)
    for minute, alarm in enumerate((UNGUARDED, LIMIT), start=28):
        outside.now = at(minute)
        outside.deliver(an_alarm(alarm, minute))
    (message,) = slack.channel_view
    assert outside.progress() is Progress.ESCALATED
    assert "This database is unprotected" in everything_said(slack)

    for minute, alarm in enumerate((UNGUARDED, LIMIT), start=40):
        outside.now = at(minute)
        outside.deliver(an_alarm(alarm, minute, "OK"))
    outside.every_minute(1)

    assert slack.channel_view == [message]
    assert outside.progress() is Progress.CLOSED
    assert "recovered" in message.text
    assert states(outside)[-1] == "[RESOLVED]"
    assert outside.is_settled


def test_an_alarm_that_is_new_is_not_news(outside: Outside, slack: SlackDouble) -> None:
    outside.deliver(an_alarm(UNGUARDED, 0, "OK", before="INSUFFICIENT_DATA"))
    outside.deliver(an_alarm(UNGUARDED, 1, "INSUFFICIENT_DATA"))

    assert not slack.messages
    assert not outside.sns.messages


def test_the_same_alarm_twice_is_one_message(outside: Outside, slack: SlackDouble) -> None:
    for _ in range(2):
        outside.deliver(an_alarm(UNGUARDED, 0))

    assert len(slack.channel_view) == len(outside.sns.messages) == 1
    assert len(outside.incident.entries) == 1


def test_an_alarm_belongs_to_the_database_whose_metrics_it_watches(slack: SlackDouble) -> None:
    orders = WatchedDatabase("orders", is_cluster=False, function_name="responder-of-orders")
    outside = Outside(slack, stores_in_memory(), orders, ORDERS)

    outside.deliver(an_alarm(f"{ARN}Guard-orders-unguarded", 0))

    assert outside.incident.database == ORDERS.identifier
    assert outside.incidents.latest("orders") is None


def test_an_alarm_of_a_database_that_is_no_longer_guarded_is_still_named_after_it(
    slack: SlackDouble,
) -> None:
    orders = WatchedDatabase("orders", is_cluster=False, function_name="responder-of-orders")
    outside = Outside(slack, stores_in_memory(), orders)

    outside.deliver(an_alarm(UNGUARDED, 0))

    assert "orders-prod may be unprotected" in slack.channel_view[0].text


def test_an_alarm_about_what_all_databases_share_is_named_after_the_stack(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(
        an_alarm(
            DEAD_LETTERS,
            0,
            AlarmDescription="The reporter could not read a message.",
            Trigger={"Dimensions": [{"name": "QueueName", "value": "unreadable"}]},
        )
    )

    assert "ConnectionGuard" in slack.channel_view[0].text
    assert "could not read a message" in everything_said(slack)
    assert "log-group/$252Faws$252Flambda$252Freporter" in everything_said(slack), "its own log"


def test_the_end_of_the_guard_s_own_trouble_does_not_end_a_shortage(outside: Outside) -> None:
    refusal = a_report(
        "observation", at(0), alarm="ALARM", used=97, escalation="refused: 80 % of all sessions"
    )
    outside.deliver(a_success(refusal, "run-1"))
    outside.deliver(an_alarm(LIMIT, 1))
    outside.deliver(an_alarm(LIMIT, 3, "OK"))

    assert outside.progress() is Progress.ESCALATED
    assert outside.incident.action_required == "refused: 80 % of all sessions"


def test_machines_find_the_incident_s_own_shape_on_the_topic(outside: Outside) -> None:
    outside.deliver(an_alarm(UNGUARDED, 0))

    (message,) = outside.sns.messages
    document = json.loads(json.loads(message["Message"])["default"])
    assert document["database"] == "orders-prod"
    assert document["schema_version"] >= 1


def test_a_webhook_gets_the_alarm_and_its_end(outside: Outside, slack: SlackDouble) -> None:
    outside.secret = SlackWebhook(slack.webhook)
    outside.deliver(an_alarm(UNGUARDED, 0))
    outside.now = at(4)
    outside.deliver(an_alarm(UNGUARDED, 4, "OK"))

    assert len(slack.channel_view) == 2
