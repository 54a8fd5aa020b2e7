"""An incident's status and headline, in the words that every notification uses."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

from connection_guard.core import words
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.incident.entry import GUARD_ALARM, Entry, Usage, sessions_in
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.wording import pause_until
from connection_guard.core.words import counted, ordinal, shown, spelled

GUARD = "Connection Guard"
NAME_MOST = 63

BACK_BELOW_TARGET = "back below target"
WAITING_FOR_ALARM = "waiting for the alarm to clear"
END_NOT_SEEN = "closed because another incident began; its own end was never seen"
NOT_KNOWN_WHETHER_TERMINATED = "it is not known whether sessions were terminated"

TROUBLE_MOST = 160
_TROUBLES: Mapping[str, str] = {
    Kind.LOCKED_OUT: "cannot get in",
    Kind.PREFLIGHT_FAILED: "lacks a privilege",
}

_RESTRAINED = (Restraint.OBSERVING, Restraint.PAUSED)


class Status(StrEnum):
    """What a reader has to know first. INCIDENT is open without a known tier."""

    ACTION_REQUIRED = "action required"
    CRITICAL = "critical"
    WARNING = "warning"
    INCIDENT = "incident"
    RECOVERING = "recovering"
    RESOLVED = "resolved"
    FOLLOWED = "followed by another incident"


ENDED = frozenset({Status.RESOLVED, Status.FOLLOWED})


def status_of(incident: Incident) -> Status:
    """Return the incident's status."""
    match incident.progress:
        case Progress.CLOSED:
            return Status.FOLLOWED if incident.followed_at else Status.RESOLVED
        case Progress.ESCALATED:
            return Status.ACTION_REQUIRED
        case Progress.RECOVERING:
            return Status.RECOVERING
    match incident.tier:
        case Tier.CRITICAL:
            return Status.CRITICAL
        case Tier.WARNING:
            return Status.WARNING
        case _:
            return Status.INCIDENT


def headline_of(incident: Incident) -> str:
    """Return one line: the database, its state, what the guard did, and whether somebody has to
    act.
    """
    name = shown(incident.database, NAME_MOST)
    sentences = (f"{name} {situation_of(incident)}", *_done(incident), _to_do(incident))
    return " ".join(f"{sentence}." for sentence in sentences)


def situation_of(incident: Incident) -> str:
    """Return how the database is now, in words that follow its name."""
    usage, status = incident.latest, status_of(incident)
    figures = in_use(usage, "") if usage else "usage is not known"
    # Where no tier is known, there was only the guard's own trouble: nothing shows that connections
    # ran out.
    trouble = _trouble(incident) if incident.tier is None else None
    with_usage = f", with {in_use(usage)}" if usage else ""
    match status:
        case Status.RESOLVED:
            what = f"; the trouble was: {trouble_of(trouble)}" if trouble else with_usage
            return f"recovered after {spelled(incident.lasted(incident.opened_at))}{what}"
        case Status.FOLLOWED:
            last = f", which last had {in_use(usage)}" if usage else ""
            return f"has a newer incident; nothing showed the end of this one{last}"
        case Status.RECOVERING:
            return f"is {BACK_BELOW_TARGET}: {figures}"
    beginnings = incident.beginnings
    again = f" again, {ordinal(beginnings)} time" if beginnings > 1 else ""
    if trouble is not None:
        return f"{_protection(trouble)}{again}: {trouble_of(trouble)}"
    if incident.tier is None:
        return f"has {in_use(usage)}{again}" if usage else f"may be in trouble{again}: {figures}"
    if usage and usage.used >= usage.usable:
        return f"is out of connections{again}: {figures}"
    running = "out of" if incident.tier is Tier.CRITICAL else "low on"
    return f"is running {running} connections{again}: {figures}"


def escalating(incident: Incident) -> Entry | None:
    """Return the entry that says why people have to act now, None where they do not."""
    if incident.action_required is None:
        return None
    escalations = (
        entry
        for entry in reversed(incident.story)
        if (entry.escalation or entry.headline) == incident.action_required
    )
    return next(escalations, None)


def trouble_of(entry: Entry) -> str:
    """Return what is wrong with the guard, as a clause: in the words of its own alarm, or of how
    the responder failed.
    """
    if entry.kind in _TROUBLES:
        return f"{GUARD} {_TROUBLES[entry.kind]}"
    clause = shown(entry.headline, TROUBLE_MOST)
    return f"{clause[:1].lower()}{clause[1:]}"


