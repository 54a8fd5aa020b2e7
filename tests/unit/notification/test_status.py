"""Slack and e-mail cannot disagree: both show the same status, in the same words."""

from dataclasses import replace

import pytest

from connection_guard.core.incident.entry import Entry
from connection_guard.core.notification.document import document_of
from connection_guard.core.notification.email import subject_of, text_of
from connection_guard.core.notification.slack.slack_details import details_of
from connection_guard.core.notification.slack.slack_message import message_of
from connection_guard.core.notification.status import Status, headline_of, situation_of
from connection_guard.core.policy import Tier
from tests.support.reporter.incidents import (
    LINKS,
    a_group,
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
)
from tests.support.reporter.slack import LATER, shown
from tests.support.reporter.views import a_view

WARNED = an_entry(
    kind="observation",
    alarm=an_alarm(Tier.WARNING),
    tier=Tier.WARNING,
    would_terminate=(a_group(8),),
    is_below_target=False,
)
FIRED = an_entry(alarm=an_alarm())


def test_what_would_have_been_terminated_stays_in_both_after_a_run_that_did_not_look() -> None:
    cleared = an_entry(
        5,
        "observation",
        alarm=an_alarm(Tier.WARNING, "OK"),
        spared=(),
        has_recovered=True,
        is_below_target=True,
    )
    incident = an_incident(WARNED, cleared)

    slack = shown(details_of(a_view(incident, LINKS, LATER)))
    email = text_of(a_view(incident, LINKS, LATER))

    assert "*Would have terminated*: 8 sessions\n• 8 of `shop` / `invoices`" in slack
    assert 'Would have terminated 8 sessions:\n      8  "invoices" (role "shop")' in email
    assert [
        row["sessions"] for row in document_of(a_view(incident, LINKS, LATER))["would_terminate"]
    ] == [8]


@pytest.mark.parametrize(
    ("entries", "status"),
    [
        ((WARNED,), Status.WARNING),
        ((FIRED,), Status.CRITICAL),
        ((an_entry(tier=None),), Status.INCIDENT),
        ((FIRED, an_escalation(1)), Status.ACTION_REQUIRED),
        ((an_entry(alarm=an_alarm(), is_below_target=True),), Status.RECOVERING),
        ((FIRED, a_recovery(3)), Status.RESOLVED),
    ],
    ids=lambda each: each if isinstance(each, Status) else "",
)
def test_a_status_has_one_headline(entries: tuple[Entry, ...], status: Status) -> None:
    incident = an_incident(*entries)
    headline = headline_of(incident)

    slack = message_of(a_view(incident, LINKS, LATER))
    email = " ".join(text_of(a_view(incident, LINKS, LATER)).split())

    assert subject_of(a_view(incident)).startswith(f"[{status.upper()}] orders-prod")
    assert slack.text.endswith(f" {headline}")
    assert slack.blocks[0]["text"]["text"] == slack.text
    assert email.startswith(headline)
    assert document_of(a_view(incident, LINKS, LATER))["headline"] == headline
    assert situation_of(incident) in headline


def test_a_headline_says_at_its_end_that_action_is_required() -> None:
    incident = an_incident(FIRED, an_escalation(1, "still at 100 % after 5 attempts"))

    assert headline_of(incident) == (
        "orders-prod is running out of connections: 67 of 97 in use. Connection Guard freed 60. "
        "Action needed."
    )


def test_a_long_name_does_not_hide_what_follows_it() -> None:
    headline = headline_of(replace(an_incident(FIRED), database="orders" * 100))

    assert headline.endswith(
        "… is running out of connections: 67 of 97 in use. Connection Guard "
        "freed 30. It is still at work: no action needed yet."
    )
    assert len(headline) < 240
