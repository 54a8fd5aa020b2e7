"""An incident as an e-mail: its subject and its text."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from textwrap import fill
from unicodedata import combining, normalize

from connection_guard.core.incident.circumstances import changes_in
from connection_guard.core.incident.entry import SessionGroup, sessions_in
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.status import (
    NOT_KNOWN_WHETHER_TERMINATED,
    escalating,
    in_use,
    of,
    percent_in_use,
    reopened_of,
    situation_of,
    status_of,
    trouble_of,
)
from connection_guard.core.notification.summary import summary_of
from connection_guard.core.notification.timeline import timeline_of
from connection_guard.core.notification.view import View
from connection_guard.core.words import counted, printable, shown, spelled

# SNS: printable ASCII, "less than 100 characters long" (API reference, Publish, Subject).
SUBJECT_LENGTH = 99
COLUMNS = 78
MOST_GROUPS = 10
MOST_LINES = 10
# The beginning and the end of a long timeline say the most.
FIRST_OF_TIMELINE, LAST_OF_TIMELINE = 5, 20


def subject_of(view: View) -> str:
    """Return at most 99 printable ASCII characters, the status and the database first: a phone
    shows little more.
    """
    incident = view.incident
    status = status_of(incident).upper()
    subject = shown(f"[{status}] {incident.database}{_what_matters(incident)}")
    base = "".join(
        character for character in normalize("NFKD", subject) if not combining(character)
    )
    text = base.encode("ascii", "replace").decode()
    return text if len(text) <= SUBJECT_LENGTH else f"{text[: SUBJECT_LENGTH - 3]}..."


def text_of(view: View) -> str:
    """Return a text of 78 columns, except for links. However many sessions and runs there were, it
    has some 200 lines.
    """
    incident = view.incident
    sections = [
        ("", _summary(view)),
        ("Overview", _overview(view)),
        _action(incident),
        ("What was done", _done(incident)),
        ("What was spared, and why", _groups(incident.spared)),
        ("Why connections ran out, and what to change", _causes(incident)),
        ("What AWS shows", _circumstances(view)),
        ("Problems", _items(incident.problems)),
        ("Timeline (UTC)", _timeline(timeline_of(incident))),
        ("Links", _links(view)),
    ]
    written = [(title, list(lines)) for title, lines in sections]
    return "\n".join("\n".join([*_title(title), *lines, ""]) for title, lines in written if lines)


def _what_matters(incident: Incident) -> str:
    if incident.closed_at is not None:
        return f" after {spelled(incident.closed_at - incident.opened_at)}"
    if incident.tier is None:
        return f" {situation_of(incident)}"
    usage = f"{of(incident.latest)} connections" if incident.latest else "usage is not known"
    return f": {usage}{_why_action(incident)}"


def _why_action(incident: Incident) -> str:
    escalated = escalating(incident)
    if escalated is None:
        return ""
    if escalated.is_trouble:
        return f", {trouble_of(escalated)}"
    return ", the guard frees too little" if escalated.is_engaged else ", the guard gave up"


def _summary(view: View) -> Iterator[str]:
    """Yield the first lines, which are those of every other channel."""
    summary = summary_of(view)
    yield from _wrapped(summary.first_line, indent="")
    yield ""
    for title, text in summary.parts:
        yield from _fact(title, text)
    if summary.usage:
        yield from _fact("Usage", summary.usage)
    if summary.owner:
        yield from _fact("Owner", summary.owner)
    if view.database.runbook:
        yield f"  {'Runbook':<11}{view.database.runbook}"


def _overview(view: View) -> Iterator[str]:
    incident = view.incident
    status = status_of(incident)
    severity = (
        f" ({incident.tier})" if incident.tier and status.value != incident.tier.value else ""
    )
    lasts = "lasted" if incident.closed_at else "open for"
    yield from _fact("Status", f"{status}{severity}")
    yield from _fact(
        "Opened", f"{_moment(incident.opened_at)}, {lasts} {spelled(incident.lasted(view.at))}"
    )
    for name, usage in (
        ("Before", incident.first),
        ("Peak", incident.peak),
        ("Latest", incident.latest),
    ):
        if usage is not None:
            yield from _fact(name, f"{in_use(usage)}{percent_in_use(usage)}")
    if incident.alarm is not None:
        yield from _fact("Alarm", f"{incident.alarm.name}: {incident.alarm.state}")


def _action(incident: Incident) -> tuple[str, Iterator[str]]:
    """Return the section's title and lines: a run that failed gives no reason but its headline."""
    if incident.action_required is not None:
        return "Action required", _items(incident.escalations or [incident.action_required])
    return "Why action was required", _items(incident.escalations)


