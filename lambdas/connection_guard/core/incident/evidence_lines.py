"""What is stored permanently of a run: its Report, and each session that it saw as a line of JSON
(docs/evidence.md).
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from lzma import LZMAError
from typing import Any

from connection_guard.core.database.session import Session
from connection_guard.core.incident.delivery import ReportDelivery
from connection_guard.core.report.evidence_format import Evidence, SessionEvidence, unpack_evidence

Line = dict[str, Any]


def evidence_key(delivery: ReportDelivery) -> str:
    """Return the key of the lines: Athena and DuckDB read its `name=value` folders as partitions. A
    run's key is always the same.
    """
    at = delivery.received_at
    return f"evidence/database={delivery.database}/date={at:%Y-%m-%d}/{_name(delivery)}.jsonl.gz"


def report_key(delivery: ReportDelivery) -> str:
    """Return the key of the Report: beside the lines, not among them."""
    date = f"{delivery.received_at:%Y-%m-%d}"
    return f"reports/database={delivery.database}/date={date}/{_name(delivery)}.json"


def run_keys(key: str) -> tuple[str, ...]:
    """Return the keys of all that is stored of the run that an entry's key names: of lines, these
    and their Report, which has the limits that they are read with.
    """
    run = key.removeprefix("evidence/").removesuffix(".jsonl.gz")
    return (key,) if key == run else (key, f"reports/{run}.json")


def evidence_lines(delivery: ReportDelivery) -> bytes | None:
    """Return the sessions, one JSON object per line, compressed with gzip; None where the run
    looked at none.

    The same Report gives the same bytes. Raises ValueError where the evidence cannot be read.
    """
    packed = delivery.report["evidence"]
    if packed is None:
        return None
    try:
        lines = [
            json.dumps(row, ensure_ascii=False) + "\n"
            for row in _rows(delivery, unpack_evidence(packed))
        ]
    except (ValueError, KeyError, TypeError, AttributeError, LZMAError) as wrong:
        raise ValueError(
            f"the evidence of run {delivery.request_id} cannot be read: {wrong!r}"
        ) from wrong
    # Half a character would make the whole object unreadable.
    return gzip.compress("".join(lines).encode(errors="replace"), mtime=0)


def report_document(delivery: ReportDelivery, *, evidence: str | None) -> bytes:
    """Return the Report as JSON. `evidence` is the key of its lines, which replaces its own
    evidence; None leaves that in.
    """
    report = dict(delivery.report)
    if evidence is not None:
        packed: Mapping[str, Any] = report["evidence"]
        report["evidence"] = {
            "key": evidence,
            "sessions": packed["sessions"],
            "omitted": packed["omitted"],
        }
    return json.dumps(report).encode()


def _name(delivery: ReportDelivery) -> str:
    return f"{delivery.received_at:%H%M%S.%f}-{delivery.request_id}"


def _rows(delivery: ReportDelivery, evidence: Evidence) -> Iterator[Line]:
    report = delivery.report
    run = {
        "database": delivery.database,
        "request_id": delivery.request_id,
        "kind": delivery.kind,
        "tier": report["tier"],
        "attempt": report["attempt"],
        "event_key": delivery.event_key,
        "taken_at": _time(evidence.taken_at),
    }
    for each in evidence.sessions:
        yield {**run, **_session(each.session), **_decided(each)}


def _session(session: Session) -> Line:
    """Return what pg_stat_activity shows, under its own names, then what it does not show."""
    return {
        "pid": session.pid,
        "usename": session.role,
        "usesysid": session.role_id,
        "datname": session.database,
        "application_name": session.application_name,
        "client_addr": session.client_address or None,
        "backend_start": _time(session.backend_start),
        "xact_start": _time(session.transaction_start),
        "query_start": _time(session.query_start),
        "state_change": _time(session.state_change),
        "wait_event_type": session.wait_event_type,
        "wait_event": session.wait_event,
        "state": session.state,
        "query": session.query,
        "is_superuser": session.is_superuser,
        "is_listening": session.is_listening,
        "holds_advisory_lock": session.holds_advisory_lock,
        "is_owned_by_proxy": session.is_owned_by_proxy,
        "blocked_by": session.blocked_by,
    }


def _decided(each: SessionEvidence) -> Line:
    return {
        "action": each.action,
        "rule": each.rule,
        "reason": each.reason,
        "result": each.result,
    }


def _time(time: datetime | None) -> str | None:
    """Return UTC to the millisecond, which is what the evidence knows and what Athena's
    from_iso8601_timestamp keeps.
    """
    if time is None:
        return None
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
