"""The incident: what the reports of one database mean when they are read together, from the first
to the recovery.

Everything is read from its entries in the order of their times, so neither the order of deliveries
nor their repetition matters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import dropwhile
from operator import itemgetter

from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.incident.circumstances import Circumstances
from connection_guard.core.incident.entry import (
    GUARD_ALARM,
    Alarm,
    DiagnosedCause,
    Entry,
    Reopened,
    SessionGroup,
    Usage,
    merged,
    reopened_in_all,
    weight_of_causes,
)
from connection_guard.core.incident.progress import ChangeKey, Progress, Step, change_key, steps
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind


@dataclass(frozen=True, slots=True)
class Incident:
    """`entries` are in the order of their times, in any order of deliveries.

    `version` counts the changes. What is from `not_before` or earlier belongs to the incident
    before. `earlier` are the last entries of that one without their details: what comes late may
    show that it had not ended. `alarms_before` are the alarms before all of these. `followed_at` is
    when another began although nothing had shown the end of this one. `merged_beginnings` are those
    that the entries no longer show, because the incident has had more than it can keep.
    """

    database: str
    id: str
    entries: tuple[Entry, ...]
    circumstances: Circumstances | None = None
    version: int = 0
    not_before: datetime | None = None
    alarms_before: tuple[Alarm, ...] = ()
    followed_at: datetime | None = None
    earlier: tuple[Entry, ...] = ()
    merged_beginnings: int = 0

    @property
    def matters(self) -> bool:
        """Return False while only an end without a beginning has arrived: the beginning may be
        late.
        """
        return any(entry.opens for entry in self.entries)

    @property
    def story(self) -> tuple[Entry, ...]:
        """Return the entries from the one that opened it on."""
        return tuple(dropwhile(lambda entry: not entry.opens, self.entries)) or self.entries

    @property
    def steps(self) -> Iterator[Step]:
        """Yield how far the incident was after each entry of its story."""
        story = {entry.request_id for entry in self.story}
        known = sorted((*self.earlier, *self.entries), key=order_of)
        return (step for step in steps(known, self.alarms_before) if step.entry.request_id in story)

    @property
    def last_step(self) -> Step:
        """Return how far the incident is after the latest entry."""
        *_, last = self.steps
        return last

    @property
    def progress(self) -> Progress:
        """Return how far the incident is."""
        return Progress.CLOSED if self.followed_at else self.last_step.progress

    @property
    def opened_at(self) -> datetime:
        """Return when it opened."""
        return self.story[0].at

    @property
    def closed_at(self) -> datetime | None:
        """Return when it closed, None before."""
        end = self.last_step.closed_by
        return end.at if end else self.followed_at

    def lasted(self, now: datetime) -> timedelta:
        """Return how long it lasted, or has lasted so far."""
        return max(self.closed_at or now, self.opened_at) - self.opened_at

    @property
    def action_required(self) -> str | None:
        """Return why people have to act now, None where they do not."""
        return self.last_step.escalation if self.progress is Progress.ESCALATED else None

    @property
    def needs_no_more_action(self) -> bool:
        """Return whether people had to act and no longer do, though it is not closed."""
        return self.progress is Progress.RECOVERING and self.last_step.has_escalated

    @property
    def beginnings(self) -> int:
        """Return how many times it has begun: again where it was reopened, or where an alarm fired
        again after its OK, even if that OK was lost. Of several alarms, each fires once in a
        beginning.
        """
        beginnings, fired = 1, set[str]()
        known = set[ChangeKey]()
        for number, step in enumerate(self.steps):
            key = change_key(step.entry)
            change = step.entry.change if key not in known else None
            fires_again = (
                change is not None and change.state == AlarmState.ALARM and change.arn in fired
            )
            if (step.begins and number) or fires_again:
                beginnings += 1
                fired.clear()
            if key is not None and change is not None:
                known.add(key)
                fired.add(change.arn)
        return beginnings + self.merged_beginnings

    @property
    def tier(self) -> Tier | None:
        """Return the highest seen."""
        tiers = {entry.tier for entry in self.story} | {
            entry.alarm.tier for entry in self.story if entry.alarm
        }
        return next((tier for tier in (Tier.CRITICAL, Tier.WARNING) if tier in tiers), None)

    @property
    def first(self) -> Usage | None:
        """Return the usage that it began with."""
        return next(_usages(self.story), None)

    @property
    def peak(self) -> Usage | None:
        """Return the usage when the database was fullest."""
        return max(_usages(self.story), key=lambda usage: usage.percent, default=None)

    @property
    def latest(self) -> Usage | None:
        """Return the usage as it was last seen."""
        return next((entry.usage for entry in reversed(self.story) if entry.usage), None)

    @property
    def attempts(self) -> int:
        """Return how many runs set out to terminate sessions."""
        return sum(entry.times for entry in self.story if entry.kind == Kind.REMEDIATION)

    @property
    def alarm(self) -> Alarm | None:
        """Return the alarm that changed last."""
        changes = [
            (entry.alarm.changed_at or entry.at, entry.alarm)
            for entry in reversed(self.story)
            if entry.alarm
        ]
        return max(changes, key=itemgetter(0))[1] if changes else None

    @property
    def terminated(self) -> tuple[SessionGroup, ...]:
        """Return all that was terminated by rule, role and application, most sessions first."""
        return merged(group for entry in self.story for group in entry.terminated)

    @property
    def has_unknown_outcomes(self) -> bool:
        """Return whether more may have been terminated than `terminated` names."""
        return any(entry.has_unknown_outcomes for entry in self.story)

    @property
    def spared(self) -> tuple[SessionGroup, ...]:
        """Return what the latest run that spared any session spared."""
        return next((entry.spared for entry in reversed(self.story) if entry.spared), ())

    @property
    def would_terminate(self) -> tuple[SessionGroup, ...]:
        """Return what the latest run that looked at the sessions chose and was not allowed to
        terminate. A run that did not look, such as one for the alarm's OK, changes nothing about
        it.
        """
        looks = (entry.would_terminate for entry in reversed(self.story) if entry.has_looked)
        return next(looks, ())

    @property
    def survived(self) -> int:
        """Return how many sessions were signalled and were there when last looked at."""
        return sum(entry.survived for entry in self.story)

    @property
    def reopened(self) -> tuple[Reopened, ...]:
        """Return what each pool reopened, over all attempts."""
        return reopened_in_all(self.story)

    @property
    def causes(self) -> tuple[DiagnosedCause, ...]:
        """Return those of the worst moment, or those that terminating proved: only terminating
        shows what pools reopen.
        """
        diagnosed = [entry for entry in self.story if entry.causes]
        return max(diagnosed, key=weight_of_causes).causes if diagnosed else ()

    @property
    def escalations(self) -> tuple[str, ...]:
        """Return what requires or required action, each line once, in the order of their times."""
        return tuple(dict.fromkeys(entry.escalation for entry in self.story if entry.escalation))

    @property
    def reasons(self) -> frozenset[str]:
        """Return the reasons of the escalations: the same one comes with other figures.

        The alarm that the guard cannot do its work is no further reason where a run says itself why
        it could not.
        """
        story = self.story
        is_explained = any(each.is_trouble and each.kind != GUARD_ALARM for each in story)
        return frozenset(
            entry.reason
            for entry in story
            if entry.reason and not (is_explained and entry.is_unguarded_alarm)
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """Return the problems of the latest run: one that was solved since no longer counts."""
        return self.story[-1].problems

    @property
    def evidence(self) -> str | None:
        """Return the latest key."""
        return next((entry.evidence for entry in reversed(self.story) if entry.evidence), None)


def _usages(entries: Iterable[Entry]) -> Iterator[Usage]:
    return (usage for entry in entries for usage in (entry.before, entry.after) if usage)


def order_of(entry: Entry) -> tuple[datetime, str]:
    """Return what entries are ordered by."""
    return entry.at, entry.request_id
