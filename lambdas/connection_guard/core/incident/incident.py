"""Incidents: what the reports of one database come to when they are read together, from the first
to the recovery.

Everything is read from an incident's entries in the order of their times, so neither the order of
deliveries nor their repetition matters.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import dropwhile
from operator import itemgetter

from connection_guard.core.deployment.alarm import AlarmState
from connection_guard.core.incident.circumstances import Context
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from connection_guard.core.words import spelled

# The kind of an entry whose run came to no Report.
FAILURE = "failure"

# How long an incident waits for more: what has recovered, has no alarm on, or was the guard's own
# trouble, which every heartbeat repeats while it lasts; and one whose alarm has yet to end, which
# may be silent for long.
WAITS_AFTER_RECOVERY = timedelta(hours=1)
WAITS_FOR_ALARM = timedelta(days=1)

# What is kept of an incident. A DynamoDB item holds 400 KB, an entry is a few KB.
MOST_ENTRIES = 60
MOST_GROUPS_TOLD = 3

NOTHING_SHOWED_THE_END = "another incident began, nothing showed the end of this one"
WHETHER_IS_NOT_KNOWN = "whether sessions were terminated is not known"


class Progress(StrEnum):
    """How far an incident is.

    RECOVERING is below the policy's target while the alarm has yet to end; ESCALATED is for people
    to act on.
    """

    OPEN = "open"
    ESCALATED = "escalated"
    RECOVERING = "recovering"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Usage:
    """Connections in use, of those that applications can get."""

    used: int
    usable: int

    @property
    def percent(self) -> float:
        return 100 * self.used / self.usable if self.usable else 100.0


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """Sessions of one application that the same rule terminated or spared; the reason is that of
    one of them.
    """

    rule: str
    reason: str
    role: str
    application: str
    state: str | None
    sessions: int


@dataclass(frozen=True, slots=True)
class Cause:
    """A diagnosis: its name, what it goes by, and what to change."""

    name: str
    summary: str
    advice: str


@dataclass(frozen=True, slots=True)
class Reopened:
    """What a pool did about the sessions that it lost."""

    role: str
    application: str
    terminated: int
    reopened: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """The alarm that a run answered, in the state that it changed to at `changed_at`, by
    CloudWatch's clock.

    `tier` is None where no run reported it; `changed_at` is None where an older version stored the
    alarm.
    """

    name: str
    arn: str
    state: str
    tier: Tier | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One delivery, as the incident keeps it: a run of the responder, or its failure.

    `request_id` names the run, `kind` is that of its Report or "failure". `is_below_target` is None
    where usage is not known. `evidence` is the key of the run's object in the evidence bucket.
    `times` is how many runs the entry stands for: more than one where an incident has had more than
    it can keep. `has_unknown_outcomes` says that the run may have terminated more than `terminated`
    names: it was killed, or lost the database with sessions in hand.
    """

    request_id: str
    at: datetime
    kind: str
    headline: str
    alarm: Alarm | None
    tier: Tier | None
    attempt: int
    has_recovered: bool
    is_below_target: bool | None
    escalation: str | None
    before: Usage | None
    after: Usage | None
    terminated: tuple[SessionGroup, ...]
    survived: int
    would_terminate: tuple[SessionGroup, ...]
    spared: tuple[SessionGroup, ...]
    reopened: tuple[Reopened, ...]
    causes: tuple[Cause, ...]
    explanation: str | None
    problems: tuple[str, ...]
    evidence: str | None
    has_unknown_outcomes: bool = False
    times: int = 1

    @property
    def change(self) -> Alarm | None:
        """The alarm's begin or end, at the run's own time where CloudWatch's is not known.

        None for INSUFFICIENT_DATA: what is not seen has not ended.
        """
        if self.alarm is None or self.alarm.state not in (AlarmState.ALARM, AlarmState.OK):
            return None
        return replace(self.alarm, changed_at=self.alarm.changed_at or self.at)

    @property
    def carries_on(self) -> bool:
        """Whether it is a further attempt of what an earlier run began, and needs nobody."""
        return self.alarm is None and self.attempt > 1 and self.escalation is None

    @property
    def usage(self) -> Usage | None:
        """The last that the run saw."""
        return self.after or self.before

    @property
    def opens(self) -> bool:
        """Whether it matters by itself: everything does but the end of something, and an alarm
        without data.
        """
        if self.kind == Kind.OBSERVATION:
            if self.alarm is not None:
                return self.alarm.state == AlarmState.ALARM
            return not (self.has_recovered or self.is_below_target)
        return self.kind != Kind.HEARTBEAT

    @property
    def is_trouble(self) -> bool:
        """Whether the guard itself could not do its work."""
        return self.kind not in (Kind.REMEDIATION, Kind.OBSERVATION)


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """The message in Slack that tells of the incident, as chat.postMessage names it."""

    channel: str
    timestamp: str


