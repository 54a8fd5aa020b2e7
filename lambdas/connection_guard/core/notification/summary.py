"""An incident in words: an e-mail's subject and text, and JSON for machines
(docs/incident.schema.json).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from textwrap import fill
from typing import Any
from unicodedata import combining, normalize

from connection_guard.core.incident.circumstances import Context
from connection_guard.core.incident.incident import (
    WHETHER_IS_NOT_KNOWN,
    Alarm,
    Entry,
    Incident,
    Progress,
    SessionGroup,
    Usage,
    without_figures,
)
from connection_guard.core.notification.links import Links
from connection_guard.core.policy import Tier
from connection_guard.core.words import spelled

SCHEMA_VERSION = 1

# What the names of news begin with, among all that an incident remembers to have been told.
SNS = "sns: "

# SNS: printable ASCII, "less than 100 characters long" (API reference, Publish, Subject).
SUBJECT_LENGTH = 99
COLUMNS = 78
LINE_LENGTH = 500
MOST_GROUPS = 10
MOST_LINES = 10
# The beginning and the end of a long timeline say the most.
FIRST_OF_TIMELINE, LAST_OF_TIMELINE = 5, 20

Row = dict[str, Any]


def news_of(incident: Incident) -> str | None:
    """Names what those who get an e-mail a message have to know; another name than they know is
    news. None: nothing.

    That is: it opened, became critical, needs people (for a further reason) or no longer does, is
    over, or an alarm fired anew after its OK. The name stays the same while nothing of that
    changes, however many runs there are.
    """
    if not incident.matters:
        return None
    severity = "critical" if incident.tier is Tier.CRITICAL else "not critical"
    match incident.progress:
        case Progress.CLOSED:
            state = "over"
        case Progress.ESCALATED:
            reasons = {without_figures(reason) for reason in incident.escalations}
            state = f"{severity}, people are needed for {len(reasons)} reasons"
        case Progress.RECOVERING if incident.has_called_off:
            state = f"{severity}, people are no longer needed"
        case _:
            state = severity
    return f"{SNS}{state}, {incident.recurrences} times anew"


def subject_of(incident: Incident) -> str:
    """At most 99 printable ASCII characters, the state and the database first: a phone shows little
    more.
    """
    subject = _line(f"[{_state(incident)}] {incident.database}{_what_matters(incident)}")
    base = "".join(
        character for character in normalize("NFKD", subject) if not combining(character)
    )
    text = base.encode("ascii", "replace").decode()
    return text if len(text) <= SUBJECT_LENGTH else f"{text[: SUBJECT_LENGTH - 3]}..."


def text_of(incident: Incident, links: Links, now: datetime) -> str:
    """An e-mail of 78 columns; links alone are longer. However many sessions and runs there were,
    some 200 lines.
    """
    sections = [
        ("", _overview(incident, now)),
        _needs(incident),
        ("What was done", _done(incident)),
        ("What was spared, and why", _groups(incident.spared)),
        ("Why connections ran out, and what to change", _causes(incident)),
        ("What AWS knows", _known_to_aws(incident.context)),
        ("Problems", _items(_problems(incident))),
        ("Timeline (UTC)", _timeline(incident.timeline)),
        ("Links", _links(links, incident.evidence)),
    ]
    written = [(title, list(lines)) for title, lines in sections]
    return "\n".join("\n".join([*_title(title), *lines, ""]) for title, lines in written if lines)


def json_of(incident: Incident, links: Links, now: datetime) -> Row:
    """The incident for machines, JSON-ready; `omitted` counts what a sender leaves out of each
    list, 0 here.
    """
    context = incident.context
    lists: dict[str, list[Any]] = {
        "terminated": [asdict(group) for group in incident.terminated],
        "would_terminate": [asdict(group) for group in _would_terminate(incident)],
        "spared": [asdict(group) for group in incident.spared],
        "reopened": [asdict(each) for each in incident.reopened],
        "causes": [asdict(cause) for cause in incident.causes],
        "problems": list(_problems(incident)),
        "rds_events": [
            {**asdict(e), "at": e.at.isoformat()} for e in (context.events if context else ())
        ],
        "timeline": [{"at": at.isoformat(), "text": text} for at, text in incident.timeline],
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "id": incident.id,
        "database": incident.database,
        "progress": incident.progress,
        "tier": incident.tier,
        "headline": incident.headline,
        "opened_at": incident.opened_at.isoformat(),
        "closed_at": incident.closed_at and incident.closed_at.isoformat(),
        "seconds": _lasted(incident, now).total_seconds(),
        "escalations": list(incident.escalations),
        "alarm": incident.alarm and _alarm(incident.alarm),
        "usage": {
            "first": _figures(incident.first),
            "peak": _figures(incident.peak),
            "latest": _figures(incident.latest),
        },
        "attempts": incident.attempts,
        "sessions_terminated": _sessions(incident.terminated),
        "has_unknown_outcomes": incident.has_unknown_outcomes,
        "trend": context.trend if context else None,
        "evidence": incident.evidence,
        "links": asdict(links),
        **lists,
        "omitted": dict.fromkeys(lists, 0),
    }


def _state(incident: Incident) -> str:
    match incident.progress:
        case Progress.CLOSED:
            return "followed by another" if incident.followed_at else "recovered"
        case Progress.ESCALATED:
            return "people needed"
        case Progress.RECOVERING:
            return "recovering"
        case Progress.OPEN:
            return incident.tier or "incident"


def _what_matters(incident: Incident) -> str:
    if incident.closed_at is not None:
        return f" after {spelled(incident.closed_at - incident.opened_at)}"
    if incident.progress is Progress.ESCALATED or incident.latest is None:
        return f": {_standing(incident)}"
    return f": {incident.latest.used} of {incident.latest.usable} connections in use"


def _standing(incident: Incident) -> str:
    """The headline, without what is said beside it."""
    return incident.headline.removeprefix(f"{incident.database}: ").removeprefix(
        "people are needed: "
    )


def _overview(incident: Incident, now: datetime) -> Iterator[str]:
    yield from _wrapped(incident.headline, indent="")
    yield ""
    severity = f" ({incident.tier})" if incident.tier and _state(incident) != incident.tier else ""
    lasts = "lasted" if incident.closed_at else "for"
    yield from _fact("State", f"{_state(incident)}{severity}")
    yield from _fact(
        "Opened", f"{_moment(incident.opened_at)}, {lasts} {spelled(_lasted(incident, now))}"
    )
    for name, usage in (
        ("Before", incident.first),
        ("Highest", incident.peak),
        ("Latest", incident.latest),
    ):
        if usage is not None:
            yield from _fact(
                name, f"{usage.used} of {usage.usable} connections in use ({usage.percent:.0f} %)"
            )
    if incident.alarm is not None:
        yield from _fact("Alarm", f"{incident.alarm.name}: {incident.alarm.state}")


def _needs(incident: Incident) -> tuple[str, Iterator[str]]:
    """A run that failed gives no reason but its headline."""
    if incident.progress is Progress.ESCALATED:
        return "What people have to do", _items(incident.escalations or [_standing(incident)])
    return "Why people were needed", _items(incident.escalations)


def _done(incident: Incident) -> Iterator[str]:
    if incident.terminated:
        attempts = "1 attempt" if incident.attempts == 1 else f"{incident.attempts} attempts"
        yield from _wrapped(f"Terminated {_counted(_sessions(incident.terminated))} in {attempts}:")
        yield from _groups(incident.terminated)
    if incident.has_unknown_outcomes:
        yield from _wrapped(_not_known(incident))
    elif not incident.terminated:
        yield from _wrapped("No session was terminated.")
        explanations = [entry.explanation for entry in incident.story if entry.explanation]
        yield from _wrapped(*explanations[-1:])
    if would := _would_terminate(incident):
        yield from _wrapped(
            f"A policy that enforces would have terminated {_counted(_sessions(would))}:"
        )
        yield from _groups(would)
    survived = sum(entry.survived for entry in incident.story)
    if survived:
        yield from _wrapped(f"Signalled and still there when last looked at: {_counted(survived)}.")
    for each in incident.reopened[:MOST_LINES]:
        yield from _wrapped(
            f"{_application(each.application, each.role)} lost {each.terminated} and opened "
            f"{each.reopened} again."
        )
    yield from _more(incident.reopened, MOST_LINES, "pools")


def _not_known(incident: Incident) -> str:
    what = (
        "Whether more were terminated is not known"
        if incident.terminated
        else WHETHER_IS_NOT_KNOWN.capitalize()
    )
    return (
        f"{what}: a run ended, or lost the database, before it could look; the responder's log "
        "names each batch."
    )


def _groups(groups: Sequence[SessionGroup]) -> Iterator[str]:
    for group in groups[:MOST_GROUPS]:
        state = f", {group.state}" if group.state else ""
        text = (
            f"{_application(group.application, group.role)}{state}: {group.rule} ({group.reason})"
        )
        yield from _wrapped(text, indent=f"{group.sessions:>7}  ")
    left = groups[MOST_GROUPS:]
    if left:
        yield (
            f"         and {len(left)} more groups of {_counted(_sessions(left))}; the evidence "
            "names them all"
        )


def _causes(incident: Incident) -> Iterator[str]:
    for cause in incident.causes[:MOST_LINES]:
        yield from _wrapped(f"{cause.name}: {cause.summary}", indent="  - ")
        yield from _wrapped(f"To change: {cause.advice}", indent="    ")
    yield from _more(incident.causes, MOST_LINES, "causes")


def _known_to_aws(context: Context | None) -> Iterator[str]:
    if context is None:
        return
    if context.trend:
        yield from _wrapped(f"Usage {context.trend}.")
    latest = context.events[-MOST_LINES:]
    for event in latest:
        yield from _wrapped(
            f"RDS, {event.source}: {event.message}", indent=f"  {_clock(event.at)}  "
        )
    yield from _more(context.events, MOST_LINES, "earlier events")
    yield from _items(context.problems)


def _timeline(timeline: Sequence[tuple[datetime, str]]) -> Iterator[str]:
    left_out = timeline[FIRST_OF_TIMELINE:-LAST_OF_TIMELINE]
    last = timeline[FIRST_OF_TIMELINE + len(left_out) :]
    yield from _moments(timeline[:FIRST_OF_TIMELINE])
    if left_out:
        yield f"  ... {len(left_out)} more ..."
    yield from _moments(last)


def _moments(timeline: Iterable[tuple[datetime, str]]) -> Iterator[str]:
    for at, text in timeline:
        yield from _wrapped(text, indent=f"  {_clock(at)}  ")


def _links(links: Links, evidence: str | None) -> Iterator[str]:
    """A link is never broken: the reader's mail program would lose its end."""
    pages = (
        ("Dashboard", links.dashboard),
        ("Alarm", links.alarm),
        ("Log", links.logs),
        ("Evidence", links.evidence),
    )
    for name, page in pages:
        if page is not None:
            yield f"  {name:<11}{page}"
    if evidence is not None:
        yield f"  {'Object':<11}{evidence}"


