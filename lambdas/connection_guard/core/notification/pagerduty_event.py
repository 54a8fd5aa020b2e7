"""An incident as an event of PagerDuty's Events API v2.

https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

from typing import Any

from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.summary import summary_of
from connection_guard.core.notification.view import View
from connection_guard.core.policy import Tier


def event_of(view: View) -> dict[str, Any]:
    """Return the event, without the key of the service that it goes to.

    All events of an incident have its ID, so that they are one alert of PagerDuty's.
    """
    incident, summary = view.incident, summary_of(view)
    action, severity = _action_and_severity(view)
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