@dataclass(frozen=True, slots=True)
class Incident:
    """`entries` are in the order of their times, whatever order they came in.

    `version` counts the changes. `slack` is None before Slack has a message that can be edited;
    `told` names the runs that are in its thread, and the changes that others than Slack's bot were
    told of. Whatever is from `not_before` or earlier belongs to the incident before, which is named
    by `previous` until its end is told, too; `alarms_before` are the alarms as that one left them.
    `followed_at` is when another began although nothing had shown the end of this one.
    """

    database: str
    id: str
    entries: tuple[Entry, ...]
    context: Context | None = None
    version: int = 0
    slack: SlackMessage | None = None
    told: tuple[str, ...] = ()
    not_before: datetime | None = None
    previous: str | None = None
    alarms_before: tuple[Alarm, ...] = ()
    followed_at: datetime | None = None

    @property
    def matters(self) -> bool:
        """False while all that came is an end without a beginning: nothing to tell, but the
        beginning may be late.
        """
        return any(entry.opens for entry in self.entries)

    @property
    def story(self) -> tuple[Entry, ...]:
        """The entries from the one that opened it on."""
        return tuple(dropwhile(lambda entry: not entry.opens, self.entries)) or self.entries

    @property
    def opened_at(self) -> datetime:
        return self.story[0].at

    @property
    def closed_at(self) -> datetime | None:
        end = _last_step(self).closed_by
        return end.at if end else self.followed_at

    @property
    def progress(self) -> Progress:
        return Progress.CLOSED if self.followed_at else _last_step(self).progress

    @property
    def has_called_off(self) -> bool:
        """Whether people were needed and no longer are, though it is not over."""
        return self.progress is Progress.RECOVERING and _last_step(self).has_called

    @property
    def recurrences(self) -> int:
        """How often an alarm fired anew after its OK, also after an OK that nobody delivered."""
        begins = Counter(alarm.arn for alarm in self.alarms_before)
        changes = {key: entry for entry in self.entries if (key := _change_key(entry))}
        for (arn, _), entry in sorted(changes.items(), key=lambda item: item[0][1]):
            has_fired = entry.change is not None and entry.change.state == AlarmState.ALARM
            begins[arn] = begins[arn] + entry.times if has_fired else max(begins[arn], 1)
        return sum(count - 1 for count in begins.values())

    @property
    def tier(self) -> Tier | None:
        """The highest seen."""
        tiers = {entry.tier for entry in self.story} | {
            entry.alarm.tier for entry in self.story if entry.alarm
        }
        return next((tier for tier in (Tier.CRITICAL, Tier.WARNING) if tier in tiers), None)

    @property
    def first(self) -> Usage | None:
        """The usage that it began with."""
        return next(_usages(self.story), None)

    @property
    def peak(self) -> Usage | None:
        return max(_usages(self.story), key=lambda usage: usage.percent, default=None)

    @property
    def latest(self) -> Usage | None:
        return next((entry.usage for entry in reversed(self.story) if entry.usage), None)

    @property
    def attempts(self) -> int:
        return sum(entry.times for entry in self.story if entry.kind == Kind.REMEDIATION)

    @property
    def alarm(self) -> Alarm | None:
        """The one that changed last."""
        changes = [
            (entry.alarm.changed_at or entry.at, entry.alarm)
            for entry in reversed(self.story)
            if entry.alarm
        ]
        return max(changes, key=itemgetter(0))[1] if changes else None

    @property
    def terminated(self) -> tuple[SessionGroup, ...]:
        """By rule, role and application, most sessions first."""
        return merged(group for entry in self.story for group in entry.terminated)

    @property
    def has_unknown_outcomes(self) -> bool:
        """Whether more may have been terminated than `terminated` names."""
        return any(entry.has_unknown_outcomes for entry in self.story)

    @property
    def spared(self) -> tuple[SessionGroup, ...]:
        """By the latest run that spared anybody."""
        return next((entry.spared for entry in reversed(self.story) if entry.spared), ())

    @property
    def reopened(self) -> tuple[Reopened, ...]:
        """What each pool reopened, over all attempts."""
        pools: dict[tuple[str, str], Reopened] = {}
        for each in (each for entry in self.story for each in entry.reopened):
            known = pools.get((each.role, each.application))
            pools[each.role, each.application] = (
                replace(
                    each,
                    terminated=each.terminated + known.terminated,
                    reopened=each.reopened + known.reopened,
                )
                if known
                else each
            )
        return tuple(pools.values())

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Those of the worst moment, or those that terminating proved: only then is it seen what
        pools reopen.
        """
        diagnosed = [entry for entry in self.story if entry.causes]
        return max(diagnosed, key=_weight_of_causes).causes if diagnosed else ()

    @property
    def escalations(self) -> tuple[str, ...]:
        """Why people are or were needed, each once, in the order of their times."""
        return tuple(dict.fromkeys(entry.escalation for entry in self.story if entry.escalation))

    @property
    def evidence(self) -> str | None:
        """The latest key."""
        return next((entry.evidence for entry in reversed(self.story) if entry.evidence), None)

    @property
    def headline(self) -> str:
        """One line: the database, and where it stands now."""
        in_use = f"{_of(self.latest)} connections in use" if self.latest else "usage is not known"
        match self.progress:
            case Progress.ESCALATED:
                return f"{self.database}: people are needed: {_last_step(self).escalation}"
            case Progress.RECOVERING:
                line = f"below the target again, {in_use}, the alarm has yet to end"
                if self.has_called_off:
                    line = f"people are no longer needed: {line}"
            case Progress.CLOSED if self.followed_at:
                line = f"{NOTHING_SHOWED_THE_END}, {in_use} when last looked at"
            case Progress.CLOSED if self.closed_at:
                line = f"over after {spelled(self.closed_at - self.opened_at)}, {in_use}"
            case _:
                line = in_use
        return f"{self.database}: {line}{_and_terminated(self)}"

    @property
    def timeline(self) -> tuple[tuple[datetime, str], ...]:
        """What happened, a sentence each; what every heartbeat repeats is one sentence with a
        count.
        """
        steps = list(_steps(self))
        lines: list[tuple[datetime, str]] = []
        while steps:
            step, *steps = steps
            repeats = 0
            while repeats < len(steps) and _repeats(step.entry, steps[repeats].entry):
                repeats += 1
            stretch, steps = (
                [step.entry, *(each.entry for each in steps[:repeats])],
                steps[repeats:],
            )
            lines += [
                (step.entry.at, sentence)
                for sentence in _sentences(step, stretch, is_first=not lines)
            ]
        if self.followed_at:
            lines.append((self.followed_at, NOTHING_SHOWED_THE_END))
        return tuple(lines)


def absorb(
    current: Incident | None, entry: Entry, *, database: str, new_id: str
) -> Incident | None:
    """The database's latest incident once the entry is in it, or the new one that it opens; None
    for a lone heartbeat.

    Gives `current` itself where the entry changes nothing: it is there already, or belongs to the
    incident before.

    - Whatever comes while an incident is not closed joins it, and so does what is from before its
      closing, however late. After it, a further alarm's OK and a further attempt join for an hour,
      and it stays closed.
    - What matters after the incident's alarms have ended opens a new one. Where no alarm was seen
      and recovery alone closed it, it waits for an hour: the alarm may be later than the
      heartbeats, and opens it again.
    - An incident that is not closed waits for a day while an alarm is on, and for an hour where it
      has recovered, has no alarm on, or was the guard's own trouble alone. What matters later opens
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
    version = current.version + 1
    if _is_over_for(current, entry):
        ended_at = (
            (current.closed_at or current.entries[-1].at) if current.matters else current.not_before
        )
        previous = current.id if current.matters else current.previous
        return Incident(
            database,
            new_id,
            (entry, *(each for each in current.entries if each.at > entry.at)),
            version=version,
            not_before=ended_at,
            previous=previous,
            alarms_before=tuple(_latest_changes(current.alarms_before, current.entries).values()),
        )
    entries = _bounded(
        tuple(sorted((*current.entries, entry), key=lambda each: (each.at, each.request_id)))
    )
    dropped = {each.request_id for each in (*current.entries, entry)} - {
        each.request_id for each in entries
    }
    told = tuple(each for each in current.told if each not in dropped)
    return replace(current, entries=entries, version=version, told=told)


