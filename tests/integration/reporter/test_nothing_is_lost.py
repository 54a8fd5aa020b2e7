"""A failure in one step does not stop the others; Lambda's next try does what is missing."""

import json
from dataclasses import replace
from typing import Any

import pytest

from connection_guard.adapters.channels.slack_secret import SlackBot
from connection_guard.core.incident.progress import Progress
from connection_guard.errors import ForeignEventError, NotificationError, StoreError
from doubles.slack_double import SlackDouble
from tests.support.reporter.deliveries import (
    a_notification,
    a_report,
    a_success,
)
from tests.support.reporter.outside import (
    Outside,
    an_invocation,
    at,
    everything_said,
)


def test_slack_that_is_down_for_an_hour_gets_it_all_afterwards(
    outside: Outside, slack: SlackDouble
) -> None:
    slack.fail(times=1000)
    for minute in range(0, 60, 20):
        outside.now = at(minute)
        with pytest.raises(NotificationError, match="Slack"):
            outside.deliver(a_success(a_report("remediation", at(minute)), f"run-{minute}"))
    assert slack.channel_view == []
    assert outside.sns.subjects, "people were notified by e-mail"

    slack.recover()
    outside.now = at(61)
    outside.deliver(a_success(a_report("observation", at(61), alarm="OK", used=40), "run-61"))

    (message,) = slack.channel_view
    assert "resolved after" in json.dumps(message.content)
    assert len(slack.thread_of(message)) >= 3


