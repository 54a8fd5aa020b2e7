"""What is stored is notified, whenever it becomes possible; a failing channel delays no other."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connection_guard.adapters.channels.slack_secret import SlackBot, SlackWebhook
from connection_guard.core.incident.progress import Progress
from connection_guard.errors import NotificationError, StoreError
from doubles.slack_double import SlackDouble
from tests.support.reporter.deliveries import a_report, a_success
from tests.support.reporter.faults import Fault, KilledError
from tests.support.reporter.outside import (
    Outside,
    at,
    everything_said,
    on_a_heartbeat,
    states,
)


def an_attempt(minute: int, **changes: Any) -> dict[str, Any]:
    return a_success(a_report("remediation", at(minute), **changes), f"run-{minute}")


def of_function(function: str, report: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a responder that guards another database."""
    return a_success(report, f"run of {function}", function)


def an_ok(minute: int) -> dict[str, Any]:
    return a_success(a_report("observation", at(minute), alarm="OK", used=40), f"run-{minute}")


def an_alarm(minute: int, **changes: Any) -> dict[str, Any]:
    return a_success(
        a_report("observation", at(minute), alarm="ALARM", used=97, **changes), f"run-{minute}"
    )


# A channel is down


def test_slack_that_is_down_for_an_hour_gets_it_all_afterwards_without_another_report(
    outside: Outside, slack: SlackDouble
) -> None:
    slack.fail(times=1000)
    for minute in range(0, 60, 20):
        outside.now = at(minute)
        outside.deliver(an_attempt(minute))
    outside.now = at(61)
    outside.deliver(an_ok(61))
    assert slack.channel_view == []
    assert states(outside)[0] == "[RECOVERING]", "e-mail did not wait for Slack"

    slack.recover()
    outside.every_minute(20)

    (message,) = slack.channel_view
    assert "recovered" in message.text.lower()
    assert len(slack.thread_of(message)) >= 4
    assert states(outside)[-1] == "[RESOLVED]"
    assert outside.is_settled


