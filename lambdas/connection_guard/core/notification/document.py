"""An incident as JSON for machines (docs/incident.schema.json)."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from connection_guard.core.incident.entry import Alarm, Usage, sessions_in
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.status import headline_of
from connection_guard.core.notification.timeline import timeline_of

INCIDENT_SCHEMA_VERSION = 1

JsonObject = dict[str, Any]


def document_of(incident: Incident, links: Links, now: datetime) -> JsonObject:
    """Return the incident, JSON-ready; `omitted` counts what a sender leaves out of each list, 0
    here.
    """
    seen = incident.circumstances
    lists: dict[str, list[Any]] = {
        "terminated": [asdict(group) for group in incident.terminated],
        "would_terminate": [asdict(group) for group in incident.would_terminate],
        "spared": [asdict(group) for group in incident.spared],
        "reopened": [asdict(each) for each in incident.reopened],
        "causes": [
            {"name": cause.name, "summary": cause.summary, "advice": cause.advice}
            for cause in incident.causes
        ],
        "problems": list(incident.problems),
        "rds_events": [
            {**asdict(event), "at": event.at.isoformat()} for event in (seen.events if seen else ())
        ],
        "timeline": [{"at": at.isoformat(), "text": text} for at, text in timeline_of(incident)],
    }
    return {
        "schema_version": INCIDENT_SCHEMA_VERSION,
        "id": incident.id,
        "database": incident.database,
        "progress": incident.progress,
        "tier": incident.tier,
        "headline": headline_of(incident),
        "opened_at": incident.opened_at.isoformat(),
        "closed_at": incident.closed_at and incident.closed_at.isoformat(),
        "seconds": incident.lasted(now).total_seconds(),
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
        "links": asdict(links),
        **lists,
        "omitted": dict.fromkeys(lists, 0),
    }


def _alarm(alarm: Alarm) -> JsonObject:
    return {**asdict(alarm), "changed_at": alarm.changed_at and alarm.changed_at.isoformat()}


def _figures(usage: Usage | None) -> JsonObject | None:
    return None if usage is None else {**asdict(usage), "percent": round(usage.percent, 1)}
