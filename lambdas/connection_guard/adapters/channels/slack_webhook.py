"""Slack's incoming webhook: it posts messages that cannot be edited.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from typing import Any

from slack_sdk import WebhookClient

from connection_guard.adapters.channels.json_post import STEP_SECONDS
from connection_guard.adapters.channels.slack_answers import (
    REFUSALS_OF_BLOCKS,
    SILENT,
    clean_errors,
    content_of,
    plain_content_of,
    slack_is_limited,
)
from connection_guard.adapters.channels.slack_secret import SlackWebhook
from connection_guard.core.notification.slack.slack_blocks import Message
from connection_guard.errors import NotificationError

# Invalid or revoked, prohibited, of a channel that is gone or archived: another webhook may pass.
_REFUSED_WEBHOOK = (403, 404, 410)
_REFUSED_MESSAGE = (400, 413)


def post_to_webhook(webhook: SlackWebhook, message: Message) -> None:
    """Post a message; only its text where Slack refuses the blocks. Raises NotificationError."""
    error = _send(webhook, content_of(message))
    if error is not None and error[1] in REFUSALS_OF_BLOCKS:
        error = _send(webhook, plain_content_of(message))
    if error is not None:
        status, words = error
        raise NotificationError(
            f"Slack refused: {words}",
            is_of_message=status in _REFUSED_MESSAGE,
            is_of_secret=status in _REFUSED_WEBHOOK,
        )


def _send(webhook: SlackWebhook, content: dict[str, Any]) -> tuple[int, str] | None:
    """Return the status and the words of a refusal, None where Slack took it."""
    client = WebhookClient(webhook.webhook, timeout=STEP_SECONDS, logger=SILENT, retry_handlers=[])
    with clean_errors(webhook.webhook):
        answer = client.send(unfurl_links=False, unfurl_media=False, **content)
    if answer.status_code == 429:
        raise slack_is_limited(answer.headers)
    if answer.status_code >= 500:
        raise NotificationError(f"Slack: HTTP {answer.status_code}")
    words = answer.body.strip()
    if (answer.status_code, words) == (200, "ok"):
        return None
    return answer.status_code, words.replace(webhook.webhook, "(secret)")[:300]
