"""What the first reply in an incident's thread shows: everything that the message has no room for.

It stays within Slack's limits for any content of the database, and counts what does not fit.
"""

from collections.abc import Iterator

from connection_guard.core.incident.circumstances import Change, Circumstances, changes_in
from connection_guard.core.incident.entry import DiagnosedCause, Reopened, Usage
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.slack.mrkdwn import code, lines_that_fit, link, prose
from connection_guard.core.notification.slack.slack_blocks import (
    FIELD_MOST,
    LINE_MOST,
    Message,
    listed,
    mrkdwn,
    point,
    section,
    session_groups,
    small_print,
    terminated,
    would_terminate,
)
from connection_guard.core.notification.status import Status, of, percent_in_use, reopened_of
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


def details_of(view: View) -> Message:
    """Return the whole incident as it is now."""
    incident = view.incident
    seen = incident.circumstances
    title = f"Details of incident {code(incident.id)}"
    parts = [
        title,
        listed("Action required", incident.escalations[::-1], point, ACTION_MOST, "line"),
        _causes(incident),
        terminated(
            incident.terminated, TERMINATED_MOST, has_unknown_outcomes=incident.has_unknown_outcomes
        ),
        would_terminate(incident.would_terminate, WOULD_TERMINATE_MOST),
        session_groups("Spared", incident.spared, SPARED_MOST),
        _reopened(incident),
        f"*Usage* {prose(seen.trend, LINE_MOST)}" if seen and seen.trend else None,
        _changes(incident),
        _timeline(incident),
    ]
    first, *others = (section(part) for part in parts if part)
    last = (_problems(seen), _footer(view.links))
    return Message(
        title,
        (
            first,
            {"type": "section", "fields": [mrkdwn(field) for field in _fields(view)]},
            *others,
            *(small_print(line) for line in last if line),
        ),
    )


def _fields(view: View) -> Iterator[str]:
    incident = view.incident
    severity = incident.tier.value.capitalize() if incident.tier else "Not known"
    action = f", {Status.ACTION_REQUIRED}" if incident.action_required is not None else ""
    yield f"*Severity*\n{severity}{action}"
    yield f"*Connections before and now*\n{_usage(incident.first)} → {_usage(incident.latest)}"
    if incident.peak and incident.first and incident.peak.percent > incident.first.percent:
        yield f"*Peak*\n{_usage(incident.peak)}"
    so_far = "" if incident.closed_at else " so far"
    yield f"*Duration*\n{spelled(incident.lasted(view.at))}{so_far}"
    yield f"*Attempts*\n{incident.attempts}"
    if incident.alarm:
        yield (
            f"*Alarm*\n{code(incident.alarm.name, FIELD_MOST)} "
            f"{prose(incident.alarm.state, FIELD_MOST)}"
        )


def _usage(usage: Usage | None) -> str:
    return "not known" if usage is None else f"{of(usage)}{percent_in_use(usage)}"


def _causes(incident: Incident) -> str | None:
    def line_of(cause: DiagnosedCause) -> str:
        why = f"• {code(cause.name)}: {prose(cause.summary, LINE_MOST)}"
        return f"{why}\n   *Change*: {prose(cause.advice, LINE_MOST)}"

    return listed("Cause", incident.causes, line_of, CAUSES_MOST, "cause")


def _reopened(incident: Incident) -> str | None:
    def line_of(each: Reopened) -> str:
        pool = f"{code(each.role)} / {code(each.application)}"
        return f"• {pool} {reopened_of(each.reopened, each.terminated)}"

    return listed("Reopened immediately", incident.reopened, line_of, REOPENED_MOST, "pool")


def _changes(incident: Incident) -> str | None:
    """Return the last ones first: the nearest to the incident."""

    def line_of(change: Change) -> str:
        return f"• {change.at:%H:%M} {prose(change.text, LINE_MOST)}"

    changes = changes_in(incident.circumstances)[::-1]
    return listed("What changed (UTC)", changes, line_of, EVENTS_MOST, "change")


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


def _footer(links: Links) -> str:
    pages = {"Logs": links.logs, "Evidence": links.evidence, "Alarm": links.alarm}
    return " · ".join(link(url, text) for text, url in pages.items() if url)
