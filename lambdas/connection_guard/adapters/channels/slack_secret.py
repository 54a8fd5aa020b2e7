"""Slack's secret: a bot's token and channel, or a webhook's address. No error shows a value."""

import json
import re
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urlsplit

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config
from slack_sdk import WebClient

from connection_guard.errors import NotificationError

SLACK = WebClient.BASE_URL
SECRET_KEPT_SECONDS = 300

_SHAPE = (
    '{"token": "xoxb-...", "channel": "C..."} or '
    '{"webhook": "https://hooks.slack.com/services/..."}'
)


@dataclass(frozen=True, slots=True)
class SlackBot:
    """`base_url` differs from Slack's own for GovSlack (https://slack-gov.com/api/), say."""

    token: str = field(repr=False)
    channel: str
    base_url: str = SLACK


@dataclass(frozen=True, slots=True)
class SlackWebhook:
    """An incoming webhook: its address is all that it takes to post."""

    webhook: str = field(repr=False)


SlackSecret = SlackBot | SlackWebhook


def read_slack_secret(name: str) -> SlackSecret:
    """Read it from AWS Secrets Manager, or as it was there in the last five minutes.

    Raises NotificationError, without the value.
    """
    try:
        text = _secrets().get(name, max_age=SECRET_KEPT_SECONDS)
        assert isinstance(text, str | bytes)  # nothing was asked to transform it
    except GetParameterError as error:
        raise NotificationError(f"Slack's secret {name} could not be read: {error}") from error
    try:
        return parse_slack_secret(text)
    except NotificationError as error:
        raise NotificationError(f"{error} (secret {name})") from error


@cache
def _secrets() -> SecretsProvider:
    """Return one per process: it remembers what it read."""
    quick = Config(
        connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2}
    )
    return SecretsProvider(boto_config=quick)


def parse_slack_secret(text: str | bytes) -> SlackSecret:
    """Return the secret. Raises NotificationError, which names the keys and never a value."""
    # No error below has a cause: a parser's error shows the text.
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise _wrong("is not a JSON object of strings")
    match sorted(fields):
        case ["channel", "token"] | ["base_url", "channel", "token"]:
            # Python's errors show any other character that a header or an address holds.
            if not re.fullmatch(r"xox[a-z]-[A-Za-z0-9-]+", fields["token"]):
                raise _wrong('"token" is not a Slack token')
            if not re.fullmatch(r"[^\s<>@]+", fields["channel"]):
                raise _wrong('"channel" is not the ID or name of a channel')
            if not _is_safe(fields.get("base_url", SLACK)):
                raise _wrong('"base_url" is not an https:// address')
            return SlackBot(**fields)
        case ["webhook"]:
            if not _is_safe(fields["webhook"]):
                raise _wrong('"webhook" is not an https:// address')
            return SlackWebhook(**fields)
    raise _wrong("has other keys than expected")


def _wrong(problem: str) -> NotificationError:
    return NotificationError(f"Slack's secret {problem}; it must be {_SHAPE}")


def _is_safe(url: str) -> bool:
    """Return whether it is encrypted, or leads to this machine itself."""
    if not re.fullmatch(r"https?://[!-~]+", url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost")
    )
