"""The timeline of an incident: what happened, one sentence each."""

from collections.abc import Iterator
from datetime import datetime

from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.incident.entry import Entry, sessions_in
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Step
from connection_guard.core.notification.status import (
    BACK_BELOW_TARGET,
    END_NOT_SEEN,
    NOT_KNOWN_WHETHER_TERMINATED,
    Status,
    in_use,
    of,
    reopened_of,
)
from connection_guard.core.report.kind import Kind

MOST_GROUPS_NAMED = 3

_STATES = {AlarmState.OK: "cleared", AlarmState.INSUFFICIENT_DATA: "has no data"}
_TROUBLES = {Kind.LOCKED_OUT: "locked out; ", Kind.PREFLIGHT_FAILED: "cannot act; "}


def timeline_of(incident: Incident) -> tuple[tuple[datetime, str], ...]:
    """Return what happened and when; what every heartbeat repeats is one sentence with a count."""
    steps = list(incident.steps)
    lines: list[tuple[datetime, str]] = []
    while steps:
        step, *steps = steps
        repeats = 0
        while repeats < len(steps) and _repeats(step.entry, steps[repeats].entry):
            repeats += 1
        stretch = [step.entry, *(each.entry for each in steps[:repeats])]
        steps = steps[repeats:]
        lines += [
            (step.entry.at, sentence) for sentence in _sentences(step, stretch, is_first=not lines)
        ]
    if incident.followed_at:
        lines.append((incident.followed_at, END_NOT_SEEN))
    return tuple(lines)


def _repeats(entry: Entry, following: Entry) -> bool:
    """Return whether a heartbeat only escalated for the same reason again."""
    return (
        following.alarm is None
        and following.escalation is not None
        and not following.terminated
        and following.reason == entry.reason
    )


def _sentences(step: Step, stretch: list[Entry], *, is_first: bool) -> Iterator[str]:
    """Yield what happened in the first entry of the stretch, and how often it happened again."""
    entry = step.entry
    resolved = f"; {Status.RESOLVED}" if step.closed_by is entry else ""
    if announced := _announced(entry, is_first=is_first):
        yield announced if entry.kind == Kind.REMEDIATION else f"{announced}{resolved}"
    if entry.kind == Kind.REMEDIATION:
        below = f", {BACK_BELOW_TARGET}" if entry.is_below_target else ""
        yield f"{_remedied(entry)}{below}{resolved}"
    elif entry.kind == Kind.OBSERVATION and entry.opens and not entry.escalation:
        yield _not_terminated(entry)
    for each in entry.reopened:
        pool = _pool(each.role, each.application)
        yield f"{pool} {reopened_of(each.reopened, each.terminated)}: spared from now on"
    if entry.escalation:
        times = sum(each.times for each in stretch)
        often = f" ({times} times until {stretch[-1].at:%H:%M} UTC)" if times > 1 else ""
        trouble = _TROUBLES.get(Kind(entry.kind), "") if entry.kind in list(Kind) else ""
        yield f"{trouble}{Status.ACTION_REQUIRED}: {entry.escalation}{often}"
    if entry.has_unknown_outcomes and entry.kind != Kind.REMEDIATION:
        yield NOT_KNOWN_WHETHER_TERMINATED


def _announced(entry: Entry, *, is_first: bool) -> str | None:
    """Return the alarm, or what is known of usage where a heartbeat was the reason to look."""
    usage = in_use(entry.before) if entry.before else None
    if entry.alarm is None:
        if entry.kind == Kind.OBSERVATION and entry.has_recovered:
            return f"{usage or 'usage'}, {BACK_BELOW_TARGET}"
        if usage is None or entry.is_trouble:
            return None
        if is_first:
            return f"before any alarm: {usage}"
        return f"still {usage}" if entry.kind == Kind.OBSERVATION else None
    name = f"{entry.alarm.tier} alarm" if entry.alarm.tier else f"alarm {entry.alarm.name}"
    state = "" if entry.alarm.state == AlarmState.ALARM else f" {_state(entry.alarm.state)}"
    return f"{name}{state}: {usage}" if usage else f"{name}{state}"


def _state(state: str) -> str:
    return _STATES[AlarmState(state)] if state in list(AlarmState) else state


def _remedied(entry: Entry) -> str:
    named = [
        f'{group.sessions} of {_pool(group.role, group.application)} by rule "{group.rule}"'
        for group in entry.terminated[:MOST_GROUPS_NAMED]
    ]
    rest = sessions_in(entry.terminated[MOST_GROUPS_NAMED:])
    terminated = ", ".join([*named, *([f"{rest} more"] if rest else [])]) or "no sessions"
    survived = f", {entry.survived} survived" if entry.survived else ""
    unknown = ", the outcome of others is not known" if entry.has_unknown_outcomes else ""
    now = f"{of(entry.after)} in use now" if entry.after else "usage not measured since"
    runs = f" (in {entry.times} runs)" if entry.times > 1 else ""
    return f"terminated {terminated}{survived}{unknown}{runs}; {now}"


def _not_terminated(entry: Entry) -> str:
    would = sessions_in(entry.would_terminate)
    what = "terminated no sessions"
    if would:
        what += f", would have terminated {would}"
    # An alarm that a full server refused has no plan to explain, but its problem.
    why = entry.explanation or next(iter(entry.problems), None)
    return f"{what}: {why}" if why else what


def _pool(role: str, application: str) -> str:
    return f"{role}/{application}" if application else role
