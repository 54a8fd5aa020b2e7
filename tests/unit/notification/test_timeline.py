"""An incident reads like a story: its headline, and what happened, one sentence each."""

from datetime import timedelta

import pytest

from connection_guard.core.incident.entry import Entry, Usage
from connection_guard.core.incident.lifecycle import followed
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.status import headline_of
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from tests.support.builders import NOW
from tests.support.reporter.stories import (
    a_failure,
    a_group,
    a_whole_story,
    absorbed,
    alarm_ok,
    an_alarm,
    an_attempt,
    an_entry,
    in_alarm,
    locked_out,
    recovered,
    sentences,
)


def test_a_day_in_an_incident_s_life_reads_like_a_story() -> None:
    incident = absorbed(a_whole_story())

    assert sentences(incident) == [
        "warning alarm: 77 of 100 connections in use",
        "terminated no sessions, would have terminated 8: the policy only observes at warning",
        "critical alarm: 97 of 100 connections in use",
        'terminated 2 of shop/invoices by rule "aborted transactions"; 95 of 100 in use now',
        "shop/checkout reopened 38 of 40 terminated sessions: spared from now on",
        'terminated 12 of shop/invoices by rule "aborted transactions"; 84 of 100 in use now',
        "critical alarm cleared: 80 of 100 connections in use",
        (
            'terminated 14 of shop/invoices by rule "aborted transactions"; 66 of 100 in use now, '
            "back below target"
        ),
        "warning alarm cleared: 31 of 100 connections in use; resolved",
    ]
    assert headline_of(incident) == (
        "orders-prod recovered after 9 min, with 31 of 100 connections in use. Connection Guard "
        "freed 28, 28 came back at once. No action needed."
    )
    assert (incident.opened_at, incident.closed_at) == (NOW, NOW + timedelta(minutes=9))
    assert (incident.first, incident.peak, incident.latest) == (
        Usage(77, 100),
        Usage(97, 100),
        Usage(31, 100),
    )
    assert (incident.tier, incident.attempts, incident.alarm) == (
        Tier.CRITICAL,
        3,
        an_alarm(Tier.WARNING, "OK"),
    )
    assert incident.terminated == (a_group(28),)


def test_an_incident_whose_end_was_not_seen_closes_with_the_next() -> None:
    quiet = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95, escalation="refused"), recovered(minute=3)]
    )
    later = absorbed([in_alarm(Tier.CRITICAL, minute=90, used=95)], quiet)

    over = followed(quiet, later.opened_at)

    assert later.id != quiet.id
    assert (over.progress, over.closed_at) == (Progress.CLOSED, NOW + timedelta(minutes=90))
    assert headline_of(over) == (
        "orders-prod has a newer incident; nothing showed the end of this one, which last had 31 "
        "of 100 connections in use. No action needed here."
    )
    assert (
        sentences(over)[-1] == "closed because another incident began; its own end was never seen"
    )
    closed = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=72)]
    )
    assert followed(closed, later.opened_at) is closed


def test_what_a_killed_run_terminated_is_not_known() -> None:
    alarm, killed = (
        in_alarm(Tier.CRITICAL, minute=0, used=97),
        a_failure(minute=1, has_unknown_outcomes=True),
    )
    ok = alarm_ok(Tier.CRITICAL, minute=5, used=40)

    assert headline_of(absorbed([alarm, killed, ok])) == (
        "orders-prod recovered after 5 min, with 40 of 100 connections in use. It is not known "
        "whether sessions were terminated. No action needed."
    )
    assert "it is not known whether sessions were terminated" in sentences(
        absorbed([alarm, killed, ok])
    )
    attempt = an_attempt(minute=2, before=97, after=90, has_unknown_outcomes=True)
    assert "Connection Guard freed 7, perhaps more." in headline_of(
        absorbed([alarm, killed, attempt, ok])
    )
    assert (
        "the outcome of others is not known; 90 of 100 in use now"
        in sentences(absorbed([alarm, attempt]))[-1]
    )


def test_without_an_alarm_recovery_itself_closes() -> None:
    incident = absorbed([an_attempt(minute=0, before=97, after=90), recovered(minute=1)])

    assert incident.progress is Progress.CLOSED
    assert sentences(incident)[0] == "before any alarm: 97 of 100 connections in use"
    assert sentences(incident)[-1] == "31 of 100 connections in use, back below target; resolved"


def test_with_its_alarm_on_a_recovery_waits_for_the_alarm() -> None:
    incident = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95), recovered(minute=3)])

    assert incident.progress is Progress.RECOVERING
    assert headline_of(incident) == (
        "orders-prod is back below target: 31 of 100 in use. No action needed."
    )


@pytest.mark.parametrize(
    "trouble",
    [
        locked_out(minute=3),
        a_failure(minute=3),
        an_entry(Kind.PREFLIGHT_FAILED, minute=3, used=40, escalation="run: GRANT a TO b;"),
        an_attempt(
            minute=3,
            before=97,
            after=96,
            attempt=10,
            escalation="10 attempts, and 96 % are still in use",
        ),
        an_entry(minute=3, used=97, escalation="refused: 80 % of all sessions"),
    ],
    ids=lambda entry: entry.kind,
)
def test_action_is_required_until_usage_is_down(trouble: Entry) -> None:
    alarm = in_alarm(Tier.CRITICAL, minute=0, used=97)

    incident = absorbed([alarm, trouble, an_entry(minute=4, used=97)])

    assert incident.progress is Progress.ESCALATED
    assert headline_of(incident).endswith(" Action needed.")
    assert incident.action_required == trouble.escalation
    assert any(
        sentence.endswith(f"action required: {trouble.escalation}")
        for sentence in sentences(incident)
    )
    assert sentences(incident)[-2:] == [
        "still 97 of 100 connections in use",
        "terminated no sessions",
    ]
    assert incident.escalations == (trouble.escalation,)
    below = absorbed([recovered(minute=5)], incident)
    assert (below.progress, below.needs_no_more_action) == (Progress.RECOVERING, True)
    assert headline_of(below).startswith("orders-prod is back below target: 31 of 100 in use.")
    assert headline_of(below).endswith(" Action no longer needed.")
    assert (
        absorbed([alarm_ok(Tier.CRITICAL, minute=6, used=31)], incident).progress is Progress.CLOSED
    )


def test_what_is_the_same_again_with_every_heartbeat_is_one_line_with_a_count() -> None:
    incident = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=97), *(locked_out(minute=n) for n in range(1, 38))]
    )

    assert sentences(incident)[2:] == [
        "locked out; action required: no door opened (37 times until 03:37 UTC)"
    ]
