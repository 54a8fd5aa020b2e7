"""Tells of incidents in Slack: a bot edits one message and replies in its thread, a webhook has a
message a change.

Slack may have taken what it never acknowledged: then the same is told twice rather than not at all.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config
from slack_sdk import WebClient, WebhookClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    RetryHandler,
)
from slack_sdk.http_retry.builtin_handlers import ServerErrorRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

from connection_guard.core.incident.incident import Incident, SlackMessage
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.slack_message import (
    Message,
    is_news,
    message_of,
    thread_entries,
    thread_of,
)
from connection_guard.errors import NotificationError

SLACK = WebClient.BASE_URL
SECRET_KEPT_SECONDS = 300

# Of each request, and of waiting altogether: the function has 60 s for everything.
REQUEST_SECONDS = 4
WITHIN = timedelta(seconds=12)
# slack_sdk's longest pause between attempts, where Slack itself names none.
_BACKOFF_SECONDS = 2.0

# The message was deleted, or may no longer be edited.
_GONE = {"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"}

# slack_sdk logs requests, a webhook's address among them, which is its only secret. It has no
# handler and no parent.
_SILENT = logging.Logger("slack_sdk, unheard", level=logging.CRITICAL + 1)

_SHAPE = '{"token": "xoxb-...", "channel": "C..."} or {"webhook": "https://hooks.slack.com/services/..."}'


@dataclass(frozen=True, slots=True)
class SlackBot:
    """`base_url` is another than Slack's own for GovSlack (https://slack-gov.com/api/), say."""

    token: str = field(repr=False)
    channel: str
    base_url: str = SLACK


@dataclass(frozen=True, slots=True)
class SlackWebhook:
    """An incoming webhook: whoever knows the address may post."""

    webhook: str = field(repr=False)


SlackSecret = SlackBot | SlackWebhook


@dataclass(frozen=True, slots=True)
class Telling:
    """What the incident is to remember, also where `error` says that Slack was not told
    everything.
    """

    message: SlackMessage | None
    told: tuple[str, ...]
    error: NotificationError | None


def read_slack_secret(name: str) -> SlackSecret:
    """Read it from AWS Secrets Manager, or as it was there in the last five minutes.

    Raises NotificationError, without the value.
    """
    try:
        text = _secrets().get(name, max_age=SECRET_KEPT_SECONDS)
        assert isinstance(text, str | bytes)  # nothing was asked to transform it
    except GetParameterError as error:
        raise NotificationError(f"Slack's secret {name} could not be read: {error}") from None
    try:
        return parse_slack_secret(text)
    except NotificationError as error:
        raise NotificationError(f"{error} (secret {name})") from None


@cache
def _secrets() -> SecretsProvider:
    """One a process: it remembers what it read."""
    quick = Config(
        connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2}
    )
    return SecretsProvider(boto_config=quick)


