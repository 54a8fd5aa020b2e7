"""How evidence travels in a Report: written by the responder, read by the reporter.

Format 1 is a JSON object in UTF-8, compressed as xz, in base64. Its fields:

- `taken_at`: when the sessions were looked at, in ISO 8601.
- `strings`: each string once; the columns hold its index.
- `columns`: for each field of a session one list, all of the same order and length.
  - `pid` and `blocked_by` hold pids, a list of them in the latter; `role_id` holds the role's OID.
  - `backend_start`, `state_change`, `transaction_start` and `query_start` hold whole milliseconds
    before `taken_at`.
  - `is_superuser`, `is_listening`, `holds_advisory_lock` and `is_owned_by_proxy` hold 1 or 0.
  - All others hold indexes of strings: the session's own, then the `action`, `rule` and `reason` of
    its verdict and the `result` of its outcome.

What is not known, or did not happen, is null.
"""

import json
import lzma
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connection_guard.core.database.session import Session, SessionState

FORMAT = 1

TIMES = ("backend_start", "state_change", "transaction_start", "query_start")
FLAGS = ("is_superuser", "is_listening", "holds_advisory_lock", "is_owned_by_proxy")
STRINGS = (
    "role",
    "database",
    "application_name",
    "client_address",
    "state",
    "wait_event_type",
    "wait_event",
    "query",
)
VERDICT = ("action", "rule", "reason")

MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class SessionEvidence:
    """A session, with times to the millisecond; what was decided about it and what happened to it,
    in the words of the Report. They are None where nothing was decided or done.
    """

    session: Session
    action: str | None
    rule: str | None
    reason: str | None
    result: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was packed; `omitted` sessions found no room."""

    taken_at: datetime
    sessions: tuple[SessionEvidence, ...]
    omitted: int


def unpack_evidence(packed: Mapping[str, Any]) -> Evidence:
    """Return what `pack_evidence` wrote. Raises ValueError where the format is another."""
    if packed["format"] != FORMAT:
        raise ValueError(
            f"evidence of format {packed['format']!r}: this version reads format {FORMAT}"
        )
    document = json.loads(lzma.decompress(b64decode(packed["data"])))
    taken_at, strings = datetime.fromisoformat(document["taken_at"]), document["strings"]
    rows = (
        dict(zip(document["columns"], values, strict=True))
        for values in zip(*document["columns"].values(), strict=True)
    )
    sessions = tuple(_session(row, taken_at, strings) for row in rows)
    return Evidence(taken_at, sessions, packed["omitted"])


def _session(row: dict[str, Any], taken_at: datetime, strings: list[str]) -> SessionEvidence:
    row |= {name: taken_at - row[name] * MILLISECOND for name in TIMES if row[name] is not None}
    row |= {name: bool(row[name]) for name in FLAGS}
    row |= {
        name: strings[row[name]] for name in (*STRINGS, *VERDICT, "result") if row[name] is not None
    }
    row |= {
        "state": row["state"] and SessionState(row["state"]),
        "blocked_by": tuple(row["blocked_by"]),
    }
    decided = {name: row.pop(name) for name in (*VERDICT, "result")}
    return SessionEvidence(Session(**row), **decided)