def test_an_end_that_slack_did_not_take_is_posted_with_the_next_incident(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    (first,) = slack.channel_view
    slack.fail(times=1000)
    with pytest.raises(NotificationError):
        outside.deliver(a_success(a_report("observation", at(9), alarm="OK", used=40), "run-2"))
    assert "resolved after" not in json.dumps(first.content)

    slack.recover()
    for _ in range(2):
        outside.deliver(a_success(a_report("remediation", at(30)), "run-3"))

    assert "resolved after" in json.dumps(first.content)
    assert len(slack.channel_view) == 2
    assert [subject.partition(" ")[0] for subject in outside.sns.subjects].count("[resolved]") == 1


def test_sns_that_refuses_is_notified_by_lambdas_next_try_and_slack_not_twice(
    outside: Outside, slack: SlackDouble
) -> None:
    record = a_success(a_report("remediation", at(0)), "run-1")
    outside.sns.is_down = True
    with pytest.raises(NotificationError, match="incidents"):
        outside.deliver(record)
    assert len(slack.channel_view) == 1

    outside.sns.is_down = False
    outside.deliver(record)
    outside.deliver(record)

    assert len(outside.sns.messages) == 1
    (message,) = slack.channel_view
    assert len(slack.thread_of(message)) == 1


def test_a_throttled_table_stops_no_notification_and_lambdas_next_try_stores_the_entry(
    outside: Outside, slack: SlackDouble
) -> None:
    record = a_success(a_report("remediation", at(0)), "run-1")
    outside.store.table_is_throttled = True
    for _ in range(2):
        with pytest.raises(StoreError, match="Throttling"):
            outside.deliver(record)
    assert len(outside.sns.messages) == 1
    assert any(key.startswith("evidence/") for key in outside.objects)

    outside.store.table_is_throttled = False
    outside.deliver(record)

    assert outside.incident.terminated
    assert len(slack.channel_view) == 1


def test_a_bucket_that_refuses_stops_no_notification_and_the_next_try_stores_the_evidence(
    outside: Outside, slack: SlackDouble
) -> None:
    record = a_success(a_report("remediation", at(0)), "run-1")
    outside.store.bucket_is_down = True
    with pytest.raises(StoreError, match="SlowDown"):
        outside.deliver(record)
    assert len(slack.channel_view) == len(outside.sns.messages) == 1

    outside.store.bucket_is_down = False
    outside.deliver(record)

    assert outside.incident.evidence in outside.objects
    assert len(slack.channel_view) == len(outside.sns.messages) == 1


def test_people_are_notified_once_of_a_message_that_cannot_be_read_and_lambda_keeps_it(
    outside: Outside,
) -> None:
    invocation = an_invocation()
    for _ in range(3):  # Lambda tries the same invocation again
        with pytest.raises(ForeignEventError):
            outside.reporter(
                a_notification({"requestContext": {"condition": "Success"}}), invocation
            )

    assert outside.sns.subjects == ["[unreadable report]"]


def test_a_report_that_is_not_as_its_schema_says_is_shown_with_its_headline(
    outside: Outside, slack: SlackDouble
) -> None:
    report = {**a_report("remediation", at(0)), "outcomes": None}
    outside.deliver(a_success(report, "run-1"))

    assert "malformed" in everything_said(slack)
    assert outside.progress() is Progress.ESCALATED


def test_no_secret_is_sent_stored_or_logged(
    outside: Outside, slack: SlackDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    slack.fail(times=1000)
    with pytest.raises(NotificationError) as error:
        outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    outside.secret = replace(
        SlackBot(slack.token, slack.channel), base_url="http://127.0.0.1:1/api/"
    )
    with pytest.raises(NotificationError) as other:
        outside.deliver(a_success(a_report("remediation", at(1)), "run-2"))

    logged = capsys.readouterr()
    said = f"{error.value}{other.value}{logged.out}{logged.err}"
    said += f"{outside.sns.messages}{outside.incident}"
    assert slack.token not in said


def test_a_throttled_lease_stops_no_notification(outside: Outside, slack: SlackDouble) -> None:
    record = a_success(a_report("remediation", at(0)), "run-1")
    outside.store.lease_is_throttled = True
    for _ in range(2):
        with pytest.raises(StoreError, match="Throttling"):
            outside.deliver(record)
    assert len(outside.sns.messages) == 1

    outside.store.lease_is_throttled = False
    outside.deliver(record)
    assert len(slack.channel_view) == 1


@pytest.mark.parametrize("moment", ["during", "after"])
@pytest.mark.parametrize("is_down", [False, True], ids=["Slack answers", "Slack is down"])
def test_what_comes_at_the_last_moment_of_a_notification_is_notified(
    outside: Outside, slack: SlackDouble, is_down: bool, moment: str
) -> None:
    """Also by a run that has no news of its own, and by one that Slack refuses."""
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    other = outside.another_process()
    end = a_success(a_report("observation", at(9), alarm="OK", used=40), "run-2")
    outside.let_happen(moment, lambda: other(a_notification(end), an_invocation()))
    if is_down:
        slack.fail(times=1000)
        with pytest.raises(NotificationError):
            outside.deliver(a_success(a_report("remediation", at(1)), "run-3"))
    else:
        outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
        assert "resolved after" in json.dumps(slack.channel_view[0].content)

    assert outside.sns.subjects[-1].startswith("[resolved]")


@pytest.mark.parametrize("moment", ["during", "after"])
def test_an_incident_that_begins_during_the_last_one_s_notification_is_notified(
    outside: Outside, slack: SlackDouble, moment: str
) -> None:
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    other = outside.another_process()
    next_one = a_success(a_report("remediation", at(30)), "run-3")
    outside.let_happen(moment, lambda: other(a_notification(next_one), an_invocation()))

    outside.deliver(a_success(a_report("observation", at(9), alarm="OK", used=40), "run-2"))

    assert len(slack.channel_view) == 2
    assert outside.incident.slack is not None


@pytest.mark.parametrize(
    "wrong", [{"attempt": None}, {"evidence": {"format": 1}}, {"evidence": 7}, {"spared": [1]}]
)
def test_a_report_with_one_wrong_field_is_notified_and_spoils_nothing_that_comes_after(
    outside: Outside, slack: SlackDouble, wrong: dict[str, Any]
) -> None:
    outside.deliver(a_success({**a_report("remediation", at(0)), **wrong}, "run-1"))
    assert len(outside.sns.messages) == len(slack.channel_view) == 1

    outside.deliver(a_success(a_report("remediation", at(1)), "run-2"))
    assert len(outside.incident.entries) == 2


def test_people_are_notified_of_each_message_that_cannot_be_read(outside: Outside) -> None:
    for number in range(3):
        with pytest.raises(ForeignEventError):
            outside.deliver({"requestContext": {"condition": "Success", "requestId": str(number)}})

    assert len(outside.sns.messages) == 3
