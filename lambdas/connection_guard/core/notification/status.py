"""An incident's status and headline, in the words that every notification uses."""

from enum import StrEnum

from connection_guard.core.incident.entry import Usage, sessions_in
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.core.policy import Tier
from connection_guard.core.words import counted, spelled

BACK_BELOW_TARGET = "back below target"
WAITING_FOR_ALARM = "waiting for the alarm to clear"
END_NOT_SEEN = "closed because another incident began; its own end was never seen"
NOT_KNOWN_WHETHER_TERMINATED = "it is not known whether sessions were terminated"


class Status(StrEnum):
    """What a reader has to know first. INCIDENT is open without a known tier."""

    ACTION_REQUIRED = "action required"
    CRITICAL = "critical"
    WARNING = "warning"
    INCIDENT = "incident"
    RECOVERING = "recovering"
    RESOLVED = "resolved"
    FOLLOWED = "followed by another incident"


_NEARLY_FULL = "connections have nearly run out"
_TITLES = {
    Status.CRITICAL: _NEARLY_FULL,
    Status.WARNING: "connections are running out",
    Status.INCIDENT: _NEARLY_FULL,
    Status.RECOVERING: f"{BACK_BELOW_TARGET}; {WAITING_FOR_ALARM}",
}


def title_of(status: Status) -> str:
    """Return the status in words that need no others."""
    return _TITLES.get(status, status.value)


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
    """Return one line: the database, and how it is now."""
    is_urgent = incident.action_required is not None
    mark = f"[{Status.ACTION_REQUIRED}] " if is_urgent else ""
    return f"{mark}{incident.database}: {situation_of(incident)}"


def situation_of(incident: Incident) -> str:
    """Return how the database is now, without its name."""
    if incident.action_required is not None:
        return incident.action_required
    usage = in_use(incident.latest) if incident.latest else "usage is not known"
    match status_of(incident):
        case Status.RECOVERING:
            line = f"{BACK_BELOW_TARGET} ({usage}); {WAITING_FOR_ALARM}"
            if incident.needs_no_more_action:
                line = f"action no longer required: {line}"
        case Status.FOLLOWED:
            line = f"{END_NOT_SEEN} ({usage} when last seen)"
        case Status.RESOLVED if incident.closed_at:
            line = f"resolved after {spelled(incident.closed_at - incident.opened_at)} ({usage})"
        case _:
            line = usage
    return f"{line}{_and_terminated(incident)}"


def of(usage: Usage) -> str:
    """Return the connections in use, of those that applications can get."""
    return f"{usage.used} of {usage.usable}"


def in_use(usage: Usage) -> str:
    """Return the same with its noun."""
    return f"{of(usage)} connections in use"


def reopened_of(reopened: int, terminated: int) -> str:
    """Return what a pool did about the sessions that it lost."""
    return f"reopened {reopened} of {counted(terminated, 'terminated session')}"


def _and_terminated(incident: Incident) -> str:
    terminated = sessions_in(incident.terminated)
    if terminated:
        more = ", perhaps more" if incident.has_unknown_outcomes else ""
        return f"; {counted(terminated, 'session')} terminated{more}"
    return f"; {NOT_KNOWN_WHETHER_TERMINATED}" if incident.has_unknown_outcomes else ""