def _done(incident: Incident) -> Iterator[str]:
    if incident.terminated:
        attempts = counted(incident.attempts, "attempt")
        yield from _wrapped(f"Terminated {_sessions(incident.terminated)} in {attempts}:")
        yield from _groups(incident.terminated)
    if incident.has_unknown_outcomes:
        yield from _wrapped(_not_known(incident))
    elif not incident.terminated:
        yield from _wrapped("No session was terminated.")
        explanations = [entry.explanation for entry in incident.story if entry.explanation]
        yield from _wrapped(*explanations[-1:])
    if would := incident.would_terminate:
        yield from _wrapped(f"Would have terminated {_sessions(would)}:")
        yield from _groups(would)
    if incident.survived:
        yield from _wrapped(
            f"Signalled but still there when last seen: {counted(incident.survived, 'session')}."
        )
    for each in incident.reopened[:MOST_LINES]:
        yield from _wrapped(
            f"{_application(each.application, each.role)} "
            f"{reopened_of(each.reopened, each.terminated)}."
        )
    yield from _more(incident.reopened, MOST_LINES, "pool")


def _not_known(incident: Incident) -> str:
    what = (
        "It is not known whether more were terminated"
        if incident.terminated
        else NOT_KNOWN_WHETHER_TERMINATED.capitalize()
    )
    return (
        f"{what}: a run ended, or lost its connection to the database, before it could check; the "
        "responder's log lists each batch."
    )


def _groups(groups: Sequence[SessionGroup]) -> Iterator[str]:
    for group in groups[:MOST_GROUPS]:
        state = f", {group.state}" if group.state else ""
        why = f"{group.rule} ({group.reason})" if group.has_rule else group.reason
        text = f"{_application(group.application, group.role)}{state}: {why}"
        yield from _wrapped(text, indent=f"{group.sessions:>7}  ")
    if left := groups[MOST_GROUPS:]:
        yield (
            f"         and {counted(len(left), 'more group')} of {_sessions(left)}; the evidence "
            "names them all"
        )


def _causes(incident: Incident) -> Iterator[str]:
    for cause in incident.causes[:MOST_LINES]:
        yield from _wrapped(f"{cause.name}: {cause.summary}", indent="  - ")
        yield from _wrapped(f"To change: {cause.advice}", indent="    ")
    yield from _more(incident.causes, MOST_LINES, "cause")


def _circumstances(view: View) -> Iterator[str]:
    seen = view.incident.circumstances
    if seen is None:
        return
    if seen.trend:
        yield from _wrapped(f"Usage {seen.trend}.")
    changes = changes_in(seen)
    yield from _moments(changes[-MOST_LINES:])
    yield from _more(changes, MOST_LINES, "earlier change")
    yield from _items(seen.problems)


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


def _links(view: View) -> Iterator[str]:
    """Yield links, each on one line: a mail program would lose the end of a broken one. The runbook
    is in the summary.
    """
    for name, page in view.pages:
        if page != view.database.runbook:
            yield f"  {name:<11}{page}"
    if evidence := view.incident.evidence:
        yield f"  {'Object':<11}{printable(evidence)}"


def _sessions(groups: Iterable[SessionGroup]) -> str:
    return counted(sessions_in(groups), "session")


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
    yield from _more(texts, MOST_LINES, "line")


def _more(items: Sequence[object], most: int, noun: str) -> Iterator[str]:
    if len(items) > most:
        yield f"  ... {counted(len(items) - most, f'more {noun}')}"


def _wrapped(*texts: str, indent: str = "  ") -> Iterator[str]:
    """Yield paragraphs. Clients choose their names: none may look like another part of this
    message.
    """
    for text in texts:
        yield fill(
            shown(text),
            COLUMNS,
            initial_indent=indent,
            subsequent_indent=" " * len(indent),
            break_on_hyphens=False,
        )


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}"
