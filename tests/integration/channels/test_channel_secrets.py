"""Secrets of channels are read from AWS Secrets Manager, and no error shows a value."""

from typing import Any

import pytest

from connection_guard.adapters.channels.channel_secrets import read_secret
from connection_guard.adapters.channels.slack_secret import SlackBot, parse_slack_secret
from connection_guard.errors import NotificationError


def test_a_secret_is_read_once_in_five_minutes(secrets: Any) -> None:
    secrets.create_secret(Name="slack", SecretString='{"token": "xoxb-1-a", "channel": "C0"}')
    first = read_secret("slack", parse_slack_secret)
    secrets.delete_secret(SecretId="slack", ForceDeleteWithoutRecovery=True)

    assert read_secret("slack", parse_slack_secret) == first == SlackBot("xoxb-1-a", "C0")


def test_a_secret_that_is_read_anew_is_remembered_as_it_is_now(secrets: Any) -> None:
    secrets.create_secret(Name="slack", SecretString='{"token": "xoxb-1-a", "channel": "C0"}')
    read_secret("slack", parse_slack_secret)
    secrets.put_secret_value(
        SecretId="slack", SecretString='{"token": "xoxb-2-b", "channel": "C0"}'
    )

    anew = read_secret("slack", parse_slack_secret, anew=True)

    assert anew == SlackBot("xoxb-2-b", "C0") == read_secret("slack", parse_slack_secret)


def test_a_secret_that_is_not_there_or_is_wrong_is_named(secrets: Any) -> None:
    with pytest.raises(
        NotificationError, match=r"^secret slack could not be read: .*ResourceNotFound"
    ):
        read_secret("slack", parse_slack_secret)

    secrets.create_secret(Name="slack", SecretString='{"token": "hush", "channel": "C0"}')
    with pytest.raises(
        NotificationError, match=r'"token" is not a Slack token; .* \(secret slack\)'
    ) as raised:
        read_secret("slack", parse_slack_secret)
    assert "hush" not in str(raised.value)