def followed(incident: Incident, at: datetime) -> Incident:
    """The incident once another has begun: over, although nothing showed its end (the alarm's OK
    was lost, say).
    """
    return incident if incident.progress is Progress.CLOSED else replace(incident, followed_at=at)


def merged(groups: Iterable[SessionGroup]) -> tuple[SessionGroup, ...]:
    """One group of each rule, role and application, most sessions first."""
    sums: dict[tuple[str, str, str], SessionGroup] = {}
    for group in groups:
        key = group.rule, group.role, group.application
        known = sums.get(key)
        sums[key] = replace(known, sessions=known.sessions + group.sessions) if known else group
    return tuple(sorted(sums.values(), key=lambda group: -group.sessions))


def without_figures(reason: str) -> str:
    """What differs in its figures alone is the same, a minute later."""
    return "".join(character for character in reason if not character.isdigit())


def _is_of_past(current: Incident, entry: Entry) -> bool:
    """Whether the entry belongs to the incident before. What shows an alarm's present state always
    matters.
    """
    if current.not_before is None or entry.at > current.not_before:
        return False
    change = entry.change
    return (
        change is None
        or _latest_changes(current.alarms_before, [*current.entries, entry])[change.arn] != change
    )


def _is_over_for(current: Incident, entry: Entry) -> bool:
    """Whether the entry came too late to be part of the incident."""
    since_last = entry.at - current.entries[-1].at
    if not current.matters:
        return since_last > WAITS_AFTER_RECOVERY
    step = _last_step(current)
    if step.closed_by is not None:
        is_new = step.has_seen_alarm and _begins_anew(entry, set(map(_change_key, current.entries)))
        since_closing = entry.at - step.closed_by.at
        return since_closing > (timedelta() if is_new else WAITS_AFTER_RECOVERY)
    is_quiet = (
        step.progress is Progress.RECOVERING
        or not step.has_alarm_on
        or all(each.is_trouble for each in current.story)
    )
    return entry.opens and since_last > (WAITS_AFTER_RECOVERY if is_quiet else WAITS_FOR_ALARM)


