"""The list of incidents: what one line says of each, and which one a person means."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from connection_guard.adapters.aws.incident_table import Kept
from connection_guard.cli.incidents.channel_state import pending_channels
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.status import Status, headline_of, status_of
from connection_guard.core.policy import Tier
from connection_guard.core.words import printable, quoted, spelled

MOST_NAMED = 5

STYLES: Mapping[Status, str] = {
    Status.ACTION_REQUIRED: "bold red",
    Status.CRITICAL: "red",
    Status.WARNING: "yellow",
    Status.INCIDENT: "yellow",
    Status.RECOVERING: "cyan",
    Status.RESOLVED: "green",
    Status.FOLLOWED: "dim",
}


@dataclass(frozen=True, slots=True)
class ListedIncident:
    """What the list says of an incident. `pending` are the channels that are yet to be notified."""

    id: str
    database: str
    opened_at: datetime
    closed_at: datetime | None
    seconds: float
    status: Status
    progress: Progress
    tier: Tier | None
    headline: str
    beginnings: int
    pending: tuple[str, ...]


def listed_incident(kept: Kept, channels: Sequence[str], now: datetime) -> ListedIncident:
    """Return what the list says."""
    incident = kept.incident
    return ListedIncident(
        id=incident.id,
        database=incident.database,
        opened_at=incident.opened_at.astimezone(UTC),
        closed_at=incident.closed_at,
        seconds=incident.lasted(now).total_seconds(),
        status=status_of(incident),
        progress=incident.progress,
        tier=incident.tier,
        headline=headline_of(incident),
        beginnings=incident.beginnings,
        pending=pending_channels(kept, channels),
    )


def list_shown(incidents: Iterable[ListedIncident], now: datetime) -> RenderableType:
    """Return three lines per incident: when and how it is, its headline, and its ID."""
    return Group(*(_shown(each, now) for each in incidents))


def _shown(each: ListedIncident, now: datetime) -> RenderableType:
    opened = f"{each.opened_at:%Y-%m-%d %H:%M} UTC, {spelled(now - each.opened_at)} ago"
    lasts = "lasted" if each.closed_at else "open for"
    first = Text(f"{opened:<32}{f'{lasts} {spelled(timedelta(seconds=each.seconds))}':<18}")
    first.append(each.status.value, STYLES[each.status])
    if each.beginnings > 1:
        first.append(f", began {each.beginnings} times")
    last = Text(printable(each.id), "dim", no_wrap=True, overflow="ignore")
    pending = Text(f"yet to be notified: {', '.join(each.pending)}", "yellow")
    lines = [Text(printable(each.headline)), last, *([pending] if each.pending else [])]
    return Group(first, *(Padding(line, (0, 0, 0, 2)) for line in lines), Text())


def meant(found: Mapping[str, Kept], text: str) -> str:
    """Return the ID of the incident that a person means by what messages show of it: its ID, the
    beginning of that, the request ID or evidence of one of its runs, or its database, whose latest
    it is then.

    Raise UserMistakeError where there is none, or more than one.
    """
    newest_first = sorted(found, key=lambda each: found[each].incident.opened_at, reverse=True)
    of_database = [each for each in newest_first if found[each].incident.database == text]
    ways = (
        [each for each in newest_first if each == text],
        of_database[:1],
        [each for each in newest_first if _has_run(found[each], text)],
        [each for each in newest_first if text and each.startswith(text)],
    )
    matches = next(filter(None, ways), [])
    if len(matches) == 1:
        return matches[0]
    if matches:
        named = ", ".join(map(quoted, matches[:MOST_NAMED]))
        raise UserMistakeError(f"{quoted(text)} is {len(matches)} incidents: name one, of {named}")
    close = get_close_matches(text, found, n=1)
    advice = (
        f"did you mean {quoted(close[0])}?"
        if close
        else "`connection-guard incidents --since 52w` lists them"
    )
    raise UserMistakeError(f"{quoted(text)} is no incident of this stack: {advice}")


def _has_run(kept: Kept, text: str) -> bool:
    return any(text in (each.request_id, each.evidence) for each in kept.incident.entries)
