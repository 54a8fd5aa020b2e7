"""What Slack shows of an incident: one message, edited as it goes on, and a reply in its thread for
each attempt.

Within Slack's limits whatever the database holds; what does not fit is counted. Block Kit's limits:
https://docs.slack.dev/reference/block-kit/blocks
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from connection_guard.core.incident.circumstances import Context, RdsEvent, sparkline
from connection_guard.core.incident.incident import (
    Cause,
    Entry,
    Incident,
    Progress,
    Reopened,
    SessionGroup,
    Usage,
    without_figures,
)
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.mrkdwn import code, fitting, length, link, plain, prose
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from connection_guard.core.words import spelled

YELLOW = "#ECB22E"
RED = "#D92D20"
PURPLE = "#6B21A8"
BLUE = "#2E86DE"
GREEN = "#2EB67D"

HEADER_MOST = 150
TEXT_MOST = 300
LINE_MOST = 300
FIELD_MOST = 150

# Slack refuses a message of more than about 13,000 characters: what each part may take of them.
ACTION_MOST = 1_300
CAUSES_MOST = 1_600
TERMINATED_MOST = 1_600
OBSERVED_MOST = 1_000
SPARED_MOST = 1_000
REOPENED_MOST = 600
EVENTS_MOST = 800
TIMELINE_MOST = 1_200
PROBLEMS_MOST = 500

THREAD_PART_MOST = 800

MORE_IS_NOT_KNOWN = "… whether more were terminated is not known, see the log"

Block = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """`text` is the first line, and all of a notification; `blocks` are Block Kit as JSON, beside a
    bar in `color`.
    """

    text: str
    color: str
    blocks: tuple[Block, ...]


def message_of(incident: Incident, links: Links, now: datetime) -> Message:
    """The whole incident as it stands. Where people have to act, that comes first."""
    color, mark, standing = _standing(incident)
    parts = [
        _action(incident),
        _usage_over_time(incident.context),
        _causes(incident),
        _terminated(
            incident.terminated, TERMINATED_MOST, has_unknown_outcomes=incident.has_unknown_outcomes
        ),
        _groups(
            "Only observed: these would have been terminated",
            _would_terminate(incident),
            OBSERVED_MOST,
        ),
        _groups("Spared", incident.spared, SPARED_MOST),
        _reopened(incident),
        _events(incident.context),
        _timeline(incident),
    ]
    sections = [_section(part) for part in parts if part]
    first = sections[:1] if incident.progress is Progress.ESCALATED else []
    title = f"{mark} {incident.database}: {standing}"
    return Message(
        text=f"{mark} {prose(incident.headline, TEXT_MOST)}",
        color=color,
        blocks=(
            {
                "type": "header",
                "text": {"type": "plain_text", "text": plain(title, HEADER_MOST), "emoji": False},
            },
            *first,
            {"type": "section", "fields": [_mrkdwn(field) for field in _fields(incident, now)]},
            *sections[len(first) :],
            *(
                _context_line(line)
                for line in (_problems(incident.context), _footer(incident, links))
                if line
            ),
        ),
    )


def thread_of(entry: Entry, links: Links) -> Message:
    """One run of the responder, or its failure, in short."""
    number = f"Attempt {entry.attempt}, " if entry.attempt else ""
    survived = f"{entry.survived} survived termination" if entry.survived else None
    would = entry.would_terminate
    lines = (
        f"*People are needed*: {prose(entry.escalation, LINE_MOST)}" if entry.escalation else None,
        _terminated(
            entry.terminated, THREAD_PART_MOST, has_unknown_outcomes=entry.has_unknown_outcomes
        ),
        _groups("Only observed: these would have been terminated", would, THREAD_PART_MOST),
        survived,
        *(f"Problem: {prose(problem, LINE_MOST)}" for problem in entry.problems[:1]),
        _more(entry.problems[1:], "problem"),
    )
    told = [line for line in lines if line]
    footer = [link(links.logs, "Logs"), f"run {code(entry.request_id)}"]
    if entry.evidence:
        footer.append(f"evidence {code(entry.evidence, 500)}")
    return Message(
        text=f"*{number}{entry.at:%H:%M:%S} UTC* {prose(entry.headline, TEXT_MOST)}",
        color=_thread_color(entry),
        blocks=(*([_section("\n".join(told))] if told else []), _context_line(" · ".join(footer))),
    )


def thread_entries(incident: Incident) -> tuple[Entry, ...]:
    """What the thread tells of: every attempt, and whatever else is not just as the entry before
    it.
    """
    previous = (None, *incident.story[:-1])
    return tuple(
        entry
        for entry, before in zip(incident.story, previous, strict=True)
        if not _is_repeat(entry, before)
    )


def is_news(incident: Incident) -> bool:
    """Whether the incident is not where it was with the entries that have been told, for what
    cannot be edited.
    """
    told = tuple(entry for entry in incident.entries if entry.request_id in incident.told)
    if not told:
        return True
    then = replace(incident, entries=told)
    return any(
        getattr(then, name) != getattr(incident, name)
        for name in ("progress", "tier", "recurrences")
    )


def _is_repeat(entry: Entry, before: Entry | None) -> bool:
    return (
        before is not None
        and entry.kind != Kind.REMEDIATION
        and entry.alarm in (None, before.alarm)
        and _gist(entry) == _gist(before)
    )


def _gist(entry: Entry) -> tuple[object, ...]:
    """What an entry says, whatever its figures."""
    return (
        entry.kind,
        without_figures(entry.escalation or ""),
        entry.has_recovered,
        entry.is_below_target,
    )


def _standing(incident: Incident) -> tuple[str, str, str]:
    """The colour, a mark for who does not see it, and the words."""
    match incident.progress:
        case Progress.CLOSED:
            return (
                GREEN,
                "🟢",
                "followed by another incident" if incident.followed_at else "recovered",
            )
        case Progress.RECOVERING:
            return BLUE, "🔵", "below its target again, not over yet"
        case Progress.ESCALATED:
            return PURPLE, "🟣", "people have to act"
        case Progress.OPEN if incident.tier is Tier.WARNING:
            return YELLOW, "🟡", "connections are running out"
        case Progress.OPEN:
            return RED, "🔴", "connections have nearly run out"


def _thread_color(entry: Entry) -> str:
    if entry.escalation:
        return PURPLE
    if entry.has_recovered:
        return GREEN
    if entry.is_below_target:
        return BLUE
    return YELLOW if entry.tier is Tier.WARNING else RED


def _fields(incident: Incident, now: datetime) -> Iterator[str]:
    severity = incident.tier.value.capitalize() if incident.tier else "Not known"
    escalated = ", escalated" if incident.progress is Progress.ESCALATED else ""
    yield f"*Severity*\n{severity}{escalated}"
    yield f"*Connections before and now*\n{_usage(incident.first)} → {_usage(incident.latest)}"
    if incident.peak and incident.first and incident.peak.percent > incident.first.percent:
        yield f"*At most*\n{_usage(incident.peak)}"
    lasted = spelled((incident.closed_at or now) - incident.opened_at)
    yield f"*Duration*\n{lasted}{'' if incident.closed_at else ' so far'}"
    yield f"*Attempts*\n{incident.attempts}"
    if incident.alarm:
        yield (
            f"*Alarm*\n{code(incident.alarm.name, FIELD_MOST)} "
            f"{prose(incident.alarm.state, FIELD_MOST)}"
        )


def _usage(usage: Usage | None) -> str:
    return f"{usage.used} of {usage.usable} ({usage.percent:.0f} %)" if usage else "not known"


def _action(incident: Incident) -> str | None:
    if incident.progress is not Progress.ESCALATED:
        return None
    lines = [
        *reversed(incident.escalations),
        *(f"Change: {cause.advice}" for cause in incident.causes),
    ]
    return _listed("People have to act", lines or [incident.headline], _point, ACTION_MOST, "line")


def _causes(incident: Incident) -> str | None:
    """What to change stands with the cause, unless it came first."""

    def line_of(cause: Cause) -> str:
        why = f"• {code(cause.name)} {prose(cause.summary, LINE_MOST)}"
        is_told = incident.progress is Progress.ESCALATED
        return why if is_told else f"{why}\n   *Change*: {prose(cause.advice, LINE_MOST)}"

    return _listed("Cause", incident.causes, line_of, CAUSES_MOST, "cause")


def _usage_over_time(context: Context | None) -> str | None:
    if context is None or not (context.trend or context.usage):
        return None
    lines = ["*The last hours*"]
    if context.usage:
        since, until = context.usage[0][0], context.usage[-1][0]
        bars = sparkline([percent for _, percent in context.usage])
        lines.append(f"`{bars}` {since:%H:%M} to {until:%H:%M} UTC")
    if context.trend:
        lines.append(prose(context.trend, LINE_MOST))
    return "\n".join(lines)


def _would_terminate(incident: Incident) -> tuple[SessionGroup, ...]:
    return incident.story[-1].would_terminate


def _terminated(
    groups: Sequence[SessionGroup], most: int, *, has_unknown_outcomes: bool
) -> str | None:
    if not has_unknown_outcomes:
        return _groups("Terminated", groups, most)
    if not groups:
        return "*Terminated*: not known, see the log"
    return f"{_groups('Terminated', groups, most - length(MORE_IS_NOT_KNOWN))}\n{MORE_IS_NOT_KNOWN}"


def _groups(title: str, groups: Sequence[SessionGroup], most: int) -> str | None:
    if not groups:
        return None
    title = f"*{title}*: {_sessions(groups)}"
    shown = fitting(map(_group, groups), most - length(title))
    rest = groups[len(shown) :]
    return "\n".join(
        [title, *shown, *([f"{_more(rest, 'group')}, {_sessions(rest)}"] if rest else [])]
    )


def _sessions(groups: Sequence[SessionGroup]) -> str:
    return _counted(sum(group.sessions for group in groups), "session")


def _group(group: SessionGroup) -> str:
    who = f"{code(group.role)} / {code(group.application)}"
    state = f", {prose(group.state, 50)}" if group.state else ""
    return (
        f"• {group.sessions} of {who}{state}, rule {code(group.rule)}: {prose(group.reason, 150)}"
    )


def _reopened(incident: Incident) -> str | None:
    def line_of(each: Reopened) -> str:
        pool = f"{code(each.role)} / {code(each.application)}"
        return f"• {pool}: {each.reopened} reopened after {each.terminated} terminated"

    pools = [each for each in incident.reopened if each.reopened]
    return _listed("Came back at once", pools, line_of, REOPENED_MOST, "pool")


def _events(context: Context | None) -> str | None:
    """The last ones first: the nearest to the incident."""

    def line_of(event: RdsEvent) -> str:
        return f"• {event.at:%H:%M} {code(event.source)} {prose(event.message, LINE_MOST)}"

    events = sorted(context.events, key=lambda event: event.at, reverse=True) if context else []
    return _listed("RDS events (UTC)", events, line_of, EVENTS_MOST, "event")


def _timeline(incident: Incident) -> str:
    """The latest lines in the order in which they happened."""
    timeline = incident.timeline
    lines = (f"• {at:%H:%M:%S} {prose(line, LINE_MOST)}" for at, line in reversed(timeline))
    shown = fitting(lines, TIMELINE_MOST)
    earlier = len(timeline) - len(shown)
    before = [f"… after {_counted(earlier, 'earlier line')}"] if earlier else []
    return "\n".join(["*Timeline (UTC)*", *before, *reversed(shown)])


def _problems(context: Context | None) -> str | None:
    return (
        _listed("Could not be read", context.problems, _point, PROBLEMS_MOST, "problem")
        if context
        else None
    )


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


def _listed(
    title: str, things: Sequence[T], line_of: Callable[[T], str], most: int, what: str
) -> str | None:
    if not things:
        return None
    shown = fitting(map(line_of, things), most - len(title))
    rest = _more(things[len(shown) :], what)
    return "\n".join([f"*{title}*", *shown, *([rest] if rest else [])])


def _point(text: str) -> str:
    return f"• {prose(text, LINE_MOST)}"


def _more(rest: Sequence[object], what: str) -> str | None:
    return f"… and {_counted(len(rest), f'more {what}')}" if rest else None


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _context_line(text: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(text)]}


def _mrkdwn(text: str) -> Block:
    """Verbatim: names of channels and addresses in it are no links."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
