"""The thread in Slack: a reply per attempt, and what is not worth one."""

import pytest

from connection_guard.core.deployment.reporter_settings import Owner
from connection_guard.core.incident.entry import GUARD_ALARM, Entry
from connection_guard.core.notification.channel.news import thread_entries
from connection_guard.core.notification.slack.slack_message import alert_of
from connection_guard.core.notification.slack.slack_thread import thread_of
from connection_guard.core.policy import Tier
from tests.support.reporter.incidents import (
    LINKS,
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
    given_up,
)
from tests.support.reporter.slack import shown
from tests.support.reporter.views import a_view


def test_a_reply_shows_one_attempt_in_short() -> None:
    entry = an_entry(
        survived=2, attempt=3, escalation="attempts have run out", problems=("one", "two", "three")
    )

    message = thread_of(entry, LINKS)
    text = shown(message)

    for part in (
        "*Attempt 3, 03:00:00 UTC* orders-prod: 97 of 97",
        "terminated 30, now 67 of 97",
        "*Terminated*: 30 sessions",
        "2 survived termination",
        "*Action required*: attempts have run out",
        "Problem: one\n… and 2 more problems",
        "`evidence/1.jsonl.gz`",
        "run `run-0`",
    ):
        assert part in text


@pytest.mark.parametrize(("state", "mark"), [("ALARM", "🔴"), ("OK", "🟢")])
def test_a_reply_about_an_alarm_on_the_guard_repeats_nothing_and_names_no_run(
    state: str, mark: str
) -> None:
    changes = {"alarm": an_alarm(state=state), "headline": "no heartbeat", "tier": None}
    escalation = "no heartbeat: see its log" if state == "ALARM" else None

    text = shown(thread_of(an_entry(0, GUARD_ALARM, escalation=escalation, **changes), LINKS))

    assert text.startswith(f"{mark} *03:00:00 UTC* no heartbeat")
    assert text.count("no heartbeat") == 1
    assert ("*Action required*: see its log" in text) == (state == "ALARM")
    assert "run `" not in text


def test_the_thread_has_every_attempt_and_of_what_only_repeats_the_first() -> None:
    locked_out = [
        an_entry(
            minute,
            "locked_out",
            escalation=f"no door opened, {minute} tries",
            escalation_code="locked out",
            before=None,
        )
        for minute in (5, 6, 7)
    ]
    entries = [
        an_entry(0, alarm=an_alarm()),
        an_entry(1),
        an_entry(2),
        *locked_out,
        an_entry(8),
        a_recovery(9),
    ]

    replies = thread_entries(an_incident(*entries))

    assert [entry.request_id for entry in replies] == [
        "run-0",
        "run-1",
        "run-2",
        "run-5",
        "run-8",
        "run-9",
    ]


def test_a_higher_alarm_gets_a_reply_though_the_guard_only_observes_again() -> None:
    warning = an_entry(0, "observation", alarm=an_alarm(Tier.WARNING), tier=Tier.WARNING)
    critical = an_entry(1, "observation", alarm=an_alarm(Tier.CRITICAL))

    assert thread_entries(an_incident(warning, critical)) == (warning, critical)


def test_who_has_to_act_is_alerted_with_what_to_do() -> None:
    incident = an_incident(*given_up(attempts=10))

    message = alert_of(a_view(incident, owner=Owner("team-checkout", "S0123ABCD")))

    assert message.text.startswith("🔴 orders-prod is out of connections: 97 of 97 in use. ")
    assert message.text.endswith(" Action needed. <!subteam^S0123ABCD>")
    assert shown(message) == (
        f"{message.text}\n*Do now*  Restart or scale down checkout (87 of 97 connections, all from "
        "10.0.1.10): it reopens what is ended."
    )


@pytest.mark.parametrize(
    ("entry", "mark"),
    [
        (an_escalation(0), "🔴"),
        (a_recovery(3), "🟢"),
        (an_entry(is_below_target=True), "🔵"),
        (an_entry(tier=Tier.WARNING), "🟡"),
        (an_entry(), "🟠"),
    ],
)
def test_the_mark_says_how_a_run_ended(entry: Entry, mark: str) -> None:
    message = thread_of(entry, LINKS)

    assert message.text.startswith(f"{mark} *")
    assert message.blocks[0]["text"]["text"].startswith(message.text)
