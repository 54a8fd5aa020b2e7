"""A channel that edits its messages is called for what matters most first, and alerts people
exactly when action is required and they were only shown an edit.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.channel.news import SETTLED_AFTER, state_name
from connection_guard.core.notification.channel.next_call import (
    Alert,
    Call,
    Detail,
    Edit,
    Post,
    Reply,
    alert_due_at,
    next_call,
    urgency_of,
)
from connection_guard.core.notification.channel.notified import Notified, PostedMessage
from tests.support.reporter.incident_stories import (
    HALF,
    START,
    a_recovery,
    an_entry,
    an_incident,
)

MESSAGE = PostedMessage("C123", "1.5")
FIRST, SECOND = an_entry(0), an_entry(1)
REFUSED = an_entry(1, escalation="refused", escalation_code="refused")
BELOW = an_entry(2, after=HALF, is_below_target=True)
REFUSED_AGAIN = an_entry(3, escalation="refused", escalation_code="refused")
LOST = an_entry(4, escalation="the database is lost", escalation_code="lost")

OPENED = an_incident(FIRST, SECOND, version=2)
ESCALATED = an_incident(FIRST, REFUSED, version=2)


def posted(incident: Incident, at: datetime = START) -> Notified:
    """Return what the channel is notified of once it has posted the incident."""
    return Notified(message=MESSAGE, shown=incident.version).with_news(state_name(incident), at)


def edited(notified: Notified, incident: Incident) -> Notified:
    return replace(notified, shown=incident.version)


def in_full(notified: Notified, incident: Incident) -> Notified:
    """Return it with everything in the thread."""
    replies = tuple(entry.request_id for entry in incident.entries)
    return replace(notified, detailed=incident.version, replies=replies)


def test_the_message_comes_first_then_the_details_then_each_reply_then_nothing() -> None:
    made: list[Call] = []
    notified = Notified()
    while call := next_call(OPENED, notified, START):
        made.append(call)
        match call:
            case Post():
                notified = posted(OPENED)
            case Detail():
                notified = replace(notified, detailed=OPENED.version)
            case Reply(entry):
                notified = replace(notified, replies=(*notified.replies, entry.request_id))

    assert made == [Post(), Detail(), Reply(FIRST), Reply(SECOND)]
    assert [urgency_of(call) for call in (*made, None)] == [0, 2, 2, 2, 2]


def test_an_edit_comes_before_the_thread_and_an_alert_right_after_it() -> None:
    notified = posted(an_incident(FIRST, version=1))

    assert next_call(ESCALATED, notified, START) == Edit()
    notified = edited(notified, ESCALATED)
    assert next_call(ESCALATED, notified, START) == Alert()
    notified = notified.with_news(state_name(ESCALATED), START)
    assert next_call(ESCALATED, notified, START) == Detail()
    notified = replace(notified, detailed=2)
    assert next_call(ESCALATED, notified, START) == Reply(FIRST)
    assert [urgency_of(call) for call in (Edit(), Alert())] == [1, 1]


def test_a_message_that_was_deleted_is_posted_again_before_all_else() -> None:
    notified = replace(in_full(posted(ESCALATED), ESCALATED), message=None)

    assert next_call(ESCALATED, notified, START) == Post()


def test_a_first_message_that_says_that_action_is_required_needs_no_alert() -> None:
    notified = posted(ESCALATED)

    assert alert_due_at(ESCALATED, notified, START) is None
    assert next_call(ESCALATED, notified, START) == Detail()


@pytest.mark.parametrize(
    "incident",
    [
        an_incident(FIRST, SECOND, version=2),
        an_incident(FIRST, REFUSED, BELOW, version=3),
        an_incident(FIRST, REFUSED, BELOW, a_recovery(5), version=4),
    ],
    ids=["open", "action no longer required", "resolved"],
)
def test_nobody_is_alerted_where_no_action_is_required(incident: Incident) -> None:
    notified = edited(posted(an_incident(FIRST, version=1)), incident)

    assert alert_due_at(incident, notified, START + timedelta(days=1)) is None
    assert next_call(incident, notified, START) == Detail()


def test_a_further_reason_alerts_at_once_and_the_same_one_not_at_all() -> None:
    notified = in_full(posted(ESCALATED), ESCALATED)
    same = replace(ESCALATED, entries=(FIRST, REFUSED, REFUSED_AGAIN), version=3)
    further = replace(ESCALATED, entries=(FIRST, REFUSED, LOST), version=3)

    assert alert_due_at(same, edited(notified, same), START) is None
    assert next_call(further, edited(notified, further), START) == Alert()


def test_action_that_is_required_again_alerts_a_quarter_of_an_hour_later() -> None:
    recovering = an_incident(FIRST, REFUSED, BELOW, version=3)
    again = an_incident(FIRST, REFUSED, BELOW, REFUSED_AGAIN, version=4)
    notified = posted(ESCALATED).with_news(state_name(recovering), START)
    notified = in_full(edited(notified, again), again)
    due_at = START + SETTLED_AFTER

    assert alert_due_at(again, notified, START) == due_at
    assert next_call(again, notified, due_at - timedelta(microseconds=1)) is None
    assert next_call(again, notified, due_at) == Alert()


def test_an_entry_that_only_repeats_the_one_before_gets_no_reply() -> None:
    silent = [an_entry(n, "observation", alarm=None) for n in range(3)]
    incident = an_incident(*silent, version=3)

    notified = replace(posted(incident), detailed=3, replies=(silent[0].request_id,))

    assert next_call(incident, notified, START) is None


def test_a_reply_that_comes_late_is_still_made() -> None:
    notified = replace(posted(OPENED), detailed=2, replies=(SECOND.request_id,))

    assert next_call(OPENED, notified, START) == Reply(FIRST)
