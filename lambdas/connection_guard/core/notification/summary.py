"""The few lines that every notification of an incident begins with, whichever channel shows it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from connection_guard.core.database.pause import Pause
from connection_guard.core.decision.reason import ReasonCode
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.incident.circumstances import (
    MINUTE,
    Circumstances,
    deployment_before,
    sparkline,
)
from connection_guard.core.incident.entry import (
    GUARD_ALARM,
    DiagnosedCause,
    Entry,
    Usage,
    weight_of_causes,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.owner import cause_to_remove, owner_of
from connection_guard.core.notification.status import (
    NAME_MOST,
    WAITING_FOR_ALARM,
    escalating,
    headline_of,
    what_to_do,
)
from connection_guard.core.notification.view import View
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.wording import pause_in_words
from connection_guard.core.words import counted, hours_and_minutes, shown, spelled

# A phone shows 22 lines of 60 characters at most: this is each part's share of them.
DO_NOW_MOST = 260
WHY_MOST = 200
REASON_MOST = 100
CHANGE_MOST = 240
PLACE_MOST = 40
OWNER_MOST = 40

BARS = 20

# What happened longer ago did not start the incident.
SHORTLY = timedelta(minutes=15)

_RESTARTS = {
    Cause.POOL_REOPENS: ("Restart or scale down", "it reopens what is ended"),
    Cause.LEAK: ("Restart", "its pool has lost track of them"),
    Cause.CONNECTION_STORM: ("Scale down", "it opened them all at once"),
    Cause.IDLE_IN_TRANSACTION: ("Restart", "it leaves its transactions open"),
    Cause.OVERSIZED_POOLS: ("Scale down", "its pools are too large for this database"),
}
"""What to do about the application that a cause names, and why that helps."""

_BECAUSE = {
    ReasonCode.POOLS_REOPEN: "the pool reopens",
    ReasonCode.NO_CANDIDATE: "the policy allows no other session to be ended",
    ReasonCode.ATTEMPTS_USED: "usage stayed above the target",
    ReasonCode.HOURLY_CAP: "it may end no more sessions this hour (limits.most_per_hour)",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """Plain text on one line each, which each channel escapes in its own way; None where there is
    nothing to say.

    `first_line` says the database, its state and whether somebody has to act. `do_now` is the exact
    command, or the application to restart; `why` is one cause, from the worst moment; `guard` says
    what the guard did, and what it will do next; `change` is what to change once nobody has to act
    any more. `usage` is the sparkline, the duration and the place. `owner` is the name of who is to
    act.
    """

    first_line: str
    do_now: str | None = None
    why: str | None = None
    guard: str | None = None
    change: str | None = None
    usage: str | None = None
    owner: str | None = None

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """Return what follows the first line, each with its title."""
        titled = (
            ("Do now", self.do_now),
            ("Why", self.why),
            ("Guard", self.guard),
            ("Change", self.change),
        )
        return tuple((title, text) for title, text in titled if text is not None)


def summary_of(view: View) -> Summary:
    """Return the summary of the incident as it is now: of one that is closed, a line, and what to
    change.
    """
    incident, owner = view.incident, owner_of(view)
    first_line = headline_of(incident)
    name = shown(owner.name, OWNER_MOST) if owner else None
    if incident.progress is Progress.CLOSED:
        advice = incident.causes[0].advice if incident.causes else None
        change = advice and _sentence(advice, CHANGE_MOST)
        return Summary(first_line, change=change, owner=name)
    return Summary(
        first_line,
        do_now=_do_now(view),
        why=_why(incident),
        guard=" ".join(_of_guard(incident)) or None,
        usage=_usage(view),
        owner=name,
    )


def _do_now(view: View) -> str | None:
    entry, cause = escalating(view.incident), cause_to_remove(view)
    if entry is None:
        return None
    if cause is None:
        return _sentence(what_to_do(entry) or entry.headline, DO_NOW_MOST)
    if cause.application is None or cause.name not in _RESTARTS:
        return _sentence(cause.advice, DO_NOW_MOST)
    what, why = _RESTARTS[Cause(cause.name)]
    name = _application(cause)
    return _sentence(f"{what} {name} ({_share(view.incident, cause)}): {why}", DO_NOW_MOST)


def _share(incident: Incident, cause: DiagnosedCause) -> str:
    """Return how many connections the application had at the worst moment, and where from."""
    worst = max((each for each in incident.story if each.causes), key=weight_of_causes)
    held = sum(
        group.sessions
        for group in (*worst.terminated, *worst.would_terminate, *worst.spared)
        if (group.role, group.application) == (cause.role, cause.application)
    )
    used = max(held, cause.sessions)
    of = f" of {worst.before.usable}" if worst.before else ""
    client = cause.largest_client
    if not client or not cause.clients:
        where = ""
    elif cause.clients == 1:
        where = f", all from {client}"
    else:
        where = f", from {counted(cause.clients, 'client')}, most from {client}"
    return f"{used}{of} connections{where}"


def _why(incident: Incident) -> str | None:
    seen = incident.circumstances
    if incident.causes:
        why = incident.causes[0].summary
    elif seen and seen.trend:
        why = f"Usage {seen.trend}"
    else:
        return None
    before = _shortly_before(incident)
    most = WHY_MOST - len(before) - len(" ") if before else WHY_MOST
    return " ".join(filter(None, (_sentence(why, most), before)))


def _shortly_before(incident: Incident) -> str | None:
    """Return the deployment of the application that the cause names, or else RDS's last event."""
    seen, opened_at = incident.circumstances, incident.opened_at
    application = incident.causes[0].application if incident.causes else None
    deployment = deployment_before(seen, opened_at, application) if application else None
    if deployment is not None and opened_at - deployment.at <= SHORTLY:
        return _began(opened_at - deployment.at, f"the deployment of {deployment.name}")
    events = [each for each in (seen.events if seen else ()) if each.at <= opened_at]
    latest = max(events, key=lambda event: event.at, default=None)
    if latest is None or opened_at - latest.at > SHORTLY:
        return None
    return _began(opened_at - latest.at, f"RDS reported: {latest.message}")