def test_the_end_that_slack_did_not_take_is_shown_although_another_incident_has_begun(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(an_attempt(0))
    (first,) = slack.channel_view
    slack.fail(times=1000)
    outside.now = at(9)
    outside.deliver(an_ok(9))
    outside.now = at(50)
    outside.deliver(an_attempt(50, alarm="ALARM"))
    assert "recovered" not in first.text.lower()

    slack.recover()
    outside.every_minute(2)

    assert "recovered" in first.text.lower()
    assert len(slack.channel_view) == 2
    assert states(outside).count("[RESOLVED]") == 1


def test_e_mail_that_is_refused_is_sent_later_and_slack_is_not_notified_twice(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.sns.is_down = True
    outside.deliver(an_attempt(0))
    (message,) = slack.channel_view

    outside.sns.is_down = False
    outside.every_minute(2)
    outside.every_minute(2)

    assert len(outside.sns.messages) == 1
    assert slack.channel_view == [message]
    assert message.edits == []


def test_slack_that_drips_delays_no_e_mail_and_repeats_none(
    outside: Outside, slack: SlackDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporter.lane.CALL_SECONDS", 0.5)
    slack.drip(times=1000)
    outside.deliver(an_attempt(0))
    assert len(outside.sns.messages) == 1

    for _ in range(2):
        outside.deliver(an_attempt(0))

    assert len(outside.sns.messages) == 1
    assert not outside.is_settled


def test_a_channel_that_fails_for_long_is_a_failure_of_the_schedule_s_run(
    outside: Outside, slack: SlackDouble
) -> None:
    slack.refuse("invalid_auth", times=1000)
    outside.deliver(an_attempt(0))
    outside.every_minute(5)

    with pytest.raises(NotificationError, match="since 03:00 UTC people could not be notified"):
        outside.every_minute(10)


def test_a_token_that_was_rotated_is_read_again(outside: Outside, slack: SlackDouble) -> None:
    outside.secret = SlackBot("xoxb-old", slack.channel, slack.base_url)
    outside.secret_anew = SlackBot(slack.token, slack.channel, slack.base_url)

    outside.deliver(an_attempt(0))

    assert len(slack.channel_view) == 1


def test_a_message_that_slack_refuses_for_ever_holds_up_no_other_incident(
    outside: Outside, slack: SlackDouble
) -> None:
    slack.refuse("restricted_action")
    outside.deliver(an_attempt(0))
    outside.deliver(of_function("payments", a_report("remediation", at(0), database="payments")))

    assert ["payments" in message.text for message in slack.channel_view] == [True]

    outside.every_minute(3)
    assert len(slack.channel_view) == 2


# A store is down


def test_without_the_table_people_get_the_headline_once_in_ten_minutes(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.faults.down = {"incidents"}
    for minute in range(10):
        outside.now = at(minute)
        outside.another_process()
        with pytest.raises(StoreError, match="Throttling"):
            outside.deliver(an_attempt(minute))
    assert len(outside.sns.messages) == len(slack.channel_view) == 1
    assert any(key.startswith("evidence/") for key in outside.objects)

    outside.now = at(10)
    with pytest.raises(StoreError):
        outside.deliver(an_attempt(10))
    assert len(outside.sns.messages) == len(slack.channel_view) == 2


def test_what_the_table_refused_is_stored_and_notified_when_the_queue_brings_it_again(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.faults.down = {"incidents"}
    outside.keep_delivering(an_attempt(0))
    outside.time.sleep(3600)
    assert len(slack.channel_view) <= 7

    outside.faults.down = set()
    outside.time.sleep(300)

    assert outside.incident.terminated
    assert outside.is_settled


def test_a_bucket_that_refuses_stops_no_notification_and_the_next_try_stores_the_evidence(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.faults.down = {"bucket"}
    for _ in range(3):
        with pytest.raises(StoreError, match="Throttling"):
            outside.deliver(an_attempt(0))
    assert len(slack.channel_view) == len(outside.sns.messages) == 1

    outside.faults.down = set()
    outside.deliver(an_attempt(0))

    assert outside.incident.evidence in outside.objects
    assert len(slack.channel_view) == len(outside.sns.messages) == 1


def test_lanes_that_cannot_be_claimed_only_delay(outside: Outside, slack: SlackDouble) -> None:
    outside.faults.down = {"lanes"}
    outside.deliver(an_attempt(0))
    assert slack.channel_view == []

    outside.faults.down = set()
    outside.every_minute(1)
    assert len(slack.channel_view) == len(outside.sns.messages) == 1


def test_a_run_that_dies_while_it_has_the_lane_loses_nothing(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.faults.before("incidents.put_notified", outside.faults.kill)
    with pytest.raises(KilledError):
        outside.deliver(an_attempt(0))

    outside.another_process()
    outside.deliver(an_ok(9))
    outside.every_minute(2)

    assert all("recovered" in message.text.lower() for message in slack.channel_view[-1:])
    assert states(outside)[-1] == "[RESOLVED]"
    assert outside.is_settled


# Messages that cannot be read


def test_what_cannot_be_read_goes_to_the_dead_letter_queue(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver({"requestContext": {"condition": "Success"}})
    outside.deliver("no JSON")

    assert len(outside.unreadable) == 2
    assert json.loads(outside.unreadable[1])["Message"] == "no JSON"
    assert not slack.messages
    assert not outside.sns.messages


def test_what_cannot_be_read_stays_in_the_queue_while_the_other_refuses_it(
    outside: Outside,
) -> None:
    outside.faults.down = {"queue"}
    with pytest.raises(StoreError):
        outside.deliver("no JSON")


def test_a_report_that_is_not_as_its_schema_says_is_shown_with_its_headline(
    outside: Outside, slack: SlackDouble
) -> None:
    report = {**a_report("remediation", at(0)), "outcomes": None}
    outside.deliver(a_success(report, "run-1"))

    assert "malformed" in everything_said(slack)
    assert outside.progress() is Progress.ESCALATED


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


def test_no_secret_is_sent_stored_or_logged(
    outside: Outside, slack: SlackDouble, caplog: pytest.LogCaptureFixture
) -> None:
    slack.fail(times=1000)
    outside.deliver(an_attempt(0))
    outside.secret = replace(
        SlackBot(slack.token, slack.channel), base_url="http://127.0.0.1:1/api/"
    )
    outside.deliver(an_attempt(1))

    assert "Slack" in caplog.text
    said = f"{caplog.text}{outside.sns.messages}{outside.incident}"
    assert slack.token not in said


# Others at the same time


@pytest.mark.parametrize("call", ["lanes.release", "incidents.put_notified", "incidents.settle"])
def test_what_comes_while_another_run_notifies_is_notified(
    outside: Outside, slack: SlackDouble, call: str
) -> None:
    outside.faults.before(call, lambda: outside.deliver(an_ok(9)))
    outside.deliver(an_attempt(0))
    outside.every_minute(1)

    (message,) = slack.channel_view
    assert "recovered" in message.text.lower()
    assert states(outside)[-1] == "[RESOLVED]"
    assert outside.is_settled


def test_another_incident_that_begins_meanwhile_gets_one_message(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(an_attempt(0))
    outside.faults.before(
        "incidents.put_notified", lambda: outside.deliver(an_attempt(50, alarm="ALARM"))
    )
    outside.now = at(50)
    outside.deliver(an_ok(9))
    outside.every_minute(2)

    assert len(slack.channel_view) == 2
    assert "recovered" in slack.channel_view[0].text.lower()


def test_a_delivery_leaves_the_channel_to_the_run_that_has_its_lane(
    outside: Outside, slack: SlackDouble
) -> None:
    at_the_same_time: list[int] = []

    def comes_now() -> None:
        outside.deliver(an_attempt(1))
        at_the_same_time.append(len(slack.messages))

    outside.faults.before("lanes.keep", comes_now)
    outside.deliver(an_attempt(0))
    outside.every_minute(1)

    (message,) = slack.channel_view
    runs = [reply for reply in slack.thread_of(message) if "Attempt" in reply.text]
    assert len(runs) == 2


# The same, again and again


def test_with_a_webhook_ten_deliveries_are_one_message_and_one_e_mail(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.secret = SlackWebhook(slack.webhook)
    for minute in range(10):
        outside.now = at(minute)
        attempt = a_report("remediation", at(minute), recovered=False)
        attempt["after"] = attempt["before"]
        outside.deliver(a_success(on_a_heartbeat(attempt), f"run-{minute}"))

    assert len(slack.channel_view) == len(outside.sns.messages) == 1


def test_an_incident_of_thirty_turns_does_not_go_mute(outside: Outside, slack: SlackDouble) -> None:
    for turn in range(30):
        outside.now = at(10 * turn)
        outside.deliver(an_alarm(10 * turn, escalation=f"reason {chr(97 + turn % 26)}"))
        outside.now = at(10 * turn + 5)
        outside.deliver(an_ok(10 * turn + 5))
    outside.now = at(305)
    outside.deliver(an_alarm(305, escalation="the last reason", escalation_code="the last"))
    outside.every_minute(20)

    assert "the last reason" in slack.channel_view[-1].text or "the last reason" in json.dumps(
        slack.channel_view[-1].content
    )
    assert states(outside)[-1] == "[ACTION REQUIRED]"


def test_an_alarm_that_flaps_for_an_hour_is_one_message_and_a_few_e_mails(
    outside: Outside, slack: SlackDouble
) -> None:
    for turn in range(15):
        outside.now = max(outside.now, at(4 * turn))
        outside.deliver(an_alarm(4 * turn))
        outside.now = max(outside.now, at(4 * turn + 2))
        outside.deliver(an_ok(4 * turn + 2))
        outside.notify_pending()
    outside.every_minute(30)

    assert len(slack.channel_view) == 1
    assert len(outside.sns.messages) <= 7
    assert states(outside)[-1] == "[RESOLVED]"
    assert outside.is_settled


def test_an_ok_that_overtakes_its_alarm_leaves_no_incident_open(outside: Outside) -> None:
    outside.deliver(an_attempt(0, alarm="ALARM"))
    outside.deliver(an_ok(5))
    refused = an_alarm(40, escalation="refused: 80 % of all sessions")
    outside.now = at(42)
    outside.deliver(an_ok(42))
    outside.deliver(refused)
    outside.every_minute(2)

    assert outside.progress() is Progress.CLOSED
    assert states(outside)[-1] == "[RESOLVED]"


def test_what_waits_is_sent_when_its_time_comes_even_if_every_answer_was_lost(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.faults.at = dict.fromkeys(range(0, 400, 7), Fault.UNANSWERED)
    outside.keep_delivering(an_attempt(0, alarm="ALARM"))
    outside.keep_delivering(an_ok(9))
    outside.time.sleep(timedelta(hours=1).total_seconds())
    outside.faults.at = {}
    outside.every_minute(20)

    assert "recovered" in slack.channel_view[-1].text.lower()
    assert states(outside)[-1] == "[RESOLVED]"
    assert outside.is_settled
