"""Microsoft Teams, by a workflow "Post to a channel when a webhook request is received".

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import re
from dataclasses import dataclass, field

from connection_guard.adapters.channels.channel_secrets import (
    fields_of,
    is_safe_address,
    wrong_secret,
)
from connection_guard.adapters.channels.json_post import JsonAnswer, post_json, rate_limited
from connection_guard.core.notification.teams_card import card_of
from connection_guard.core.notification.view import View
from connection_guard.errors import NotificationError

_OWNER = "Teams'"
_SHAPE = '{"webhook": "https://..."}'

# A connector says with status 200 what Teams itself answered.
_BEHIND_A_CONNECTOR = re.compile(r"returned HTTP error (\d{3})")


@dataclass(frozen=True, slots=True)
class TeamsWebhook:
    """A workflow's webhook: its address is all that it takes to post."""

    webhook: str = field(repr=False)


def parse_teams_secret(text: str | bytes) -> TeamsWebhook:
    """Return the secret. Raises NotificationError, which names the key and never a value."""
    fields = fields_of(text, _OWNER, _SHAPE)
    if list(fields) != ["webhook"]:
        raise wrong_secret(_OWNER, "has other keys than expected", _SHAPE)
    if not is_safe_address(fields["webhook"]):
        raise wrong_secret(_OWNER, '"webhook" is not an https:// address', _SHAPE)
    return TeamsWebhook(**fields)


def send_to_teams(webhook: TeamsWebhook, view: View) -> None:
    """Post the incident's card. Raises NotificationError."""
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card_of(view),
    }
    message = {"type": "message", "attachments": [attachment]}
    answer = post_json("Teams", webhook.webhook, message)
    status = _status(answer)
    if status == 202 or (status == 200 and answer.body.strip() in ("", "1")):
        return
    if status == 429:
        raise rate_limited("Teams", None)
    raise NotificationError(
        f"Teams refused: HTTP {status}{_code(answer)}",
        # Of a workflow that is turned off, 400 says the same as of a card that is wrong.
        is_of_message=status in (400, 413),
        is_of_secret=status in (400, 401, 403, 404, 410),
    )


def _status(answer: JsonAnswer) -> int:
    behind = _BEHIND_A_CONNECTOR.search(answer.body)
    return int(behind[1]) if behind and answer.status == 200 else answer.status


def _code(answer: JsonAnswer) -> str:
    """Return the refusal's code; its words may quote the address."""
    error = answer.fields.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return f", {code}" if isinstance(code, str) and re.fullmatch(r"[A-Za-z]{1,60}", code) else ""
