"""What becomes of a delivery: stored, added to its incident, and shown in Slack over real HTTP."""

import gzip
import json
from datetime import datetime
from typing import Any

import pytest

from connection_guard.adapters.channels.slack_secret import SlackWebhook
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from doubles.slack_double import SlackDouble
from tests.support.reporter.deliveries import (
    a_crash,
    a_report,
    a_success,
)
from tests.support.reporter.outside import (
    Outside,
    a_recovery,
    at,
    everything_said,
    on_a_heartbeat,
    states,
)


@pytest.fixture
def outside(on_aws: Outside) -> Outside:
    """Use a bucket and a table as AWS has them; the other files' stores are in memory."""
    return on_aws


def test_from_the_first_alarm_to_the_recovery_there_is_one_message(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(
        a_success(a_report("observation", at(0), tier="warning", alarm="ALARM", used=75), "run-1")
    )
    (message,) = slack.channel_view
    assert outside.progress() is Progress.OPEN

    outside.deliver(a_success(a_report("remediation", at(3)), "run-2"))
    outside.deliver(
        a_success(a_report("observation", at(9), tier="critical", alarm="OK", used=40), "run-3")
    )
    outside.deliver(
        a_success(a_report("observation", at(10), tier="warning", alarm="OK", used=40), "run-4")
    )

    assert slack.channel_view == [message]
    assert outside.progress() is Progress.CLOSED
    assert "recovered after" in message.text
    assert len(slack.thread_of(message)) >= 1
    assert states(outside) == ["[WARNING]", "[RECOVERING]", "[RESOLVED]"]


def test_an_alarm_that_ends_above_the_target_ends_its_incident_and_the_next_one_is_notified(
    outside: Outside, slack: SlackDouble
) -> None:
    """The attempt leaves 70 of 97 connections in use: 72 %, below every alarm's threshold and above
    the target.
    """
    attempt = a_report("remediation", at(0), recovered=False)
    attempt["after"] |= {"used": 70, "utilisation": 72.2}
    outside.deliver(a_success(attempt, "run-1"))
    outside.deliver(a_success(a_report("observation", at(4), alarm="OK", used=70), "run-2"))
    assert outside.progress() is Progress.CLOSED

    outside.now = at(60)
    outside.deliver(a_success(a_report("remediation", at(60)), "run-3"))

    assert len(slack.channel_view) == 2
    first, second = slack.channel_view
    assert "recovered after 4 min" in json.dumps(first.content)
    assert "67 of 97 in use" in second.text
    assert states(outside) == ["[CRITICAL]", "[RESOLVED]", "[RECOVERING]"]


def test_people_learn_that_action_is_no_longer_required_before_the_alarm_clears(
    outside: Outside, slack: SlackDouble
) -> None:
    refusal = a_report(
        "observation", at(0), alarm="ALARM", used=97, escalation="refused: 80 % of all sessions"
    )
    outside.deliver(a_success(refusal, "run-1"))
    outside.deliver(a_success(a_recovery(5), "run-2"))

    (message,) = slack.channel_view
    assert "is back below target" in message.text
    assert "Action no longer needed" in message.text
    assert "Do now" not in json.dumps(message.content)
    document = json.loads(json.loads(outside.sns.messages[-1]["Message"])["default"])
    assert (states(outside), document["progress"]) == (
        ["[ACTION REQUIRED]", "[RECOVERING]"],
        "recovering",
    )

    outside.deliver(a_success(a_report("observation", at(9), alarm="OK", used=60), "run-3"))
    assert states(outside)[2:] == ["[RESOLVED]"]


def test_people_are_notified_of_an_alarm_that_fires_again_while_action_is_required(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(
        a_success(a_report("observation", at(0), tier="warning", alarm="ALARM", used=80), "run-0")
    )
    refusal = a_report(
        "observation", at(1), alarm="ALARM", used=97, escalation="refused: 80 % of all sessions"
    )
    outside.deliver(a_success(refusal, "run-1"))
    outside.deliver(a_success(a_report("observation", at(5), alarm="OK", used=80), "run-2"))
    outside.deliver(a_success(a_report("observation", at(9), alarm="ALARM", used=95), "run-3"))

    (message,) = slack.channel_view
    assert states(outside) == ["[WARNING]", "[ACTION REQUIRED]", "[ACTION REQUIRED]"]
    assert "run-3" in json.dumps([reply.content for reply in slack.thread_of(message)])


def test_an_incident_whose_alarm_s_ok_was_lost_closes_when_the_next_begins(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_success(a_report("observation", at(0), alarm="ALARM", used=97), "run-1"))
    outside.deliver(a_success(a_recovery(5), "run-2"))
    outside.deliver(a_success(a_report("observation", at(90), alarm="ALARM", used=97), "run-3"))
    outside.deliver(a_success(a_report("observation", at(91), alarm="ALARM", used=97), "run-3"))

    first, second = slack.channel_view
    assert "has a newer incident" in first.text
    assert "97 of 97 in use" in second.text
    assert sorted(states(outside)) == [
        "[CRITICAL]",
        "[CRITICAL]",
        "[FOLLOWED BY ANOTHER INCIDENT]",
    ]
    assert outside.is_settled


def test_no_message_claims_that_a_killed_run_terminated_no_session(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_crash())

    mail = json.loads(outside.sns.messages[0]["Message"])
    assert "*Terminated*: not known; see the log" in everything_said(slack)
    assert "It is not known whether sessions were terminated" in mail["email"]
    assert "No session was terminated" not in mail["email"]
    assert json.loads(mail["default"])["has_unknown_outcomes"] is True


def test_duplicates_change_nothing(outside: Outside, slack: SlackDouble) -> None:
    for _ in range(3):
        outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))

    (message,) = slack.channel_view
    assert len(slack.thread_of(message)) == 2, "the details, and the run"
    assert len(outside.sns.messages) == 1
    assert len(outside.incident.entries) == 1


