"""What is worth a notification, by one definition for every channel."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.channel.notified import Notified
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind

# An incident that comes and goes is no news each time: what a channel has been sent before, and the
# end of what has begun more than once, has to last for so long first.
SETTLED_AFTER = timedelta(minutes=15)

# The alarm that the guard cannot do its work is on from its creation until the first heartbeats
# have come. Nobody is notified of that unless it lasts.
NEW_ALARM_CLEARS_WITHIN = timedelta(minutes=5)
# Due at once, also where the clock of the responder, which dates entries, is ahead.
_AT_ONCE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class News:
    """A change of state, by a name that stays the same while nothing of it changes; it is worth a
    message at `due_at`, unless the state has changed again by then.
    """

    name: str
    due_at: datetime


def news_of(incident: Incident, notified: Notified, now: datetime) -> News | None:
    """Return what a channel that has been notified of so much has yet to be sent, None for nothing.

    News is that an incident opened, became critical, requires action (for a further reason) or no
    longer does, closed, or began again.
    """
    begins_at = first_due_at(incident)
    if begins_at is None and not notified.news:
        return None
    name = state_name(incident)
    if notified.news[-1:] == (name,):
        return None
    due_at = max(now, begins_at or _AT_ONCE)
    if incident.closed_at is not None and incident.beginnings > 1:
        due_at = incident.closed_at + SETTLED_AFTER
    if name in notified.news and notified.news_at is not None:
        due_at = max(due_at, notified.news_at + SETTLED_AFTER)
    return News(name, due_at)


def first_due_at(incident: Incident) -> datetime | None:
    """Return from when on people are to be notified of the incident, None for never."""
    openings = [entry for entry in incident.entries if entry.opens]
    if not openings:
        return None
    if not all(entry.is_unguarded_alarm and entry.had_no_data for entry in openings):
        return _AT_ONCE
    settles_at = incident.opened_at + NEW_ALARM_CLEARS_WITHIN
    closed_at = incident.closed_at
    return None if closed_at is not None and closed_at <= settles_at else settles_at


def state_name(incident: Incident) -> str:
    """Return a name that stays the same while nothing changes that people have to know."""
    severity = "critical" if incident.tier is Tier.CRITICAL else "not critical"
    match incident.progress:
        case Progress.CLOSED:
            state = "resolved"
        case Progress.ESCALATED:
            state = f"{severity}, action required for {len(incident.reasons)} reasons"
        case Progress.RECOVERING if incident.needs_no_more_action:
            state = f"{severity}, action no longer required"
        case _:
            state = severity
    # The second beginning is news, and the fourth and the eighth.
    return f"{state}, began {1 << (incident.beginnings.bit_length() - 1)} times"


def thread_entries(incident: Incident) -> tuple[Entry, ...]:
    """Return what gets a reply in Slack's thread: every attempt, and each other entry that does not
    only repeat the one before.
    """
    previous = (None, *incident.story[:-1])
    return tuple(
        entry
        for entry, before in zip(incident.story, previous, strict=True)
        if not _is_repeat(entry, before)
    )


def _is_repeat(entry: Entry, before: Entry | None) -> bool:
    return (
        before is not None
        and entry.kind != Kind.REMEDIATION
        and entry.alarm in (None, before.alarm)
        and _gist(entry) == _gist(before)
    )


def _gist(entry: Entry) -> tuple[object, ...]:
    """Return what an entry says, except for its figures."""
    return entry.kind, entry.reason, entry.has_recovered, entry.is_below_target