_ChangeKey = tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class _Step:
    """Where an incident stands with an entry.

    `escalation` says why people are needed, None where they are not; `has_called` that they are, or
    were before usage was below the target. Of the alarms that the incident saw in ALARM,
    `has_alarm_on` says whether one has yet to end.
    """

    entry: Entry
    progress: Progress
    closed_by: Entry | None
    escalation: str | None
    has_called: bool
    has_seen_alarm: bool
    has_alarm_on: bool


def _steps(incident: Incident) -> Iterator[_Step]:
    story = incident.story
    latest = _latest_changes(incident.alarms_before, incident.entries[: -len(story)])
    seen: set[str] = set()
    known: set[_ChangeKey | None] = set()
    progress, closed_by, escalation, has_called = Progress.OPEN, None, None, False
    for entry in story:
        change = entry.change
        if change and change.state == AlarmState.ALARM:
            seen.add(change.arn)
        latest = _latest_changes(latest.values(), [entry])
        has_alarm_on = any(latest[arn].state == AlarmState.ALARM for arn in seen)
        if progress is Progress.CLOSED and not _begins_anew(entry, known):
            pass
        elif entry.escalation or entry.is_trouble:
            progress, closed_by, escalation = (
                Progress.ESCALATED,
                None,
                entry.escalation or entry.headline,
            )
        elif not has_alarm_on and (entry.is_below_target or (seen and change)):
            progress, closed_by, escalation = Progress.CLOSED, entry, None
        elif entry.is_below_target:
            progress, closed_by, escalation = Progress.RECOVERING, None, None
        elif progress is not Progress.ESCALATED:
            progress, closed_by = Progress.OPEN, None
        has_called = progress is Progress.ESCALATED or (
            progress is Progress.RECOVERING and has_called
        )
        known.add(_change_key(entry))
        yield _Step(entry, progress, closed_by, escalation, has_called, bool(seen), has_alarm_on)


