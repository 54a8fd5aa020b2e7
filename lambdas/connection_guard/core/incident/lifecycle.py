"""Which incident an entry belongs to: what joins one, what opens another, and what one keeps."""

from dataclasses import replace
from datetime import datetime, timedelta

from connection_guard.core.incident.entry import Entry, merged, weight_of_causes
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import (
    Progress,
    begins_anew,
    change_key,
    latest_changes,
)
from connection_guard.core.report.kind import Kind

# How long an incident waits for more: one that has recovered, has no alarm on, or was only the
# guard's own trouble, which every heartbeat repeats while it lasts; and one whose alarm has yet to
# clear, which may be silent for long.
WAITS_AFTER_RECOVERY = timedelta(hours=1)
WAITS_FOR_ALARM = timedelta(days=1)

# What is kept of an incident. A DynamoDB item holds 400 KB, an entry is a few KB.
MOST_ENTRIES = 60


def absorb(
    current: Incident | None, entry: Entry, *, database: str, new_id: str
) -> Incident | None:
    """Return the database's latest incident once the entry is in it, or the new one that it opens;
    None for a lone heartbeat.

    Returns `current` itself where the entry changes nothing: it is there already, or belongs to the
    incident before.

    - An entry that comes while an incident is not closed joins it, and so does one from before its
      closing, however late. After it, a further alarm's OK and a further attempt join for an hour,
      and it stays closed.
    - What matters after the incident's alarms have cleared opens a new one. Where no alarm was seen
      and recovery by itself closed it, it waits for an hour: the alarm may be later than the
      heartbeats, and opens it again.
    - An incident that is not closed waits for a day while an alarm is on, and for an hour where it
      has recovered, has no alarm on, or was the guard's own trouble only. What matters later opens
      a new one; the old one is then `followed`.
    - An end without a beginning (a lone OK) gives an incident that does not `matter`: its beginning
      may come yet.
    """
    if entry.kind == Kind.HEARTBEAT:
        return current
    if current is None:
        return Incident(database, new_id, (entry,), version=1)
    if _is_of_past(current, entry) or _holds(current, entry):
        return current
    return (
        _next(current, entry, new_id) if _is_too_late(current, entry) else _joined(current, entry)
    )


def followed(incident: Incident, at: datetime) -> Incident:
    """Return the incident once another has begun: closed, although nothing showed its end (perhaps
    the alarm's OK was lost).
    """
    return incident if incident.progress is Progress.CLOSED else replace(incident, followed_at=at)


def _next(current: Incident, entry: Entry, new_id: str) -> Incident:
    ended_at = (
        (current.closed_at or current.entries[-1].at) if current.matters else current.not_before
    )
    return Incident(
        current.database,
        new_id,
        (entry, *(each for each in current.entries if each.at > entry.at)),
        version=current.version + 1,
        not_before=ended_at,
        previous=current.id if current.matters else current.previous,
        alarms_before=tuple(latest_changes(current.alarms_before, current.entries).values()),
    )


def _joined(current: Incident, entry: Entry) -> Incident:
    entries = _bounded(
        tuple(sorted((*current.entries, entry), key=lambda each: (each.at, each.request_id)))
    )
    dropped = {each.request_id for each in (*current.entries, entry)} - {
        each.request_id for each in entries
    }
    notified = tuple(each for each in current.notified if each not in dropped)
    return replace(current, entries=entries, version=current.version + 1, notified=notified)


def _is_of_past(current: Incident, entry: Entry) -> bool:
    """Return whether the entry belongs to the incident before. What shows an alarm's present state
    always matters.
    """
    if current.not_before is None or entry.at > current.not_before:
        return False
    change = entry.change
    return (
        change is None
        or latest_changes(current.alarms_before, [*current.entries, entry])[change.arn] != change
    )


def _is_too_late(current: Incident, entry: Entry) -> bool:
    """Return whether the entry came too late to be part of the incident."""
    since_last = entry.at - current.entries[-1].at
    if not current.matters:
        return since_last > WAITS_AFTER_RECOVERY
    step = current.last_step
    if step.closed_by is not None:
        is_new = step.has_seen_alarm and begins_anew(entry, set(map(change_key, current.entries)))
        since_closing = entry.at - step.closed_by.at
        return since_closing > (timedelta() if is_new else WAITS_AFTER_RECOVERY)
    is_quiet = (
        step.progress is Progress.RECOVERING
        or not step.has_alarm_on
        or all(each.is_trouble for each in current.story)
    )
    return entry.opens and since_last > (WAITS_AFTER_RECOVERY if is_quiet else WAITS_FOR_ALARM)


def _holds(incident: Incident, entry: Entry) -> bool:
    """Return whether the entry is there already, or may be in one that represents several."""
    return any(
        each.request_id == entry.request_id
        or (each.times > 1 and entry.at < each.at and _alike(each) == _alike(entry))
        for each in incident.entries
    )


def _alike(entry: Entry) -> tuple[object, ...]:
    """Return what is equal in entries that can replace each other without changing the progress."""
    alarm = entry.alarm and (entry.alarm.arn, entry.alarm.state)
    return entry.kind, alarm, entry.escalation is not None, entry.is_below_target


def _bounded(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return at most MOST_ENTRIES: beyond that, the two nearest entries that are alike become one;
    among those that repeat every minute, these are an entry and the next. The first and the last
    entry stay.
    """
    while len(entries) > MOST_ENTRIES:
        latest: dict[tuple[object, ...], int] = {}
        pairs = []
        for place, entry in list(enumerate(entries))[1:-1]:
            if (before := latest.get(_alike(entry))) is not None:
                pairs.append((place - before, before, place))
            latest[_alike(entry)] = place
        if not pairs:
            break
        _, earlier, later = min(pairs)
        both = _both(entries[earlier], entries[later])
        entries = (*entries[:earlier], *entries[earlier + 1 : later], both, *entries[later + 1 :])
    return entries


def _both(earlier: Entry, later: Entry) -> Entry:
    befores = [usage for usage in (earlier.before, later.before) if usage]
    return replace(
        later,
        times=earlier.times + later.times,
        before=max(befores, key=lambda usage: usage.percent, default=None),
        terminated=merged((*earlier.terminated, *later.terminated))[
            : len(later.terminated) or len(earlier.terminated)
        ],
        causes=max(earlier, later, key=weight_of_causes).causes,
        has_unknown_outcomes=earlier.has_unknown_outcomes or later.has_unknown_outcomes,
    )