def _began(later: timedelta, after: str) -> str:
    return _sentence(f"This began {spelled(later)} after {after}", WHY_MOST // 2)


def _of_guard(incident: Incident) -> Iterator[str]:
    """Yield what it did last, what it will do next, and since when new clients are refused."""
    if incident.progress is Progress.RECOVERING:
        yield f"It is {WAITING_FOR_ALARM}."
        return
    latest, escalated = incident.story[-1], escalating(incident)
    trouble = next((each for each in (escalated, latest) if each and each.is_trouble), None)
    if trouble is None:
        yield from _attempts(incident, latest, escalated)
    elif trouble.kind != GUARD_ALARM:
        yield "It tries again every minute."
    if since := _full_since(incident):
        yield f"New clients have been refused since {since:%H:%M} UTC."


def _attempts(incident: Incident, latest: Entry, escalated: Entry | None) -> Iterator[str]:
    attempts = [entry.attempt for entry in incident.story if entry.attempt]
    tried = f"Attempt {attempts[-1]}" if attempts else "It ended no session"
    goes_on = latest.is_engaged or (escalated is None and latest.kind == Kind.REMEDIATION)
    if escalated is not None:
        is_last = escalated.escalation_code == ReasonCode.ATTEMPTS_USED
        of = f" of {escalated.attempt}" if is_last and attempts else ""
        but = "but" if goes_on else "stopped because"
        yield f"{tried}{of}, {but} {_reason(incident, escalated)}."
    elif latest.restraint == Restraint.OBSERVING:
        yield "It only observes, as the policy says."
        return
    elif latest.restraint == Restraint.PAUSED:
        yield f"It is {_paused(latest)}, and only observes."
        return
    elif attempts:
        yield f"{tried}."
    if goes_on:
        yield "It tries again every minute until usage is below the target."
    else:
        yield "It starts again with the next alarm."


def _paused(entry: Entry) -> str:
    if entry.pause is None or entry.pause == Pause():
        return "paused by role connection_guard_paused"
    return shown(pause_in_words(entry.pause), REASON_MOST)


def _reason(incident: Incident, escalated: Entry) -> str:
    """Return why the guard cannot go on, in words that follow "because"."""
    code = escalated.escalation_code
    if code == ReasonCode.ATTEMPTS_USED and incident.reopened:
        code = ReasonCode.POOLS_REOPEN
    if code in _BECAUSE:
        return _BECAUSE[ReasonCode(code)]
    return shown(str(escalated.escalation), REASON_MOST)


def _full_since(incident: Incident) -> datetime | None:
    """Return since when every look found the database full, None where the last did not."""
    since = None
    for entry in reversed(incident.story):
        seen = [usage for usage in (entry.before, entry.after) if usage]
        if not all(map(_is_full, seen)):
            break
        since = entry.at if seen else since
    return since


def _is_full(usage: Usage) -> bool:
    return usage.used >= usage.usable


def _usage(view: View) -> str | None:
    seen = view.incident.circumstances
    place = " / ".join(filter(None, (view.database.environment, view.region)))
    parts = (
        _bars(seen) if seen and seen.usage else None,
        f"for {spelled(view.incident.lasted(view.at))}",
        shown(place, PLACE_MOST),
    )
    return " · ".join(filter(None, parts))


def _bars(seen: Circumstances) -> str:
    """Return the sparkline with the time that it covers; a hyphen where there is no figure."""
    bars = sparkline([percent for _, percent in seen.usage], BARS).replace(" ", "-")
    span = seen.usage[-1][0] - seen.usage[0][0] + MINUTE
    return f"{bars} {hours_and_minutes(span)}"


def _application(cause: DiagnosedCause) -> str:
    return shown(cause.application or "", NAME_MOST) or f"what role {cause.role} runs unnamed"


def _sentence(text: str, most: int) -> str:
    """Return it on one line that begins and ends like a sentence."""
    line = shown(text, most - len("."))
    end = "" if line.endswith((".", ";", "…", "?", "!")) else "."
    return f"{line[:1].upper()}{line[1:]}{end}"