def what_to_do(entry: Entry) -> str | None:
    """Return what requires action, without what the entry's headline says already."""
    if entry.escalation is None:
        return None
    rest = entry.escalation.removeprefix(entry.headline).lstrip(":. ")
    return rest or entry.escalation


def of(usage: Usage) -> str:
    """Return the connections in use, of those that applications can get."""
    return words.of_usable(usage.used, usage.usable)


def in_use(usage: Usage, noun: str = " connections") -> str:
    """Return the same with its noun."""
    return words.connections_in_use(usage.used, usage.usable, noun)


def percent_in_use(usage: Usage) -> str:
    """Return the percentage in brackets, nothing where more than all are in use."""
    return "" if usage.used > usage.usable else f" ({usage.percent:.0f} %)"


def reopened_of(reopened: int, terminated: int) -> str:
    """Return what a pool did about the sessions that it lost."""
    return f"reopened {reopened} of {counted(terminated, 'terminated session')}"


def _trouble(incident: Incident) -> Entry | None:
    """Return the trouble of the guard's own that requires action, or else its latest."""
    escalated = escalating(incident)
    if escalated is not None and escalated.is_trouble:
        return escalated
    troubles = (each for each in reversed(incident.story) if each.is_trouble and each.opens)
    return next(troubles, None)


def _protection(trouble: Entry) -> str:
    """Return what the guard's trouble means for the database, as far as it is known."""
    if trouble.kind in _TROUBLES:
        return "is unprotected"
    is_limit = trouble.kind == GUARD_ALARM and not trouble.is_unguarded_alarm
    return "has an alarm" if is_limit else "may be unprotected"


def _done(incident: Incident) -> Iterator[str]:
    """Yield what the guard did, and what it could not do."""
    terminated, latest = sessions_in(incident.terminated), _latest_look(incident)
    is_in_trouble = latest.is_trouble and latest.opens
    trouble = _trouble(incident) if is_in_trouble and incident.tier is not None else None
    if terminated:
        yield f"{_freed(incident, terminated)}{_and_now(trouble)}"
        if trouble is not None and trouble.kind in _TROUBLES:
            return
    if trouble is not None:
        clause = trouble_of(trouble)
        yield f"{clause[:1].upper()}{clause[1:]}"
    if terminated:
        return
    if incident.has_unknown_outcomes:
        yield NOT_KNOWN_WHETHER_TERMINATED.capitalize()
    elif is_in_trouble:
        if incident.tier is None and incident.latest:
            yield in_use(incident.latest)
    elif would := sessions_in(incident.would_terminate):
        but = "" if latest.restraint in _RESTRAINED else ", but was not allowed to"
        yield f"{GUARD} would have freed {would}{but}"
    elif incident.progress not in (Progress.RECOVERING, Progress.CLOSED):
        yield f"{GUARD} freed none"


def _latest_look(incident: Incident) -> Entry:
    """Return the latest entry but those of alarms that a full server refused a login."""
    looks = (each for each in reversed(incident.story) if each.usage or each.is_trouble)
    return next(looks, incident.story[-1])


def _freed(incident: Incident, terminated: int) -> str:
    reopened = min(sum(each.reopened for each in incident.reopened), terminated)
    more = ", perhaps more" if incident.has_unknown_outcomes else ""
    back = f", {reopened} came back at once" if reopened else ""
    return f"{GUARD} freed {terminated}{more}{back}"


def _and_now(trouble: Entry | None) -> str:
    return f", and now {_TROUBLES[trouble.kind]}" if trouble and trouble.kind in _TROUBLES else ""


def _to_do(incident: Incident) -> str:
    match status_of(incident):
        case Status.ACTION_REQUIRED:
            return "Action needed"
        case Status.RECOVERING if incident.needs_no_more_action:
            return "Action no longer needed"
        case Status.FOLLOWED:
            return "No action needed here"
        case Status.RECOVERING | Status.RESOLVED:
            return "No action needed"
    latest = _latest_look(incident)
    if latest.is_engaged or latest.kind == Kind.REMEDIATION:
        return "It is still at work: no action needed yet"
    if latest.restraint in _RESTRAINED:
        is_warning = incident.tier is Tier.WARNING
        to_do = "no action needed yet" if is_warning else "decide whether to act"
        return f"It {_restrained(latest)}: {to_do}"
    return "No action needed yet"


def _restrained(entry: Entry) -> str:
    if entry.restraint != Restraint.PAUSED:
        return "only observes"
    return f"is {pause_until(entry.pause)}" if entry.pause else "is paused"
