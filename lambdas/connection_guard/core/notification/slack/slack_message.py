"""What Slack shows of an incident: one message, which is edited as it goes on.

It stays within Slack's limits for any content of the database, and counts what does not fit.
"""

from collections.abc import Iterator
from datetime import datetime

from connection_guard.core.incident.circumstances import Circumstances, RdsEvent, sparkline
from connection_guard.core.incident.entry import DiagnosedCause, Reopened, Usage
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.slack.mrkdwn import code, lines_that_fit, link, prose
from connection_guard.core.notification.slack.slack_blocks import (
    BLUE,
    FIELD_MOST,
    GREEN,
    LINE_MOST,
    PURPLE,
    RED,
    TEXT_MOST,
    YELLOW,
    Message,
    header,
    listed,
    mrkdwn,
    point,
    section,
    session_groups,
    small_print,
    terminated,
    would_terminate,
)
from connection_guard.core.notification.status import (
    Status,
    headline_of,
    of,
    reopened_of,
    situation_of,
    status_of,
    title_of,
)
from connection_guard.core.notification.timeline import timeline_of
from connection_guard.core.notification.view import View
from connection_guard.core.words import counted, spelled

# Slack refuses a message of more than about 13,000 characters: this is each part's share of them.
ACTION_MOST = 1_300
CAUSES_MOST = 1_600
TERMINATED_MOST = 1_600
WOULD_TERMINATE_MOST = 1_000
SPARED_MOST = 1_000
REOPENED_MOST = 600
EVENTS_MOST = 800
TIMELINE_MOST = 1_200
PROBLEMS_MOST = 500

# A colour, and a mark for readers who do not see the colour.
_COLORS = {
    Status.ACTION_REQUIRED: (PURPLE, "🟣"),
    Status.CRITICAL: (RED, "🔴"),
    Status.WARNING: (YELLOW, "🟡"),
    Status.INCIDENT: (RED, "🔴"),
    Status.RECOVERING: (BLUE, "🔵"),
    Status.RESOLVED: (GREEN, "🟢"),
    Status.FOLLOWED: (GREEN, "🟢"),
}


def message_of(view: View) -> Message:
    """Return the whole incident as it is now. Required action comes first."""
    incident = view.incident
    status = status_of(incident)
    color, mark = _COLORS[status]
    parts = [
        _action(incident),
        _usage_over_time(incident.circumstances),
        _causes(incident),
        terminated(
            incident.terminated, TERMINATED_MOST, has_unknown_outcomes=incident.has_unknown_outcomes
        ),
        would_terminate(incident.would_terminate, WOULD_TERMINATE_MOST),
        session_groups("Spared", incident.spared, SPARED_MOST),
        _reopened(incident),
        _events(incident.circumstances),
        _timeline(incident),
    ]
    sections = [section(part) for part in parts if part]
    first = sections[:1] if status is Status.ACTION_REQUIRED else []
    last = (_problems(incident.circumstances), _footer(incident, view.links))
    return Message(
        text=f"{mark} {prose(headline_of(incident), TEXT_MOST)}",
        color=color,
        blocks=(
            header(f"{mark} {incident.database}: {title_of(status)}"),
            *first,
            {"type": "section", "fields": [mrkdwn(field) for field in _fields(incident, view.at)]},
            *sections[len(first) :],
            *(small_print(line) for line in last if line),
        ),
    )


def _fields(incident: Incident, now: datetime) -> Iterator[str]:
    severity = incident.tier.value.capitalize() if incident.tier else "Not known"
    action = f", {Status.ACTION_REQUIRED}" if incident.action_required is not None else ""
    yield f"*Severity*\n{severity}{action}"
    yield f"*Connections before and now*\n{_usage(incident.first)} → {_usage(incident.latest)}"
    if incident.peak and incident.first and incident.peak.percent > incident.first.percent:
        yield f"*Peak*\n{_usage(incident.peak)}"
    so_far = "" if incident.closed_at else " so far"
    yield f"*Duration*\n{spelled(incident.lasted(now))}{so_far}"
    yield f"*Attempts*\n{incident.attempts}"
    if incident.alarm:
        yield (
            f"*Alarm*\n{code(incident.alarm.name, FIELD_MOST)} "
            f"{prose(incident.alarm.state, FIELD_MOST)}"
        )


def _usage(usage: Usage | None) -> str:
    return f"{of(usage)} ({usage.percent:.0f} %)" if usage else "not known"


def _action(incident: Incident) -> str | None:
    if incident.action_required is None:
        return None
    lines = [
        *reversed(incident.escalations),
        *(f"Change: {cause.advice}" for cause in incident.causes),
    ]
    return listed("Action required", lines or [situation_of(incident)], point, ACTION_MOST, "line")


def _causes(incident: Incident) -> str | None:
    """Return the causes with what to change, unless that came first."""

    def line_of(cause: DiagnosedCause) -> str:
        why = f"• {code(cause.name)}: {prose(cause.summary, LINE_MOST)}"
        is_shown = incident.action_required is not None
        return why if is_shown else f"{why}\n   *Change*: {prose(cause.advice, LINE_MOST)}"

    return listed("Cause", incident.causes, line_of, CAUSES_MOST, "cause")


def _usage_over_time(seen: Circumstances | None) -> str | None:
    if seen is None or not (seen.trend or seen.usage):
        return None
    lines = ["*Usage over the last few hours*"]
    if seen.usage:
        since, until = seen.usage[0][0], seen.usage[-1][0]
        bars = sparkline([percent for _, percent in seen.usage])
        lines.append(f"`{bars}` {since:%H:%M} to {until:%H:%M} UTC")
    if seen.trend:
        lines.append(prose(seen.trend, LINE_MOST))
    return "\n".join(lines)


def _reopened(incident: Incident) -> str | None:
    def line_of(each: Reopened) -> str:
        pool = f"{code(each.role)} / {code(each.application)}"
        return f"• {pool} {reopened_of(each.reopened, each.terminated)}"

    return listed("Reopened immediately", incident.reopened, line_of, REOPENED_MOST, "pool")


def _events(seen: Circumstances | None) -> str | None:
    """Return the last ones first: the nearest to the incident."""

    def line_of(event: RdsEvent) -> str:
        return f"• {event.at:%H:%M} {code(event.source)} {prose(event.message, LINE_MOST)}"

    events = sorted(seen.events, key=lambda event: event.at, reverse=True) if seen else []
    return listed("RDS events (UTC)", events, line_of, EVENTS_MOST, "event")


def _timeline(incident: Incident) -> str:
    """Return the latest lines in the order in which they happened."""
    timeline = timeline_of(incident)
    lines = (f"• {at:%H:%M:%S} {prose(line, LINE_MOST)}" for at, line in reversed(timeline))
    shown = lines_that_fit(lines, TIMELINE_MOST)
    earlier = len(timeline) - len(shown)
    before = [f"… after {counted(earlier, 'earlier line')}"] if earlier else []
    return "\n".join(["*Timeline (UTC)*", *before, *reversed(shown)])


def _problems(seen: Circumstances | None) -> str | None:
    problems = seen.problems if seen else ()
    return listed("Could not be read", problems, point, PROBLEMS_MOST, "problem")


def _footer(incident: Incident, links: Links) -> str:
    pages = {
        "Alarm": links.alarm,
        "Logs": links.logs,
        "Evidence": links.evidence,
        "Dashboard": links.dashboard,
    }
    return " · ".join(
        [*(link(url, text) for text, url in pages.items() if url), f"incident {code(incident.id)}"]
    )
