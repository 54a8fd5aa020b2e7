"""An incident as JSON for machines (docs/incident.schema.json)."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from connection_guard.core.incident.entry import Alarm, Usage, sessions_in
from connection_guard.core.notification.summary import summary_of
from connection_guard.core.notification.timeline import timeline_of
from connection_guard.core.notification.view import View

INCIDENT_SCHEMA_VERSION = 1

JsonObject = dict[str, Any]


def document_of(view: View) -> JsonObject:
    """Return the incident, JSON-ready; `omitted` counts what a sender leaves out of each list, 0
    here.
    """
    incident, summary = view.incident, summary_of(view)
    seen = incident.circumstances
    lists: dict[str, list[Any]] = {
        "terminated": [asdict(group) for group in incident.terminated],
        "would_terminate": [asdict(group) for group in incident.would_terminate],
        "spared": [asdict(group) for group in incident.spared],
        "reopened": [asdict(each) for each in incident.reopened],
        "causes": [asdict(cause) for cause in incident.causes],
        "problems": list(incident.problems),
        "rds_events": [
            {**asdict(event), "at": event.at.isoformat()} for event in (seen.events if seen else ())
        ],
        "deployments": [
            {**asdict(each), "at": each.at.isoformat()}
            for each in (seen.deployments if seen else ())
        ],
        "timeline": [{"at": at.isoformat(), "text": text} for at, text in timeline_of(incident)],
    }
    return {
        "schema_version": INCIDENT_SCHEMA_VERSION,
        "id": incident.id,
        "database": incident.database,
        "progress": incident.progress,
        "tier": incident.tier,
        "headline": summary.first_line,
        "summary": asdict(summary),
        "environment": view.database.environment,
        "opened_at": incident.opened_at.isoformat(),
        "closed_at": incident.closed_at and incident.closed_at.isoformat(),
        "seconds": incident.lasted(view.at).total_seconds(),
        "escalations": list(incident.escalations),
        "alarm": incident.alarm and _alarm(incident.alarm),
        "usage": {
            "first": _figures(incident.first),
            "peak": _figures(incident.peak),
            "latest": _figures(incident.latest),
        },
        "attempts": incident.attempts,
        "sessions_terminated": sessions_in(incident.terminated),
        "has_unknown_outcomes": incident.has_unknown_outcomes,
        "trend": seen.trend if seen else None,
        "evidence": incident.evidence,
        "links": asdict(view.links),
        **lists,
        "omitted": dict.fromkeys(lists, 0),
    }


def cut_to_bytes(
    document: JsonObject, written: Callable[[JsonObject], str], most_bytes: int
) -> str:
    """Return the document as written, its longest lists cut by half until it fits; its `omitted`
    says what was left out. `written` returns ASCII: as many bytes as characters, and nothing that
    UTF-8 cannot spell.
    """
    fitting = dict(document)
    while len(text := written(fitting)) > most_bytes:
        longest = max(fitting["omitted"], key=lambda name: len(json.dumps(fitting[name])))
        entries = fitting[longest]
        if not entries:
            break
        kept = entries[: len(entries) // 2]
        omitted = fitting["omitted"][longest] + len(entries) - len(kept)
        fitting |= {longest: kept, "omitted": fitting["omitted"] | {longest: omitted}}
    return text


def _alarm(alarm: Alarm) -> JsonObject:
    return {**asdict(alarm), "changed_at": alarm.changed_at and alarm.changed_at.isoformat()}


def _figures(usage: Usage | None) -> JsonObject | None:
    return None if usage is None else {**asdict(usage), "percent": round(usage.percent, 1)}
