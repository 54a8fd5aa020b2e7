"""What a channel that edits its messages is to be called for next: one call at a time."""

from dataclasses import dataclass
from datetime import datetime

from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.channel.news import (
    first_due_at,
    news_of,
    thread_entries,
)
from connection_guard.core.notification.channel.notified import Notified


@dataclass(frozen=True, slots=True)
class Post:
    """The incident's message is not there yet."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The incident's message shows an older version."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Action is required now: nobody is notified of an edit, so a reply says it."""


@dataclass(frozen=True, slots=True)
class Detail:
    """The details in the thread are not there yet, or show an older version."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A run is not in the thread yet."""

    entry: Entry


Call = Post | Edit | Alert | Detail | Reply


def alert_due_at(incident: Incident, notified: Notified, now: datetime) -> datetime | None:
    """Return when people are to be alerted that action is required, None where they know."""
    if incident.action_required is None:
        return None
    news = news_of(incident, notified, now)
    return None if news is None else news.due_at


def next_call(incident: Incident, notified: Notified, now: datetime) -> Call | None:
    """Return the call that the channel is to be made next, None where it shows everything."""
    if notified.message is None:
        begins_at = first_due_at(incident)
        is_due = bool(notified.news) or (begins_at is not None and begins_at <= now)
        return Post() if is_due else None
    if notified.shown < incident.version:
        return Edit()
    alert_at = alert_due_at(incident, notified, now)
    if alert_at is not None and alert_at <= now:
        return Alert()
    if notified.detailed < incident.version:
        return Detail()
    missing = (each for each in thread_entries(incident) if each.request_id not in notified.replies)
    return next(map(Reply, missing), None)


def urgency_of(call: Call | None) -> int:
    """Return how long the call can wait, 0 for not at all: a message that is missing comes before
    one that is old, and that before the thread.
    """
    match call:
        case Post():
            return 0
        case Edit() | Alert():
            return 1
        case _:
            return 2
