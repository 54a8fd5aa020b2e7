"""Slack's secret is read, and no error shows a value of it."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from connection_guard.adapters.channels import slack_secret
from connection_guard.adapters.channels.slack_secret import (
    SlackBot,
    SlackWebhook,
    parse_slack_secret,
    read_slack_secret,
)
from connection_guard.errors import NotificationError


def test_the_secret_is_a_token_and_a_channel_or_a_webhook() -> None:
    assert parse_slack_secret('{"token": "xoxb-1-a", "channel": "C0123ABCD"}') == SlackBot(
        "xoxb-1-a", "C0123ABCD"
    )
    assert parse_slack_secret(
        '{"token": "xoxb-1-a", "channel": "#ops", "base_url": "https://slack-gov.com/api/"}'
    ) == SlackBot("xoxb-1-a", "#ops", "https://slack-gov.com/api/")
    url = "https://hooks.slack.com/services/T0/B0/x"
    assert parse_slack_secret(f'{{"webhook": "{url}"}}') == SlackWebhook(url)


WRONG = {
    "hush": "not a JSON object",
    '"hush"': "not a JSON object",
    "[" * 200_000: "not a JSON object",
    '{"token": {"hush": 1}}': "not a JSON object",
    "{}": "other keys",
    '{"token": "xoxb-hush"}': "other keys",
    '{"webhook": "https://x/hush", "channel": "C0"}': "other keys",
    '{"token": "hush", "channel": "C0"}': '"token" is not a Slack token',
    '{"token": "xoxb-hush\\n", "channel": "C0"}': '"token" is not a Slack token',
    '{"token": "xoxb-hush", "channel": ""}': '"channel" is no',
    '{"token": "xoxb-hush", "channel": "C0", "base_url": "http://a.com/hush"}': '"base_url" is no',
    '{"webhook": "http://example.com/hush"}': '"webhook" is not an https',
    '{"webhook": "https://example.com/hu sh"}': '"webhook" is not an https',
    '{"webhook": "https://[hush"}': '"webhook" is not an https',
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_secret_is_one_line_that_names_the_keys_and_shows_no_value(
    text: str,
) -> None:
    with pytest.raises(NotificationError) as raised:
        parse_slack_secret(text)

    line = str(raised.value)
    assert WRONG[text] in line
    assert '{"token": "xoxb-...", "channel": "C..."} or {"webhook": ' in line
    assert "\n" not in line
    assert "hush" not in line
    assert "hu sh" not in line


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    slack_secret._secrets.cache_clear()
    with mock_aws():
        yield boto3.client("secretsmanager")
    slack_secret._secrets.cache_clear()


def test_the_secret_is_read_once_in_five_minutes(secrets: Any) -> None:
    secrets.create_secret(Name="slack", SecretString='{"token": "xoxb-1-a", "channel": "C0"}')
    first = read_slack_secret("slack")
    secrets.delete_secret(SecretId="slack", ForceDeleteWithoutRecovery=True)

    assert read_slack_secret("slack") == first == SlackBot("xoxb-1-a", "C0")


def test_a_secret_that_is_not_there_or_is_wrong_is_named(secrets: Any) -> None:
    with pytest.raises(
        NotificationError, match=r"Slack's secret slack could not be read: .*ResourceNotFound"
    ):
        read_slack_secret("slack")

    secrets.create_secret(Name="slack", SecretString='{"token": "hush", "channel": "C0"}')
    with pytest.raises(
        NotificationError, match=r'"token" is not a Slack token; .* \(secret slack\)'
    ) as raised:
        read_slack_secret("slack")
    assert "hush" not in str(raised.value)