def _last_step(incident: Incident) -> _Step:
    *_, last = _steps(incident)
    return last


def _latest_changes(before: Iterable[Alarm], entries: Iterable[Entry]) -> dict[str, Alarm]:
    """Each alarm by its ARN as it changed last, by CloudWatch's clock: an OK may overtake its ALARM
    on the way.
    """
    latest = {alarm.arn: alarm for alarm in before}
    for change in filter(None, (entry.change for entry in entries)):
        latest[change.arn] = max(change, latest.get(change.arn, change), key=_changed_at)
    return latest


def _changed_at(alarm: Alarm) -> datetime:
    assert alarm.changed_at is not None, "an entry's change has a time"
    return alarm.changed_at


def _change_key(entry: Entry) -> _ChangeKey | None:
    """Names the alarm's change, the same however often it is delivered."""
    change = entry.change
    return None if change is None else (change.arn, _changed_at(change))


def _begins_anew(entry: Entry, known: Container[_ChangeKey | None]) -> bool:
    """Whether it matters although all was over: no further attempt does, and no alarm that is
    delivered again.
    """
    is_delivered_again = (
        entry.kind == Kind.OBSERVATION and entry.change is not None and _change_key(entry) in known
    )
    return entry.opens and not entry.carries_on and not is_delivered_again


def _weight_of_causes(entry: Entry) -> tuple[bool, float]:
    """What terminating proved weighs most, then how full the database was when it was looked at."""
    return bool(entry.reopened), entry.before.percent if entry.before else 0


def _usages(entries: Iterable[Entry]) -> Iterator[Usage]:
    return (usage for entry in entries for usage in (entry.before, entry.after) if usage)


def _alike(entry: Entry) -> tuple[object, ...]:
    """Entries that may stand for each other without changing where the incident stands."""
    alarm = entry.alarm and (entry.alarm.arn, entry.alarm.state)
    return entry.kind, alarm, entry.escalation is not None, entry.is_below_target


def _bounded(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Beyond the bound, the nearest two that are alike become one: with locked_out and failures of
    every minute that is one of them and the next. The first and the last stay.
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
        causes=max(earlier, later, key=_weight_of_causes).causes,
        has_unknown_outcomes=earlier.has_unknown_outcomes or later.has_unknown_outcomes,
    )


def _holds(incident: Incident, entry: Entry) -> bool:
    """Whether the entry is there already, or may be in one that stands for several."""
    return any(
        each.request_id == entry.request_id
        or (each.times > 1 and entry.at < each.at and _alike(each) == _alike(entry))
        for each in incident.entries
    )


def _repeats(entry: Entry, following: Entry) -> bool:
    """Whether a heartbeat only came to the same again, whatever its figures."""
    return (
        following.alarm is None
        and following.escalation is not None
        and not following.terminated
        and without_figures(following.escalation) == without_figures(entry.escalation or "")
    )


