"""How people are notified of incidents in Slack: a bot edits one message and replies in its thread;
a webhook gets one message per change.

Slack may have taken what it never acknowledged: the same is then posted twice rather than not at
all.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient, WebhookClient
from slack_sdk.errors import SlackApiError, SlackClientError

from connection_guard.adapters.channels.retry import retry_handlers
from connection_guard.adapters.channels.slack_secret import SlackBot, SlackSecret, SlackWebhook
from connection_guard.core.incident.incident import SlackMessage
from connection_guard.core.notification.channel.news import is_news_to_webhook, thread_entries
from connection_guard.core.notification.slack.slack_blocks import Message
from connection_guard.core.notification.slack.slack_message import message_of
from connection_guard.core.notification.slack.slack_thread import thread_of
from connection_guard.core.notification.view import View
from connection_guard.errors import NotificationError

# The longest request, and the longest wait in total: the function has 60 s for everything.
REQUEST_SECONDS = 4
WITHIN = timedelta(seconds=12)

# The message was deleted, or may no longer be edited.
_GONE = {"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"}

# slack_sdk logs requests, a webhook's address among them, which is its only secret. It has no
# handler and no parent.
_SILENT = logging.Logger("slack_sdk, unheard", level=logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class SlackOutcome:
    """What the incident is to remember, also where `error` says that Slack did not take
    everything.
    """

    message: SlackMessage | None
    notified: tuple[str, ...]
    error: NotificationError | None


def notify_slack(
    view: View,
    *,
    secret: SlackSecret,
    within: timedelta = WITHIN,
) -> SlackOutcome:
    """Post what has not been posted; take no longer than `within` and one request. An error of
    Slack's is returned, not raised.
    """
    deadline = time.monotonic() + within.total_seconds()
    match secret:
        case SlackBot():
            return _notify_as_bot(view, secret, deadline)
        case SlackWebhook():
            return _notify_through_webhook(view, secret, deadline)


def post(message: Message, *, secret: SlackSecret, within: timedelta = WITHIN) -> None:
    """Post what belongs to no incident; raise NotificationError where Slack did not take it."""
    deadline = time.monotonic() + within.total_seconds()
    match secret:
        case SlackBot():
            with _clean_errors(secret.token):
                _post(_client(secret, deadline), secret.channel, message)
        case SlackWebhook():
            with _clean_errors(secret.webhook):
                _send(secret, message, deadline)


def _notify_as_bot(view: View, bot: SlackBot, deadline: float) -> SlackOutcome:
    incident = view.incident
    client = _client(bot, deadline)
    message, notified = incident.slack, list(incident.notified)
    try:
        with _clean_errors(bot.token):
            message = _put(client, bot.channel, message, message_of(view))
            for entry in thread_entries(incident):
                if entry.request_id not in notified:
                    if time.monotonic() > deadline:
                        raise NotificationError(
                            "Slack took too long; the rest of the thread is still to be posted"
                        )
                    _post(
                        client,
                        message.channel,
                        thread_of(entry, view.links),
                        thread=message.timestamp,
                    )
                    notified.append(entry.request_id)
    except NotificationError as error:
        return SlackOutcome(message, tuple(notified), error)
    return SlackOutcome(message, tuple(notified), None)


def _client(bot: SlackBot, deadline: float) -> WebClient:
    return WebClient(
        bot.token,
        bot.base_url,
        timeout=REQUEST_SECONDS,
        logger=_SILENT,
        retry_handlers=retry_handlers(deadline),
    )


def _put(
    client: WebClient, channel: str, current: SlackMessage | None, message: Message
) -> SlackMessage:
    """Edit the message, or post it where there is none that can be edited."""
    if current is not None:
        try:
            client.chat_update(channel=current.channel, ts=current.timestamp, **_content(message))
            return current
        except SlackApiError as error:
            if error.response["error"] not in _GONE:
                raise
    return _post(client, channel, message)


def _post(
    client: WebClient, channel: str, message: Message, thread: str | None = None
) -> SlackMessage:
    answer = client.chat_postMessage(
        channel=channel,
        thread_ts=thread,
        unfurl_links=False,
        unfurl_media=False,
        **_content(message),
    )
    return SlackMessage(str(answer["channel"]), str(answer["ts"]))


def _notify_through_webhook(view: View, webhook: SlackWebhook, deadline: float) -> SlackOutcome:
    incident = view.incident
    runs = (entry.request_id for entry in incident.entries)
    everything = SlackOutcome(
        incident.slack, tuple(dict.fromkeys((*incident.notified, *runs))), None
    )
    if not is_news_to_webhook(incident):
        return everything
    try:
        with _clean_errors(webhook.webhook):
            _send(webhook, message_of(view), deadline)
    except NotificationError as error:
        return SlackOutcome(incident.slack, incident.notified, error)
    return everything


def _send(webhook: SlackWebhook, message: Message, deadline: float) -> None:
    client = WebhookClient(
        webhook.webhook,
        timeout=REQUEST_SECONDS,
        logger=_SILENT,
        retry_handlers=retry_handlers(deadline),
    )
    answer = client.send(unfurl_links=False, unfurl_media=False, **_content(message))
    if answer.status_code != 200:
        raise _refusal(answer.status_code, answer.headers, answer.body)


def _content(message: Message) -> dict[str, Any]:
    return {
        "text": message.text,
        "attachments": [{"color": message.color, "blocks": list(message.blocks)}],
    }


@contextmanager
def _clean_errors(secret: str) -> Iterator[None]:
    """Raise what slack_sdk raises as one line without the secret, and without its cause: an
    HTTPException or a ValueError of Python's own may show the address or a header.
    """
    try:
        yield
        return
    except NotificationError as error:
        problem = str(error)
    except SlackApiError as error:
        answer = error.response
        problem = str(_refusal(answer.status_code, answer.headers, answer["error"]))
    except TimeoutError:
        problem = f"Slack did not answer within {REQUEST_SECONDS} s"
    except OSError as error:
        problem = f"Slack could not be reached: {error}"
    except (HTTPException, SlackClientError, ValueError) as error:
        problem = f"Slack could not be reached: {type(error).__name__}"
    raise NotificationError(problem.replace(secret, "(secret)")) from None


def _refusal(status: int, headers: Any, error: object) -> NotificationError:
    if status == 429:
        return NotificationError(
            f"Slack: rate limited, try again in {headers.get('Retry-After', 'some')} s"
        )
    if status >= 500:
        return NotificationError(f"Slack: HTTP {status}")
    return NotificationError(f"Slack refused: {str(error)[:300]}")
