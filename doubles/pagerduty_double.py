"""PagerDuty's Events API v2, as far as it is documented.

https://developer.pagerduty.com/docs/events-api-v2/overview/
https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

import json
from collections.abc import Mapping
from typing import Any

from doubles.http_double import Answer, HttpDouble

MOST_BYTES = 512 * 1024
MOST_SUMMARY = 1024

_FIELDS = {
    "routing_key",
    "event_action",
    "dedup_key",
    "payload",
    "client",
    "client_url",
    "links",
    "images",
}
_PAYLOAD = {
    "summary",
    "timestamp",
    "severity",
    "source",
    "component",
    "group",
    "class",
    "custom_details",
}


class PagerDutyDouble(HttpDouble):
    """One service; `alerts` says of each dedup_key whether it is triggered, acknowledged or
    resolved, and `events` is what was taken, the oldest first.
    """

    def __init__(self, routing_key: str = "0123456789abcdef0123456789ABCDEF") -> None:
        super().__init__()
        self.routing_key = routing_key
        self.events: list[dict[str, Any]] = []
        self.alerts: dict[str, str] = {}

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v2"

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if path != "/v2/enqueue":
            return Answer(404, "Not Found")
        if (seconds := self.wait_at(path)) is not None:
            return self.limited(seconds)
        if headers.get("Content-Type") != "application/json" or len(body) > MOST_BYTES:
            return _invalid("Event object format is unrecognized")
        event = json.loads(body)
        if errors := errors_in(event):
            return _invalid(*errors)
        if event["routing_key"] != self.routing_key:
            return _invalid("Invalid routing key")
        self.events.append(event)
        self._change(event["event_action"], event["dedup_key"])
        key = event["dedup_key"]
        done = {"status": "success", "message": "Event processed", "dedup_key": key}
        return Answer(202, json.dumps(done))

    def _change(self, action: str, key: str) -> None:
        """Change the alert. Only a trigger opens one."""
        is_open = self.alerts.get(key) in ("triggered", "acknowledged")
        match action:
            case "trigger" if not is_open:
                self.alerts[key] = "triggered"
            case "acknowledge" if is_open:
                self.alerts[key] = "acknowledged"
            case "resolve" if is_open:
                self.alerts[key] = "resolved"


def errors_in(event: dict[str, Any]) -> list[str]:
    """Return what PagerDuty would refuse."""
    errors = [f"'{name}' is unknown" for name in event.keys() - _FIELDS]
    if len(event.get("routing_key", "")) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' is invalid (should be trigger, acknowledge or resolve)")
    if not event.get("dedup_key") or len(event["dedup_key"]) > 255:
        errors.append("'dedup_key' is missing or longer than 255 characters")
    if event.get("event_action") == "trigger":
        errors += _errors_in_payload(event.get("payload", {}))
    links = event.get("links", [])
    errors += [f"'links' is invalid: {each}" for each in links if not each.get("href")]
    return errors


def _errors_in_payload(payload: dict[str, Any]) -> list[str]:
    errors = [f"'payload.{name}' is unknown" for name in payload.keys() - _PAYLOAD]
    errors += [
        f"'payload.{name}' is missing or blank"
        for name in ("summary", "source", "severity")
        if not payload.get(name)
    ]
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        errors.append("'payload.severity' is invalid")
    if len(payload.get("summary", "")) > MOST_SUMMARY:
        errors.append("'payload.summary' is longer than 1024 characters")
    if not isinstance(payload.get("custom_details", {}), dict):
        errors.append("'payload.custom_details' is not an object")
    return errors


def _invalid(*errors: str) -> Answer:
    fields = {
        "status": "invalid event",
        "message": "Event object is invalid",
        "errors": list(errors),
    }
    return Answer(400, json.dumps(fields))
