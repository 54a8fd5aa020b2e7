"""One incident as its story: in the words of the channels, with what each of them knows."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from connection_guard.cli.incidents.channel_state import ChannelState
from connection_guard.core.notification.document import document_of
from connection_guard.core.notification.email import text_of
from connection_guard.core.notification.status import status_of
from connection_guard.core.notification.view import View
from connection_guard.core.words import counted, printable, spelled


def story_document(view: View, states: Iterable[ChannelState]) -> dict[str, Any]:
    """Return the incident as docs/incident.schema.json has it, with its status, how often it began,
    and what each channel knows.
    """
    return {
        **document_of(view),
        "status": status_of(view.incident),
        "beginnings": view.incident.beginnings,
        "channels": [asdict(each) for each in states],
    }


def story_shown(view: View, states: Iterable[ChannelState]) -> list[RenderableType]:
    """Return the text of its e-mail, and a table of the channels."""
    text = f"Incident {printable(view.incident.id)}\n\n{text_of(view)}"
    # A link that is broken into lines leads nowhere. rich keeps to that only within a group.
    story = Group(Text(text, no_wrap=True, overflow="ignore"))
    table = Table(box=None, pad_edge=False, title="Channels", title_justify="left")
    for column in ("Channel", "Notified of", "At (UTC)", "Still due"):
        table.add_column(column)
    for each in states:
        notified_at = (
            f"{each.notified_at.astimezone(UTC):%Y-%m-%d %H:%M}" if each.notified_at else ""
        )
        table.add_row(
            Text(printable(each.channel)), each.knows.value, notified_at, _due(each, view.at)
        )
    return [story, table]


def _due(state: ChannelState, now: datetime) -> str:
    refused = f", refused {counted(state.refusals, 'time')}" if state.refusals else ""
    if state.due_at is None:
        return "nothing"
    wait = state.due_at - now
    return f"{'now' if wait <= timedelta() else f'in {spelled(wait)}'}{refused}"
