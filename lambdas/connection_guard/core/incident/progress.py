"""The state machine of an incident: how far it is after each of its entries.

Everything is read from the entries in the order of their times, so neither the order of deliveries
nor their repetition matters.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.incident.entry import Alarm, Entry
from connection_guard.core.report.kind import Kind


class Progress(StrEnum):
    """How far an incident is.

    ESCALATED requires action by people; RECOVERING is below the policy's target while the alarm has
    yet to clear.
    """

    OPEN = "open"
    ESCALATED = "escalated"
    RECOVERING = "recovering"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Step:
    """How far an incident is with an entry.

    `escalation` says what requires action, None where nothing does; `has_escalated` that something
    does, or did before usage was below the target. Of the alarms that the incident saw in ALARM,
    `has_alarm_on` says whether one has yet to clear.
    """

    entry: Entry
    progress: Progress
    closed_by: Entry | None
    escalation: str | None
    has_escalated: bool
    has_seen_alarm: bool
    has_alarm_on: bool


ChangeKey = tuple[str, datetime]


def steps(story: Iterable[Entry], alarms_before: Iterable[Alarm]) -> Iterator[Step]:
    """Yield a step per entry; `alarms_before` are the alarms as they were before the first."""
    latest = {alarm.arn: alarm for alarm in alarms_before}
    seen: set[str] = set()
    known: set[ChangeKey | None] = set()
    progress, closed_by, escalation, has_escalated = Progress.OPEN, None, None, False
    for entry in story:
        change = entry.change
        if change and change.state == AlarmState.ALARM:
            seen.add(change.arn)
        latest = latest_changes(latest.values(), [entry])
        has_alarm_on = any(latest[arn].state == AlarmState.ALARM for arn in seen)
        if progress is Progress.CLOSED and not begins_anew(entry, known):
            pass
        elif entry.escalation or entry.is_trouble:
            # A run that failed gives no reason but its headline.
            progress, closed_by = Progress.ESCALATED, None
            escalation = entry.escalation or entry.headline
        elif not has_alarm_on and (entry.is_below_target or (seen and change)):
            progress, closed_by, escalation = Progress.CLOSED, entry, None
        elif entry.is_below_target:
            progress, closed_by, escalation = Progress.RECOVERING, None, None
        elif progress is not Progress.ESCALATED:
            progress, closed_by = Progress.OPEN, None
        has_escalated = progress is Progress.ESCALATED or (
            progress is Progress.RECOVERING and has_escalated
        )
        known.add(change_key(entry))
        yield Step(entry, progress, closed_by, escalation, has_escalated, bool(seen), has_alarm_on)


def latest_changes(before: Iterable[Alarm], entries: Iterable[Entry]) -> dict[str, Alarm]:
    """Return each alarm by its ARN as it changed last, by CloudWatch's clock: an OK may overtake
    its ALARM on the way.
    """
    latest = {alarm.arn: alarm for alarm in before}
    for change in filter(None, (entry.change for entry in entries)):
        latest[change.arn] = max(change, latest.get(change.arn, change), key=_changed_at)
    return latest


def change_key(entry: Entry) -> ChangeKey | None:
    """Return the name of the alarm's change, the same however often it is delivered."""
    change = entry.change
    return None if change is None else (change.arn, _changed_at(change))


def begins_anew(entry: Entry, known: Container[ChangeKey | None]) -> bool:
    """Return whether it matters although the incident was closed: no further attempt does, and no
    alarm that is delivered again.
    """
    is_delivered_again = (
        entry.kind == Kind.OBSERVATION and entry.change is not None and change_key(entry) in known
    )
    return entry.opens and not entry.carries_on and not is_delivered_again


def _changed_at(alarm: Alarm) -> datetime:
    assert alarm.changed_at is not None, "an entry's change has a time"
    return alarm.changed_at
