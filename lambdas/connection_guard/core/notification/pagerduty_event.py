"""An incident as an event of PagerDuty's Events API v2.

https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

from typing import Any

from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.summary import summary_of
from connection_guard.core.notification.view import View
from connection_guard.core.policy import Tier


def events_of(view: View) -> tuple[dict[str, Any], ...]:
    """Return the events, without the key of the service that they go to.

    All events of an incident have its ID, so that they are one alert of PagerDuty's. A trigger of
    an alert that is acknowledged pages nobody: where action is required after usage was below the
    target, the alert is resolved first.
    """
    action, severity = _action_and_severity(view)
    is_acknowledged = any(step.progress is Progress.RECOVERING for step in view.incident.steps)
    if view.incident.progress is Progress.ESCALATED and is_acknowledged:
        return _event(view, "resolve", severity), _event(view, action, severity)
    return (_event(view, action, severity),)


def _event(view: View, action: str, severity: str) -> dict[str, Any]:
    incident, summary = view.incident, summary_of(view)
    details = {
        **dict(summary.parts),
        "Usage": summary.usage,
        "Owner": summary.owner,
        "Environment": view.database.environment,
    }
    payload = {
        "summary": summary.first_line,
        "source": incident.database,
        "severity": severity,
        "timestamp": incident.entries[-1].at.isoformat(),
        "component": "PostgreSQL",
        "group": view.database.environment,
        "class": "connections",
        "custom_details": {name: text for name, text in details.items() if text},
    }
    return {
        "event_action": action,
        "dedup_key": incident.id,
        "payload": {name: value for name, value in payload.items() if value is not None},
        "client": "Connection Guard",
        "client_url": view.links.dashboard,
        "links": [{"href": href, "text": text} for text, href in view.pages],
    }


def _action_and_severity(view: View) -> tuple[str, str]:
    incident = view.incident
    severity = "warning" if incident.tier is Tier.WARNING else "error"
    match incident.progress:
        case Progress.ESCALATED:
            return "trigger", "critical"
        case Progress.RECOVERING:
            return "acknowledge", severity
        case Progress.CLOSED:
            return "resolve", severity
        case Progress.OPEN:
            return "trigger", severity
