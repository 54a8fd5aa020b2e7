"""Slack's secret: a bot's token and channel, or a webhook's address. No error shows a value."""

import re
from dataclasses import dataclass, field

from slack_sdk import WebClient

from connection_guard.adapters.channels.channel_secrets import (
    fields_of,
    is_safe_address,
    wrong_secret,
)

SLACK = WebClient.BASE_URL

_OWNER = "Slack's"
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


def parse_slack_secret(text: str | bytes) -> SlackSecret:
    """Return the secret. Raises NotificationError, which names the keys and never a value."""
    fields = fields_of(text, _OWNER, _SHAPE)
    match sorted(fields):
        case ["channel", "token"] | ["base_url", "channel", "token"]:
            # Python's errors show any other character that a header holds.
            if not re.fullmatch(r"xox[a-z]-[A-Za-z0-9-]+", fields["token"]):
                raise wrong_secret(_OWNER, '"token" is not a Slack token', _SHAPE)
            if not re.fullmatch(r"[^\s<>@]+", fields["channel"]):
                raise wrong_secret(_OWNER, '"channel" is not the ID or name of a channel', _SHAPE)
            if not is_safe_address(fields.get("base_url", SLACK)):
                raise wrong_secret(_OWNER, '"base_url" is not an https:// address', _SHAPE)
            return SlackBot(**fields)
        case ["webhook"]:
            if not is_safe_address(fields["webhook"]):
                raise wrong_secret(_OWNER, '"webhook" is not an https:// address', _SHAPE)
            return SlackWebhook(**fields)
    raise wrong_secret(_OWNER, "has other keys than expected", _SHAPE)
