"""PagerDuty, by its Events API v2.

https://developer.pagerduty.com/docs/events-api-v2/overview/
"""

import re
from dataclasses import dataclass, field
from typing import Any

from connection_guard.adapters.channels.channel_secrets import (
    fields_of,
    is_safe_address,
    wrong_secret,
)
from connection_guard.adapters.channels.json_post import JsonAnswer, post_json
from connection_guard.core.notification.pagerduty_event import events_of
from connection_guard.core.notification.view import View
from connection_guard.core.words import shown
from connection_guard.errors import NotificationError

_OWNER = "PagerDuty's"
_SHAPE = '{"routing_key": "(32 characters)"}'


@dataclass(frozen=True, slots=True)
class PagerDutyService:
    """A service with an integration "Events API V2". `base_url` differs for the service region EU:
    https://events.eu.pagerduty.com/v2.
    """

    routing_key: str = field(repr=False)
    base_url: str = "https://events.pagerduty.com/v2"


def parse_pagerduty_secret(text: str | bytes) -> PagerDutyService:
    """Return the secret. Raises NotificationError, which names the keys and never a value."""
    fields = fields_of(text, _OWNER, _SHAPE)
    if sorted(fields) not in (["routing_key"], ["base_url", "routing_key"]):
        raise wrong_secret(_OWNER, "has other keys than expected", _SHAPE)
    if not re.fullmatch("[A-Za-z0-9]{32}", fields["routing_key"]):
        raise wrong_secret(_OWNER, '"routing_key" is not an integration key', _SHAPE)
    service = PagerDutyService(**fields)
    if not is_safe_address(service.base_url):
        raise wrong_secret(_OWNER, '"base_url" is not an https:// address', _SHAPE)
    return service


def send_to_pagerduty(service: PagerDutyService, view: View) -> None:
    """Trigger, acknowledge or resolve the incident's alert. Raises NotificationError."""
    for event in events_of(view):
        _enqueue(service, {"routing_key": service.routing_key, **event})


def _enqueue(service: PagerDutyService, event: dict[str, Any]) -> None:
    answer = post_json("PagerDuty", f"{service.base_url.rstrip('/')}/enqueue", event)
    if answer.status == 202 and answer.fields.get("status") == "success":
        return
    words = _words(answer).replace(service.routing_key, "(secret)")
    is_refused = answer.status in (400, 413)
    is_of_key = is_refused and re.search("routing.key", words, re.IGNORECASE) is not None
    raise NotificationError(
        f"PagerDuty refused (HTTP {answer.status}): {words}",
        is_of_message=is_refused and not is_of_key,
        is_of_secret=is_of_key,
    )


def _words(answer: JsonAnswer) -> str:
    errors = answer.fields.get("errors")
    words = [answer.fields.get("message"), *(errors if isinstance(errors, list) else [errors])]
    return shown("; ".join(str(each) for each in words if each), 300) or "it does not say why"
