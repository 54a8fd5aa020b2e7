"""The thread in Slack: a reply per attempt, and what is not worth one."""

from connection_guard.core.notification.channel.news import is_news_to_webhook, thread_entries
from connection_guard.core.notification.slack.slack_blocks import PURPLE
from connection_guard.core.notification.slack.slack_thread import thread_of
from connection_guard.core.policy import Tier
from tests.support.reporter.incidents import (
    LINKS,
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
)
from tests.support.reporter.slack import shown


def test_a_reply_shows_one_attempt_in_short() -> None:
    entry = an_entry(
        survived=2, attempt=3, escalation="attempts have run out", problems=("one", "two", "three")
    )

    message = thread_of(entry, LINKS)
    text = f"{message.text}\n{shown(message)}"

    assert message.color == PURPLE
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


def test_it_is_news_where_progress_differs_from_the_last_notification() -> None:
    start, attempt, recovery = an_entry(0, alarm=an_alarm()), an_entry(1), a_recovery(3)

    assert is_news_to_webhook(an_incident(start))
    assert not is_news_to_webhook(an_incident(start, attempt, notified=("run-0",)))
    assert is_news_to_webhook(an_incident(start, attempt, recovery, notified=("run-0", "run-1")))
    assert not is_news_to_webhook(
        an_incident(start, attempt, recovery, notified=("run-0", "run-1", "run-3"))
    )


def test_it_is_news_where_warning_became_critical() -> None:
    warning = an_entry(0, "observation", alarm=an_alarm(Tier.WARNING), tier=Tier.WARNING)

    assert is_news_to_webhook(
        an_incident(warning, an_entry(1, alarm=an_alarm()), notified=("run-0",))
    )


def test_it_is_news_where_an_alarm_fires_again() -> None:
    start, called = an_entry(0, alarm=an_alarm()), an_escalation(1)
    ok, again = (an_entry(n, alarm=an_alarm(state=state)) for n, state in ((2, "OK"), (3, "ALARM")))
    warning = an_entry(0.5, alarm=an_alarm(Tier.WARNING))

    assert is_news_to_webhook(
        an_incident(start, warning, called, ok, again, notified=("run-0", "run-0.5", "run-1"))
    )