def _problems(incident: Incident) -> tuple[str, ...]:
    """Of the latest run: what was mended since is none."""
    return incident.story[-1].problems


def _would_terminate(incident: Incident) -> tuple[SessionGroup, ...]:
    """Of the latest run that looked at the sessions."""
    latest = next((entry for entry in reversed(incident.story) if _has_looked(entry)), None)
    return latest.would_terminate if latest else ()


def _has_looked(entry: Entry) -> bool:
    return bool(entry.terminated or entry.would_terminate or entry.spared)


def _lasted(incident: Incident, now: datetime) -> timedelta:
    return max(incident.closed_at or now, incident.opened_at) - incident.opened_at


def _alarm(alarm: Alarm) -> Row:
    return {**asdict(alarm), "changed_at": alarm.changed_at and alarm.changed_at.isoformat()}


def _figures(usage: Usage | None) -> Row | None:
    return None if usage is None else {**asdict(usage), "percent": round(usage.percent, 1)}


def _sessions(groups: Iterable[SessionGroup]) -> int:
    return sum(group.sessions for group in groups)


def _counted(sessions: int) -> str:
    return "1 session" if sessions == 1 else f"{sessions} sessions"


def _application(application: str, role: str) -> str:
    return (
        f'"{application}" (role "{role}")'
        if application
        else f'unnamed application (role "{role}")'
    )


def _title(title: str) -> Sequence[str]:
    return (title, "-" * len(title)) if title else ()


def _fact(name: str, value: str) -> Iterator[str]:
    yield from _wrapped(value, indent=f"  {name:<11}")


def _items(texts: Sequence[str]) -> Iterator[str]:
    for text in texts[:MOST_LINES]:
        yield from _wrapped(text, indent="  - ")
    yield from _more(texts, MOST_LINES, "lines")


def _more(items: Sequence[object], most: int, what: str) -> Iterator[str]:
    if len(items) > most:
        yield f"  ... {len(items) - most} more {what}"


def _wrapped(*texts: str, indent: str = "  ") -> Iterator[str]:
    for text in texts:
        yield fill(
            _line(text),
            COLUMNS,
            initial_indent=indent,
            subsequent_indent=" " * len(indent),
            break_on_hyphens=False,
        )


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}"


def _line(text: str) -> str:
    """Names are the clients' to choose: one printable line, so that none can pass for a part of
    this message.
    """
    line = " ".join(
        "".join(character if character.isprintable() else " " for character in text).split()
    )
    return line if len(line) <= LINE_LENGTH else f"{line[: LINE_LENGTH - 1]}…"