def test_a_database_is_looked_at_once_however_often_others_write_meanwhile(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    puts: list[str] = []
    look, put = outside._look, outside.incidents.put

    def counted_look(database: WatchedDatabase, now: datetime) -> Circumstances:
        looks.append(database.identifier)
        return look(database, now)

    def lost_twice(incident: Incident, **how: Any) -> bool:
        puts.append(incident.id)
        return len(puts) > 2 and put(incident, **how)

    monkeypatch.setattr(outside, "_look", counted_look)
    monkeypatch.setattr(outside.incidents, "put", lost_twice)
    outside.another_process()

    outside.deliver(a_success(a_report("remediation", at(0))))

    assert (looks, len(puts)) == (["orders-prod"], 3)
    assert outside.incident.entries


def test_evidence_is_a_line_a_session_and_the_report_beside_it(outside: Outside) -> None:
    report = a_report("remediation", at(0))
    outside.deliver(a_success(report, "run-1"))

    lines, whole = outside.objects[outside.incident.evidence or ""], outside.objects
    rows = [json.loads(line) for line in gzip.decompress(lines).splitlines()]
    assert len(rows) == report["evidence"]["sessions"]
    (document,) = [json.loads(body) for key, body in whole.items() if key.startswith("reports/")]
    assert document["headline"] == report["headline"]


def test_a_crash_of_the_responder_is_an_incident_of_its_database(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_crash())

    assert outside.progress() is Progress.ESCALATED
    assert "memory" in everything_said(slack)
    assert outside.sns.subjects[0].startswith("[ACTION REQUIRED] orders-prod")
    assert [key.partition("/")[0] for key in outside.objects] == ["failures"]


def test_through_a_webhook_each_change_is_a_message(outside: Outside, slack: SlackDouble) -> None:
    outside.secret = SlackWebhook(slack.webhook)
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    outside.deliver(a_success(on_a_heartbeat(a_report("remediation", at(1))), "run-2"))
    outside.deliver(a_success(a_report("observation", at(9), alarm="OK", used=40), "run-3"))

    assert len(slack.channel_view) == 2
    assert "recovered after" in json.dumps(slack.channel_view[-1].content)
    assert states(outside) == ["[RECOVERING]", "[RESOLVED]"]
