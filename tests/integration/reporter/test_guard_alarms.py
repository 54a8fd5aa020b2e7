"""Alarms about the guard itself reach Slack through the reporter's entry point, over real HTTP."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from connection_guard.adapters.channels.slack_secret import SlackBot, SlackSecret, SlackWebhook
from connection_guard.errors import NotificationError
from doubles.slack_double import SlackDouble
from reporter.guard_alarms import notify_of_guard_alarm
from tests.support.builders import an_alarm_event

REPORTER = "ConnectionGuard-Reporter"
NO_HEARTBEAT = (
    "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:connection-guard-orders-no-heartbeat"
)
Notify = Callable[[Mapping[str, Any]], None]


def notifying(secret: SlackSecret | None) -> Notify:
    return partial(
        notify_of_guard_alarm,
        slack_secret=None if secret is None else lambda: secret,
        region="eu-central-1",
        function=REPORTER,
    )


@pytest.fixture(params=["bot", "webhook"])
def notify(slack: SlackDouble, request: pytest.FixtureRequest) -> Notify:
    bot = SlackBot(slack.token, slack.channel, slack.base_url)
    return notifying(bot if request.param == "bot" else SlackWebhook(slack.webhook))


def of_the_reporter(state: str = "ALARM") -> dict[str, Any]:
    trigger = {"Dimensions": [{"value": REPORTER, "name": "FunctionName"}]}
    return an_alarm_event(NO_HEARTBEAT, state=state, Trigger=trigger)


def test_slack_hears_of_an_alarm_and_of_its_end(slack: SlackDouble, notify: Notify) -> None:
    notify(
        an_alarm_event(
            NO_HEARTBEAT,
            AlarmDescription="orders: No heartbeat for 3 minutes. This database is unprotected.",
        )
    )
    notify(an_alarm_event(NO_HEARTBEAT, state="OK", OldStateValue="ALARM"))

    on, over = slack.channel_view
    assert on.text == "🔴 Connection Guard: alarm connection-guard-orders-no-heartbeat is on"
    assert "This database is unprotected." in json.dumps(on.content)
    assert over.text == "🟢 Connection Guard: alarm connection-guard-orders-no-heartbeat cleared"


def test_an_alarm_that_is_new_is_not_news(slack: SlackDouble, notify: Notify) -> None:
    notify(an_alarm_event(NO_HEARTBEAT, state="OK", OldStateValue="INSUFFICIENT_DATA"))

    assert slack.channel_view == []


def test_what_slack_did_not_take_is_left_to_lambdas_next_try(
    slack: SlackDouble, notify: Notify
) -> None:
    slack.fail(404)
    with pytest.raises(NotificationError, match="Slack"):
        notify(an_alarm_event(NO_HEARTBEAT))

    notify(an_alarm_event(NO_HEARTBEAT))
    assert len(slack.channel_view) == 1


def test_that_the_reporter_itself_fails_is_tried_once_since_each_failure_would_set_it_off_anew(
    slack: SlackDouble, notify: Notify
) -> None:
    slack.fail(404)
    notify(of_the_reporter())
    assert slack.channel_view == []

    notify(of_the_reporter())
    assert len(slack.channel_view) == 1


def test_what_the_reporter_itself_publishes_on_the_topic_is_ignored(
    slack: SlackDouble, notify: Notify
) -> None:
    event = an_alarm_event(NO_HEARTBEAT)
    event["Records"][0]["Sns"]["Message"] = json.dumps({"schema_version": 1, "database": "orders"})
    notify(event)

    assert slack.channel_view == []


def test_where_slack_is_not_notified_nothing_is_done() -> None:
    notifying(None)(an_alarm_event(NO_HEARTBEAT))