def parse_slack_secret(text: str | bytes) -> SlackSecret:
    """Raises NotificationError, which names the keys and never a value."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise _wrong("is no JSON object of strings")
    match sorted(fields):
        case ["channel", "token"] | ["base_url", "channel", "token"]:
            # Whatever else is in a header or an address, Python's errors show.
            if not re.fullmatch(r"xox[a-z]-[A-Za-z0-9-]+", fields["token"]):
                raise _wrong('"token" is no Slack token')
            if not re.fullmatch(r"[^\s<>@]+", fields["channel"]):
                raise _wrong('"channel" is no id or name of a channel')
            if not _is_safe(fields.get("base_url", SLACK)):
                raise _wrong('"base_url" is no https:// address')
            return SlackBot(**fields)
        case ["webhook"]:
            if not _is_safe(fields["webhook"]):
                raise _wrong('"webhook" is no https:// address')
            return SlackWebhook(**fields)
    raise _wrong("has other keys")


def _wrong(problem: str) -> NotificationError:
    return NotificationError(f"Slack's secret {problem}; it must be {_SHAPE}")


def _is_safe(url: str) -> bool:
    """Encrypted, or to this machine itself."""
    if not re.fullmatch(r"https?://[!-~]+", url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost")
    )


def tell(
    incident: Incident,
    links: Links,
    now: datetime,
    *,
    secret: SlackSecret,
    within: timedelta = WITHIN,
) -> Telling:
    """Tells what has not been told; takes no longer than `within` and one request. Raises nothing
    of Slack's.
    """
    deadline = time.monotonic() + within.total_seconds()
    match secret:
        case SlackBot():
            return _tell_as_bot(incident, links, now, secret, deadline)
        case SlackWebhook():
            return _tell_through_webhook(incident, links, now, secret, deadline)


def post(message: Message, *, secret: SlackSecret, within: timedelta = WITHIN) -> None:
    """Post what belongs to no incident; raise NotificationError where Slack did not take it."""
    deadline = time.monotonic() + within.total_seconds()
    match secret:
        case SlackBot():
            with _telling_errors(secret.token):
                _post(_client(secret, deadline), secret.channel, message)
        case SlackWebhook():
            with _telling_errors(secret.webhook):
                _send(secret, message, deadline)


def _tell_as_bot(
    incident: Incident, links: Links, now: datetime, bot: SlackBot, deadline: float
) -> Telling:
    client = _client(bot, deadline)
    message, told = incident.slack, list(incident.told)
    try:
        with _telling_errors(bot.token):
            message = _put(client, bot.channel, message, message_of(incident, links, now))
            for entry in thread_entries(incident):
                if entry.request_id not in told:
                    if time.monotonic() > deadline:
                        raise NotificationError(
                            "Slack took too long; the rest of the thread is still to be told"
                        )
                    _post(
                        client, message.channel, thread_of(entry, links), thread=message.timestamp
                    )
                    told.append(entry.request_id)
    except NotificationError as error:
        return Telling(message, tuple(told), error)
    return Telling(message, tuple(told), None)


def _client(bot: SlackBot, deadline: float) -> WebClient:
    return WebClient(
        bot.token,
        bot.base_url,
        timeout=REQUEST_SECONDS,
        logger=_SILENT,
        retry_handlers=_retry_handlers(deadline),
    )


def _put(
    client: WebClient, channel: str, current: SlackMessage | None, message: Message
) -> SlackMessage:
    """Edits the message, or posts it where there is none that can be edited."""
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


def _tell_through_webhook(
    incident: Incident, links: Links, now: datetime, webhook: SlackWebhook, deadline: float
) -> Telling:
    runs = (entry.request_id for entry in incident.entries)
    everything = Telling(incident.slack, tuple(dict.fromkeys((*incident.told, *runs))), None)
    if not is_news(incident):
        return everything
    try:
        with _telling_errors(webhook.webhook):
            _send(webhook, message_of(incident, links, now), deadline)
    except NotificationError as error:
        return Telling(incident.slack, incident.told, error)
    return everything


def _send(webhook: SlackWebhook, message: Message, deadline: float) -> None:
    client = WebhookClient(
        webhook.webhook,
        timeout=REQUEST_SECONDS,
        logger=_SILENT,
        retry_handlers=_retry_handlers(deadline),
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
def _telling_errors(secret: str) -> Iterator[None]:
    """Whatever slack_sdk raises, in a line without the secret.

    An HTTPException or a ValueError of Python's own may show the address or a header.
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
    raise NotificationError(problem.replace(secret, "(secret)"))


def _refusal(status: int, headers: Any, error: object) -> NotificationError:
    if status == 429:
        return NotificationError(
            f"Slack: rate limited, try again in {headers.get('Retry-After', 'some')} s"
        )
    if status >= 500:
        return NotificationError(f"Slack: HTTP {status}")
    return NotificationError(f"Slack refused: {str(error)[:300]}")


def _retry_handlers(deadline: float) -> list[RetryHandler]:
    return [
        _Until(deadline, RateLimitErrorRetryHandler(max_retry_count=3), _asked_to_wait),
        _Until(deadline, ServerErrorRetryHandler(max_retry_count=2), lambda _: _BACKOFF_SECONDS),
        _Until(
            deadline, ConnectionErrorRetryHandler(max_retry_count=1), lambda _: _BACKOFF_SECONDS
        ),
    ]


def _asked_to_wait(response: HttpResponse | None) -> float:
    """Seconds; for ever where Slack does not say how many."""
    values = [
        value
        for name, value in (response.headers if response else {}).items()
        if name.lower() == "retry-after"
    ]
    return float(values[0][0]) + 1 if values and values[0][0].isdecimal() else float("inf")


class _Until(RetryHandler):
    """Tries again as `handler` would, unless the deadline comes before the pause is over."""

    def __init__(
        self, deadline: float, handler: RetryHandler, pause: Callable[[HttpResponse | None], float]
    ) -> None:
        super().__init__(handler.max_retry_count)
        self._deadline = deadline
        self._handler = handler
        self._pause = pause

    def can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        can_retry = self._handler.can_retry(
            state=state, request=request, response=response, error=error
        )
        return can_retry and time.monotonic() + self._pause(response) < self._deadline

    def prepare_for_next_attempt(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        self._handler.prepare_for_next_attempt(
            state=state, request=request, response=response, error=error
        )
