"""Which incident an entry belongs to: what joins one, what opens another, and what one keeps."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.incident.entry import GUARD_ALARM, Alarm, Entry
from connection_guard.core.incident.incident import Incident, order_of
from connection_guard.core.incident.incident_size import MOST_ENTRIES, alike, bounded
from connection_guard.core.incident.progress import Progress, latest_changes
from connection_guard.core.report.kind import Kind

# What begins again that soon after an incident's end is the same incident.
REOPENS_WITHIN = timedelta(minutes=15)

# How long an incident waits for more: one that has recovered, has no alarm on, or was only the
# guard's own trouble, which every heartbeat repeats while it lasts; and one whose alarm has yet to
# clear, which may be silent for long.
WAITS_AFTER_RECOVERY = timedelta(hours=1)
WAITS_FOR_ALARM = timedelta(days=1)

# How much of the incident before is known: what is later than that by more changes nothing.
KNOWS_EARLIER_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Absorbed:
    """The database's `latest` incident once an entry is in it; None for a lone heartbeat. `ended`
    is the one before where it is closed only because another began, None where it needs no change.
    """

    latest: Incident | None
    ended: Incident | None = None


def incident_id(entry: Entry) -> str:
    """Return the ID of the incident that the entry opens, if it opens one."""
    return f"{entry.at:%Y%m%dT%H%M%S}-{entry.request_id}"


def absorb(current: Incident | None, entry: Entry, *, database: str, new_id: str) -> Absorbed:
    """Return the database's latest incident once the entry is in it, or the new one that it opens.

    `latest` is `current` itself where the entry changes nothing: it is there already, or so old
    that it belongs to the incident before.

    - An entry that comes while an incident is not closed joins it, and so does one from before its
      closing, however late. After it, a further alarm's OK and a further attempt join for an hour,
      and it stays closed.
    - What matters within 15 minutes of the closing reopens the incident, and what matters later
      opens a new one. Where no alarm was seen and recovery by itself closed it, it waits for its
      alarm for an hour: that may be later than the heartbeats, and within ten minutes, with usage
      below the target, it changes nothing.
    - An incident that is not closed waits for a day while an alarm is on, and for an hour where it
      has recovered, has no alarm on, or was the guard's own trouble only. What matters later opens
      a new one; the old one is then `followed`.
    - An end without a beginning (a lone OK) gives an incident that does not `matter`: its beginning
      may come yet.
    """
    if _says_nothing(current, entry):
        return Absorbed(current)
    if current is None:
        return Absorbed(Incident(database, new_id, (entry,), version=1))
    if _holds(current, entry):
        return Absorbed(current)
    if _is_of_past(current, entry):
        return Absorbed(_remembered(current, entry))
    if not _is_too_late(current, entry):
        return Absorbed(_joined(current, entry))
    is_open = current.matters and current.progress is not Progress.CLOSED
    return Absorbed(_next(current, entry, new_id), followed(current, entry.at) if is_open else None)


def followed(incident: Incident, at: datetime) -> Incident:
    """Return the incident once another has begun: closed, although nothing showed its end (perhaps
    the alarm's OK was lost).
    """
    if incident.progress is Progress.CLOSED:
        return incident
    return replace(incident, followed_at=at, version=incident.version + 1)


def _says_nothing(current: Incident | None, entry: Entry) -> bool:
    """Return whether it is a heartbeat, or one of the guard's own alarms that has lost its data or
    only got its first, as it does after it was deployed.
    """
    if entry.kind != GUARD_ALARM:
        return entry.kind == Kind.HEARTBEAT
    change = entry.change
    if change is None:
        return True
    known = _known_alarms(current).get(change.arn) if current else None
    is_on = known is not None and known.state == AlarmState.ALARM
    return change.state == AlarmState.OK and entry.had_no_data and not is_on


def _next(current: Incident, entry: Entry, new_id: str) -> Incident:
    closed_at = current.closed_at if current.matters else current.not_before
    opened = Incident(
        current.database,
        new_id,
        (entry, *(each for each in current.entries if each.at > entry.at)),
        version=current.version + 1,
        not_before=closed_at or (current.entries[-1].at if current.matters else None),
        alarms_before=tuple(_known_alarms(current).values()),
    )
    if not current.matters or closed_at is None:
        return opened
    known = sorted((*current.earlier, *current.entries), key=order_of)
    since = closed_at - KNOWS_EARLIER_FOR
    older = [each for each in known if each.at < since]
    # What is later than the entry belongs to the new incident, and counts once.
    earlier = [each for each in known[len(older) :] if each.at <= entry.at]
    return replace(
        opened,
        earlier=tuple(map(_bare, earlier))[-MOST_ENTRIES:],
        alarms_before=tuple(latest_changes(current.alarms_before, older).values()),
    )


def _joined(current: Incident, entry: Entry) -> Incident:
    entries = tuple(sorted((*current.entries, entry), key=order_of))
    return bounded(replace(current, entries=entries, version=current.version + 1))


def _remembered(current: Incident, entry: Entry) -> Incident:
    """Return the incident with an entry of the one before: it may show that that one had not
    ended. What is too old for that changes nothing.
    """
    if not current.earlier or entry.at < current.earlier[0].at - KNOWS_EARLIER_FOR:
        return current
    earlier = tuple(sorted((*current.earlier, _bare(entry)), key=order_of))
    return replace(current, earlier=earlier, version=current.version + 1)


def _bare(entry: Entry) -> Entry:
    """Return the entry with only what progress depends on."""
    return replace(
        entry,
        terminated=(),
        would_terminate=(),
        spared=(),
        reopened=(),
        causes=(),
        explanation=None,
        problems=(),
        evidence=None,
    )


def _known_alarms(current: Incident) -> dict[str, Alarm]:
    return latest_changes(current.alarms_before, (*current.earlier, *current.entries))


def _is_of_past(current: Incident, entry: Entry) -> bool:
    """Return whether the entry belongs to the incident before. What shows an alarm's present state
    always matters.
    """
    if current.not_before is None or entry.at > current.not_before:
        return False
    change = entry.change
    if change is None:
        return True
    known = _known_alarms(current)
    return change.arn in known and latest_changes(known.values(), [entry])[change.arn] != change


def _is_too_late(current: Incident, entry: Entry) -> bool:
    """Return whether the entry came too late to be part of the incident."""
    since_last = entry.at - current.entries[-1].at
    if not current.matters:
        return since_last > WAITS_AFTER_RECOVERY
    step = current.last_step
    if step.closed_by is not None:
        joined = replace(current, entries=tuple(sorted((*current.entries, entry), key=order_of)))
        is_new = any(each.begins for each in joined.steps if each.entry is entry)
        had_alarm = any(
            each.change and each.change.state == AlarmState.ALARM for each in current.story
        )
        may_be_late = entry.change is not None and not had_alarm
        return entry.at - step.closed_by.at > (
            REOPENS_WITHIN if is_new and not may_be_late else WAITS_AFTER_RECOVERY
        )
    is_quiet = (
        step.progress is Progress.RECOVERING
        or not step.has_alarm_on
        or (all(each.is_trouble for each in current.story) and not step.has_guard_alarm_on)
    )
    return entry.opens and since_last > (WAITS_AFTER_RECOVERY if is_quiet else WAITS_FOR_ALARM)


def _holds(incident: Incident, entry: Entry) -> bool:
    """Return whether the entry is there already, or may be in one that represents several."""
    return any(
        each.request_id == entry.request_id
        or (each.times > 1 and entry.at < each.at and alike(each) == alike(entry))
        for each in (*incident.earlier, *incident.entries)
    )