def _of(usage: Usage) -> str:
    return f"{usage.used} of {usage.usable}"


def _sentences(step: _Step, stretch: list[Entry], *, is_first: bool) -> Iterator[str]:
    """What the first of the entries came to, and how often the others came to the same."""
    entry = step.entry
    is_end = step.closed_by is entry
    if announced := _announced(entry, is_first=is_first):
        yield f"{announced}: over" if is_end and entry.kind != Kind.REMEDIATION else announced
    if entry.kind == Kind.REMEDIATION:
        yield _remedied(entry) + (
            ": over" if is_end else ": below the target" if entry.is_below_target else ""
        )
    elif entry.kind == Kind.OBSERVATION and entry.opens and not entry.escalation:
        yield _left_alone(entry)
    for each in entry.reopened:
        pool = _pool(each.role, each.application)
        yield (
            f"the pool of {pool} reopened {each.reopened} of {each.terminated}: left alone from "
            "now on"
        )
    again = sum(each.times for each in stretch)
    often = (
        f" (again and again: {again} times until {stretch[-1].at:%H:%M} UTC)" if again > 1 else ""
    )
    if entry.escalation:
        yield f"{_trouble(entry)}people are needed: {entry.escalation}{often}"
    if entry.has_unknown_outcomes and entry.kind != Kind.REMEDIATION:
        yield WHETHER_IS_NOT_KNOWN


def _announced(entry: Entry, *, is_first: bool) -> str | None:
    """The alarm, or what is known of usage where a heartbeat was the reason to look."""
    in_use = f"{_of(entry.before)} connections in use" if entry.before else None
    if entry.alarm is None:
        if entry.kind == Kind.OBSERVATION and entry.has_recovered:
            return f"{in_use or 'usage'}: below the target again"
        if in_use is None or entry.is_trouble:
            return None
        if is_first:
            return f"no alarm, but {in_use}"
        return f"still {in_use}" if entry.kind == Kind.OBSERVATION else None
    name = f"{entry.alarm.tier} alarm" if entry.alarm.tier else f"alarm {entry.alarm.name}"
    state = "" if entry.alarm.state == AlarmState.ALARM else f" {entry.alarm.state}"
    return f"{name}{state}: {in_use}" if in_use else f"{name}{state}"


def _remedied(entry: Entry) -> str:
    told = entry.terminated[:MOST_GROUPS_TOLD]
    rest = sum(group.sessions for group in entry.terminated[MOST_GROUPS_TOLD:])
    groups = [
        f'{group.sessions} of {_pool(group.role, group.application)} by rule "{group.rule}"'
        for group in told
    ]
    done = ", ".join([*groups, *([f"{rest} more"] if rest else [])]) or "nobody"
    survived = f", {entry.survived} survived" if entry.survived else ""
    unknown = ", what became of others is not known" if entry.has_unknown_outcomes else ""
    now = f"{_of(entry.after)} now" if entry.after else "not looked at since"
    runs = f" (in {entry.times} runs)" if entry.times > 1 else ""
    return f"terminated {done}{survived}{unknown}{runs}, {now}"


def _and_terminated(incident: Incident) -> str:
    terminated = sum(group.sessions for group in incident.terminated)
    if terminated:
        return f", {terminated} sessions terminated" + (
            ", perhaps more" if incident.has_unknown_outcomes else ""
        )
    return f"; {WHETHER_IS_NOT_KNOWN}" if incident.has_unknown_outcomes else ""


def _left_alone(entry: Entry) -> str:
    would = sum(group.sessions for group in entry.would_terminate)
    what = f"nothing terminated, {would} would be" if would else "nothing terminated"
    return f"{what}: {entry.explanation}" if entry.explanation else what


def _trouble(entry: Entry) -> str:
    match entry.kind:
        case Kind.LOCKED_OUT:
            return "locked out, "
        case Kind.PREFLIGHT_FAILED:
            return "cannot act, "
        case _:
            return ""


def _pool(role: str, application: str) -> str:
    return f"{role}/{application}" if application else role
