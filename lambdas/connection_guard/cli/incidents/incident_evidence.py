"""The evidence of an incident: which objects it has, and the sessions in them."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from connection_guard.core.incident.evidence_lines import run_keys
from connection_guard.core.incident.incident import Incident
from connection_guard.core.words import counted, printable

LINES = ".jsonl.gz"

COLUMNS: Mapping[str, str] = {
    "pid": "PID",
    "usename": "Role",
    "application_name": "Application",
    "state": "State",
    "result": "Outcome",
    "reason": "Verdict",
}
MOST_SESSIONS = 50

SessionLine = dict[str, Any]


def evidence_keys(incident: Incident) -> tuple[str, ...]:
    """Return the keys of its objects, reports and sessions, in the order of its runs."""
    named = dict.fromkeys(entry.evidence for entry in incident.entries if entry.evidence)
    return tuple(key for name in named for key in run_keys(name))


def evidence_sessions(body: bytes) -> list[SessionLine]:
    """Return the sessions of an object (docs/evidence.md). Raise ValueError where it has none."""
    try:
        lines = gzip.decompress(body).decode().splitlines()
        sessions = [json.loads(line) for line in lines]
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as wrong:
        raise ValueError(f"it is damaged ({wrong})") from wrong
    if not all(isinstance(each, dict) for each in sessions):
        raise ValueError("its lines are no sessions")
    return sessions


def sessions_shown(key: str, sessions: Sequence[SessionLine]) -> list[RenderableType]:
    """Return a table of the sessions that a run saw: first those that it ended or tried to end."""
    table = Table(box=None, pad_edge=False)
    for name, title in COLUMNS.items():
        # Only the verdict is cut where there is no room for all.
        table.add_column(title, no_wrap=name != "reason")
    ordered = sorted(sessions, key=lambda each: (not each.get("result"), not _is_chosen(each)))
    for each in ordered[:MOST_SESSIONS]:
        table.add_row(
            *(Text(_cell(each, name), no_wrap=True, overflow="ellipsis") for name in COLUMNS)
        )
    heading = Group(Text(f"\n{printable(key)}", "bold", no_wrap=True, overflow="ignore"))
    rest = len(ordered) - MOST_SESSIONS
    if rest <= 0:
        return [heading, table]
    return [heading, table, Text(f"and {counted(rest, 'more session')}; --save keeps all of them")]


def _is_chosen(session: SessionLine) -> bool:
    return session.get("action") == "terminate"


def _cell(session: SessionLine, name: str) -> str:
    value = session.get(name)
    text = "" if value is None else printable(str(value))
    return f"{printable(str(session.get('action')))}: {text}" if name == "reason" and text else text
