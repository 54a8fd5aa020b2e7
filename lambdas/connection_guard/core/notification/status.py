"""An incident's status and headline, in the words that every notification uses."""

from collections.abc import Mapping
from enum import StrEnum

from connection_guard.core import words
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.incident.entry import GUARD_ALARM, Entry, Usage, sessions_in
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from connection_guard.core.words import counted, ordinal, shown, spelled

GUARD = "Connection Guard"
NAME_MOST = 63

BACK_BELOW_TARGET = "back below target"
WAITING_FOR_ALARM = "waiting for the alarm to clear"
END_NOT_SEEN = "closed because another incident began; its own end was never seen"
NOT_KNOWN_WHETHER_TERMINATED = "it is not known whether sessions were terminated"

_TROUBLES: Mapping[str, str] = {
    Kind.LOCKED_OUT: "cannot get in",
    Kind.PREFLIGHT_FAILED: "cannot act",
    GUARD_ALARM: "raised an alarm about itself",
}

_ONLY_OBSERVES = frozenset({Restraint.OBSERVING.value, Restraint.PAUSED.value})


class Status(StrEnum):
    """What a reader has to know first. INCIDENT is open without a known tier."""

    ACTION_REQUIRED = "action required"
    CRITICAL = "critical"
    WARNING = "warning"
    INCIDENT = "incident"
    RECOVERING = "recovering"
    RESOLVED = "resolved"
    FOLLOWED = "followed by another incident"


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
    sentences = (f"{name} {situation_of(incident)}", _done(incident), _to_do(incident))
    return "".join(f"{sentence}. " for sentence in sentences if sentence).rstrip()


def situation_of(incident: Incident) -> str:
    """Return how the database is now, in words that follow its name."""
    usage, status = incident.latest, status_of(incident)
    figures = in_use(usage, "") if usage else "usage is not known"
    seen = f", with {in_use(usage)}" if usage else ""
    match status:
        case Status.RESOLVED:
            return f"recovered after {spelled(incident.lasted(incident.opened_at))}{seen}"
        case Status.FOLLOWED:
            return f"began another incident before the end of this one was seen{seen} until then"
        case Status.RECOVERING:
            return f"is {BACK_BELOW_TARGET}: {figures}"
    beginnings = incident.beginnings
    again = f" again, {ordinal(beginnings)} time" if beginnings > 1 else ""
    if incident.tier is None:
        # Only the guard's own trouble: nothing shows that connections run out.
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
    """Return what the guard could not do."""
    return _TROUBLES.get(entry.kind, "failed")


def of(usage: Usage) -> str:
    """Return the connections in use, of those that applications can get."""
    return words.of_usable(usage.used, usage.usable)


def in_use(usage: Usage, noun: str = " connections") -> str:
    """Return the same with its noun."""
    return words.connections_in_use(usage.used, usage.usable, noun)


def reopened_of(reopened: int, terminated: int) -> str:
    """Return what a pool did about the sessions that it lost."""
    return f"reopened {reopened} of {counted(terminated, 'terminated session')}"


def _done(incident: Incident) -> str | None:
    """Return what the guard did, and what it could not do."""
    terminated, latest = sessions_in(incident.terminated), incident.story[-1]
    reopened = min(sum(each.reopened for each in incident.reopened), terminated)
    is_in_trouble = latest.is_trouble and latest.opens
    cannot = f"{GUARD} {trouble_of(latest)}" if is_in_trouble else None
    if terminated:
        more = ", perhaps more" if incident.has_unknown_outcomes else ""
        back = f", {reopened} came back at once" if reopened else ""
        now = f", and now {trouble_of(latest)}" if cannot else ""
        return f"{GUARD} freed {terminated}{more}{back}{now}"
    if incident.has_unknown_outcomes:
        not_known = NOT_KNOWN_WHETHER_TERMINATED.capitalize()
        return f"{cannot}, and {NOT_KNOWN_WHETHER_TERMINATED}" if cannot else not_known
    if cannot:
        return cannot
    if would := sessions_in(incident.would_terminate):
        return f"{GUARD} would have freed {would}, and was not allowed to"
    has_ended = incident.progress in (Progress.RECOVERING, Progress.CLOSED)
    return None if has_ended else f"{GUARD} freed none"


def _to_do(incident: Incident) -> str:
    match status_of(incident):
        case Status.ACTION_REQUIRED:
            return "Action needed"
        case Status.RECOVERING if incident.needs_no_more_action:
            return "Action no longer needed"
        case Status.RECOVERING | Status.RESOLVED | Status.FOLLOWED:
            return "No action needed"
    latest = incident.story[-1]
    if latest.is_engaged or latest.kind == Kind.REMEDIATION:
        return f"{GUARD} is working on it"
    if latest.restraint in _ONLY_OBSERVES and incident.tier is not Tier.WARNING:
        return f"{GUARD} only observes: decide whether to act"
    return "No action needed yet"
