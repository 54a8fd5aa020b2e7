"""The state machine of an incident: how far it is after each of its entries.

Everything is read from the entries in the order of their times, so neither the order of deliveries
nor their repetition matters.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.incident.entry import GUARD_ALARM, Alarm, Entry
from connection_guard.core.report.kind import Kind

# CloudWatch's figures, and so its alarms, come minutes after a heartbeat has seen, and ended, what
# they are about: such an alarm's datapoint is true, and no news.
ALARM_FOLLOWS_WITHIN = timedelta(minutes=10)


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
    does, or did before usage was below the target. Of the alarms seen in ALARM since it began,
    `has_alarm_on` says whether one has yet to clear, `has_guard_alarm_on` whether one of the
    guard's own has. `begins` says that nothing was wrong before this entry.
    """

    entry: Entry
    progress: Progress
    closed_by: Entry | None
    escalation: str | None
    has_escalated: bool
    has_alarm_on: bool
    has_guard_alarm_on: bool
    begins: bool


ChangeKey = tuple[str, datetime]


def steps(entries: Sequence[Entry], alarms_before: Iterable[Alarm]) -> Iterator[Step]:
    """Yield a step per entry; `alarms_before` are the alarms as they were before the first."""
    course = _Course(latest_changes(alarms_before, ()), _first_firings(entries))
    return map(course.step, entries)


