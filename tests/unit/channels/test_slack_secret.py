"""Slack's secret is parsed, and no error shows a value of it."""

import pytest

from connection_guard.adapters.channels.slack_secret import (
    SlackBot,
    SlackWebhook,
    parse_slack_secret,
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
