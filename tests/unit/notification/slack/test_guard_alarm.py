"""An alarm on the guard itself: what is read of its notification, and what Slack shows."""

import json
from typing import Any

import pytest

from connection_guard.core.notification.slack.guard_alarm import (
    comes_from,
    message_of_alarm,
    read_guard_alarm,
)
from tests.support.builders import an_alarm_event

TOPIC = "arn:aws:sns:eu-central-1:123456789012:incidents"
LOCKED_OUT = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:connection-guard-orders-locked-out"


def a_notification(state: str = "ALARM", before: str = "OK", **more: Any) -> dict[str, Any]:
    more = {
        "OldStateValue": before,
        "AlarmDescription": "orders: No door opened: nobody frees slots.",
        **more,
    }
    event = an_alarm_event(LOCKED_OUT, state=state, **more)
    event["Records"][0]["Sns"]["TopicArn"] = TOPIC
    return event


def shown(event: dict[str, Any]) -> str:
    alarm = read_guard_alarm(event)
    assert alarm is not None
    return json.dumps(message_of_alarm(alarm, "eu-central-1").blocks, ensure_ascii=False)


def test_an_alarm_says_what_happened_what_to_do_and_where_to_look() -> None:
    alarm = read_guard_alarm(a_notification())
    assert alarm is not None
    message = message_of_alarm(alarm, "eu-central-1")
    assert message.text == "🔴 Connection Guard: alarm connection-guard-orders-locked-out is on"
    text = shown(a_notification())
    assert "No door opened: nobody frees slots." in text
    assert "Threshold Crossed" in text
    assert "#alarmsV2:alarm/connection-guard-orders-locked-out|Alarm>" in text


def test_its_end_is_shown_without_what_no_longer_has_to_be_done() -> None:
    alarm = read_guard_alarm(a_notification("OK", "ALARM"))
    assert alarm is not None
    message = message_of_alarm(alarm, "eu-central-1")
    assert message.text == "🟢 Connection Guard: alarm connection-guard-orders-locked-out cleared"
    assert "nobody frees slots" not in shown(a_notification("OK", "ALARM"))


@pytest.mark.parametrize(
    ("state", "before", "is_news"),
    [
        ("ALARM", "OK", True),
        ("ALARM", "INSUFFICIENT_DATA", True),
        ("OK", "ALARM", True),
        ("OK", "INSUFFICIENT_DATA", False),  # each alarm says so once when it is new
    ],
)
def test_it_is_news_that_it_fires_and_that_it_clears(
    state: str, before: str, is_news: bool
) -> None:
    alarm = read_guard_alarm(a_notification(state, before))
    assert alarm is not None
    assert alarm.is_news is is_news


def test_the_function_that_it_watches_is_known() -> None:
    trigger = {"Dimensions": [{"value": "the-reporter", "name": "FunctionName"}]}
    alarm = read_guard_alarm(a_notification(Trigger=trigger))
    assert alarm is not None
    assert alarm.function == "the-reporter"


def test_names_and_descriptions_neither_mention_nor_format_nor_make_a_message_too_long() -> None:
    text = shown(
        a_notification(
            AlarmDescription=f"<!channel> *bold* {'x' * 5000}", NewStateReason="<@U1> " * 500
        )
    )
    assert "<!channel>" not in text
    assert "<@U1>" not in text
    assert "*bold*" not in text
    assert len(text) < 3000


@pytest.mark.parametrize(
    "message",
    ["", "[]", "7", "null", "{}", '{"AlarmName": "x"}', '{"database": "orders"}', "[" * 100_000],
)
def test_any_other_message_of_the_topic_is_not_an_alarm(message: str) -> None:
    event = a_notification()
    event["Records"][0]["Sns"]["Message"] = message
    assert comes_from(event, TOPIC)
    assert read_guard_alarm(event) is None


@pytest.mark.parametrize(
    "event", [{}, {"Records": []}, {"Records": [{}]}, {"Records": None}, {"Records": [{"Sns": 7}]}]
)
def test_what_is_not_a_notification_comes_from_no_topic(event: dict[str, Any]) -> None:
    assert not comes_from(event, TOPIC)


def test_another_topics_message_does_not_come_from_this_one() -> None:
    assert not comes_from(an_alarm_event(), TOPIC)