@dataclass(slots=True)
class _Course:
    """What is known after an entry. The usage of the database and the guard's own alarms are
    followed apart: either can be in order while the other is not.

    `seen` are the usage alarms seen in ALARM since usage was last in order, `guard_alarms` the
    guard's own with what each requires. `has_shortage` says that the guard has seen high usage
    since then, and not only trouble of its own. `late` are the alarms that fired only after the
    end, None where one had been seen before it.
    """

    latest: dict[str, Alarm]
    first_firings: Mapping[str, datetime]
    known: set[ChangeKey | None] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    guard_alarms: dict[str, str] = field(default_factory=dict)
    usage: Progress = Progress.CLOSED
    progress: Progress = Progress.CLOSED
    reason: str | None = None
    closed_by: Entry | None = None
    late: set[str] | None = None
    has_begun: bool = False
    has_shortage: bool = False
    has_escalated: bool = False

    def step(self, entry: Entry) -> Step:
        """Return how far the incident is with the entry."""
        is_known = change_key(entry) in self.known
        self.known.add(change_key(entry))
        self._note_change(entry, is_known=is_known)
        # A run that found a shortage and ended it is a beginning and an end.
        is_relief = (
            entry.kind == Kind.REMEDIATION
            and self.progress is Progress.CLOSED
            and self._begins(entry, is_known=is_known)
        )
        if entry.kind == GUARD_ALARM:
            self._follow_guard_alarm(entry)
        else:
            self._follow_run(entry, is_known=is_known)
        before, self.progress = self.progress, self._combined
        if self.progress is not Progress.CLOSED:
            self.closed_by = None
        elif before is not Progress.CLOSED or is_relief or (entry.opens and not self.has_begun):
            self.closed_by = entry
            self.late = None if self.seen else set()
        elif self.late is not None and entry.change and entry.change.state == AlarmState.ALARM:
            self.late.add(entry.change.arn)
        if self.usage is Progress.CLOSED:
            self.seen.clear()
            self.has_shortage = False
        else:
            self.has_shortage |= entry.opens and not entry.is_trouble
        self.has_begun |= entry.opens
        self.has_escalated = self.progress is Progress.ESCALATED or (
            self.progress is Progress.RECOVERING and self.has_escalated
        )
        return Step(
            entry,
            self.progress,
            self.closed_by,
            self._escalation,
            has_escalated=self.has_escalated,
            has_alarm_on=self._has_usage_alarm_on or bool(self._guard_reasons),
            has_guard_alarm_on=bool(self._guard_reasons),
            begins=is_relief
            or (before is Progress.CLOSED and self.progress is not Progress.CLOSED),
        )

    def _note_change(self, entry: Entry, *, is_known: bool) -> None:
        change = entry.change
        if change is None:
            return
        self.latest = latest_changes(self.latest.values(), [entry])
        fired_at = self.first_firings.get(change.arn)
        # An OK has had its ALARM, also where the run for the ALARM came later.
        is_end = fired_at is not None and fired_at < _changed_at(change) and not is_known
        if entry.kind == GUARD_ALARM and change.state == AlarmState.ALARM:
            self.guard_alarms[change.arn] = entry.escalation or entry.headline
        elif entry.kind != GUARD_ALARM and (change.state == AlarmState.ALARM or is_end):
            self.seen.add(change.arn)

    def _follow_guard_alarm(self, entry: Entry) -> None:
        """Let the end of the guard's own alarms end what was only trouble of its own: it says
        nothing about usage.
        """
        change = entry.change
        if change is None or change.state != AlarmState.OK or self._guard_reasons:
            return
        if not self.has_shortage and not self._has_usage_alarm_on:
            if change.arn in self.first_firings:
                self.usage = Progress.CLOSED
        elif self.usage is Progress.OPEN and self.progress is Progress.ESCALATED:
            self.usage, self.reason = Progress.ESCALATED, self.guard_alarms.get(change.arn)

    def _follow_run(self, entry: Entry, *, is_known: bool) -> None:
        if self.usage is Progress.CLOSED and not self._begins(entry, is_known=is_known):
            return
        requires_action = entry.escalation is not None or entry.is_trouble
        if requires_action and self._is_overtaken(entry) and not self._has_usage_alarm_on:
            return
        if requires_action:
            # A run that failed gives no reason but its headline.
            self.usage, self.reason = Progress.ESCALATED, entry.escalation or entry.headline
        elif not self._has_usage_alarm_on and (
            entry.is_below_target or (self.seen and entry.change)
        ):
            self.usage = Progress.CLOSED
        elif entry.is_below_target:
            self.usage = Progress.RECOVERING
        elif self.usage is not Progress.ESCALATED:
            self.usage = Progress.OPEN

    def _begins(self, entry: Entry, *, is_known: bool) -> bool:
        """Return whether it matters although usage was in order: no further attempt does, and no
        alarm that is delivered again, or late.
        """
        is_delivered_again = entry.kind == Kind.OBSERVATION and entry.change and is_known
        is_old_news = entry.carries_on or is_delivered_again or self._is_late_alarm(entry)
        return entry.opens and not (self.has_begun and is_old_news)

    def _is_late_alarm(self, entry: Entry) -> bool:
        """Return whether an alarm fires, and usage is in order, soon after what no alarm had shown
        has ended.
        """
        if self.late is None or self.closed_by is None or not entry.is_below_target:
            return False
        is_soon = entry.at - self.closed_by.at <= ALARM_FOLLOWS_WITHIN
        return entry.change is not None and entry.change.arn not in self.late and is_soon

    def _is_overtaken(self, entry: Entry) -> bool:
        """Return whether the alarm's OK, which came after it by CloudWatch's clock, is known."""
        change = entry.change
        return (
            change is not None
            and change.state == AlarmState.ALARM
            and self.latest[change.arn].state == AlarmState.OK
        )

    @property
    def _has_usage_alarm_on(self) -> bool:
        return any(self.latest[arn].state == AlarmState.ALARM for arn in self.seen)

    @property
    def _guard_reasons(self) -> list[str]:
        return [
            reason
            for arn, reason in self.guard_alarms.items()
            if self.latest[arn].state == AlarmState.ALARM
        ]

    @property
    def _combined(self) -> Progress:
        return Progress.ESCALATED if self._guard_reasons else self.usage

    @property
    def _escalation(self) -> str | None:
        """Return the run's reason, which is more precise than an alarm's."""
        if self.usage is Progress.ESCALATED:
            return self.reason
        return self._guard_reasons[-1] if self._guard_reasons else None


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


def _first_firings(entries: Iterable[Entry]) -> dict[str, datetime]:
    """Return when each alarm fired first."""
    firings: dict[str, datetime] = {}
    for change in filter(None, (entry.change for entry in entries)):
        if change.state == AlarmState.ALARM:
            at = _changed_at(change)
            firings[change.arn] = min(at, firings.get(change.arn, at))
    return firings


def _changed_at(alarm: Alarm) -> datetime:
    assert alarm.changed_at is not None, "an entry's change has a time"
    return alarm.changed_at
