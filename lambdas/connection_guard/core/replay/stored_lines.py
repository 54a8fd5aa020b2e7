"""The evidence as it is stored, one JSON object per session (core/incident/evidence_lines.py), read
again.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.report.evidence_format import Evidence, SessionEvidence


def read_lines(text: str, looked_at: datetime, omitted: int) -> Evidence:
    """Return what `evidence_lines` wrote.

    `looked_at` is when the run looked, which lines without any session do not say. Raise
    ValueError, TypeError, KeyError or AttributeError where it is anything else.
    """
    rows = [json.loads(line) for line in text.split("\n") if line]
    taken_at = datetime.fromisoformat(rows[0]["taken_at"]) if rows else looked_at
    return Evidence(taken_at, tuple(map(_session, rows)), omitted)


def _session(row: Mapping[str, Any]) -> SessionEvidence:
    session = Session(
        pid=row["pid"],
        backend_start=datetime.fromisoformat(row["backend_start"]),
        role=row["usename"],
        role_id=row["usesysid"],
        database=row["datname"],
        application_name=row["application_name"],
        client_address=row["client_addr"] or "",
        state=None if row["state"] is None else SessionState(row["state"]),
        state_change=_time(row["state_change"]),
        transaction_start=_time(row["xact_start"]),
        query_start=_time(row["query_start"]),
        wait_event_type=row["wait_event_type"],
        wait_event=row["wait_event"],
        query=row["query"],
        is_superuser=row["is_superuser"],
        is_listening=row["is_listening"],
        holds_advisory_lock=row["holds_advisory_lock"],
        is_owned_by_proxy=row["is_owned_by_proxy"],
        blocked_by=tuple(row["blocked_by"]),
    )
    return SessionEvidence(session, row["action"], row["rule"], row["reason"], row["result"])


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
