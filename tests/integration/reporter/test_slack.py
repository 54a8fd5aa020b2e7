"""Slack over real HTTP: one message that is edited, its thread, and what happens where Slack does
not do its part.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any

import boto3
import pytest
from moto import mock_aws

from connection_guard.adapters.slack import secret as slack_secret
from connection_guard.adapters.slack.client import SlackOutcome, notify_slack
from connection_guard.adapters.slack.secret import (
    SlackBot,
    SlackSecret,
    SlackWebhook,
    parse_slack_secret,
    read_slack_secret,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.slack_blocks import GREEN, PURPLE, RED
from connection_guard.errors import NotificationError
from doubles.slack_double import SlackDouble
from tests.support.reporter.incidents import (
    LINKS,
    OPENED,
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
)

LATER = OPENED + timedelta(minutes=12)
START, SECOND, END = an_entry(0, alarm=an_alarm()), an_entry(1, attempt=2), a_recovery(3)


def bot(slack: SlackDouble, **changes: str) -> SlackBot:
    return replace(SlackBot(slack.token, slack.channel, slack.base_url), **changes)


def telling(incident: Incident, secret: SlackSecret, seconds: float = 12) -> SlackOutcome:
    return notify_slack(incident, LINKS, LATER, secret=secret, within=timedelta(seconds=seconds))


def told(incident: Incident, secret: SlackSecret) -> Incident:
    """The incident after Slack was told all of it."""
    result = telling(incident, secret)
    assert result.error is None
    return replace(incident, slack=result.message, notified=result.notified)


# As a bot


def test_an_incident_is_one_message_that_is_edited_and_every_attempt_is_in_its_thread(
    slack: SlackDouble,
) -> None:
    opened = told(an_incident(START), bot(slack))
    (message,) = slack.channel_view
    assert "nearly run out" in str(message.blocks[0])
    assert message.content["attachments"][0]["color"] == RED

    told(replace(opened, entries=(START, SECOND, END)), bot(slack))

    assert slack.channel_view == [message]
    assert "resolved" in str(message.blocks[0])
    assert message.content["attachments"][0]["color"] == GREEN
    assert len(message.edits) == 1
    replies = slack.thread_of(message)
    assert [
        "Attempt 1" in replies[0].text,
        "Attempt 2" in replies[1].text,
        "03:03" in replies[2].text,
    ] == [True] * 3
    assert len(replies) == 3


def test_nothing_unfurls(slack: SlackDouble) -> None:
    told(an_incident(START), bot(slack))

    assert [
        (each.content["unfurl_links"], each.content["unfurl_media"]) for each in slack.messages
    ] == [(False, False)] * 2


def test_what_has_been_told_is_not_told_again(slack: SlackDouble) -> None:
    incident = told(an_incident(START), bot(slack))
    told(incident, bot(slack))

    assert slack.requests == ["/api/chat.postMessage", "/api/chat.postMessage", "/api/chat.update"]


def test_a_message_that_was_deleted_is_posted_anew(slack: SlackDouble) -> None:
    incident = told(an_incident(START), bot(slack))
    slack.delete(slack.channel_view[0])

    again = told(replace(incident, entries=(START, an_escalation(1))), bot(slack))

    (message,) = slack.channel_view
    assert again.slack is not None
    assert again.slack.timestamp == message.timestamp
    assert message.content["attachments"][0]["color"] == PURPLE
    assert len(slack.thread_of(message)) == 1


@pytest.mark.parametrize("error", ["cant_update_message", "edit_window_closed"])
def test_a_message_that_cannot_be_edited_is_posted_anew(slack: SlackDouble, error: str) -> None:
    incident = told(an_incident(START), bot(slack))
    slack.refuse(error)
    told(incident, bot(slack))

    assert len(slack.channel_view) == 2


def test_what_was_told_before_slack_failed_is_not_told_twice(slack: SlackDouble) -> None:
    incident = an_incident(START, SECOND, END)
    slack.let_pass(2)
    slack.refuse("is_archived")

    broken = telling(incident, bot(slack))
    assert str(broken.error) == "Slack refused: is_archived"
    assert broken.notified == ("run-0",)

    told(replace(incident, slack=broken.message, notified=broken.notified), bot(slack))
    (message,) = slack.channel_view
    assert len(slack.thread_of(message)) == 3


# Where Slack does not do its part


def test_a_rate_limit_is_honoured(slack: SlackDouble) -> None:
    slack.limit_rate(retry_after=1)
    started = monotonic()

    told(an_incident(START), bot(slack))

    assert monotonic() - started >= 1
    assert len(slack.channel_view) == 1
    assert len(slack.requests) == 3


def test_a_rate_limit_beyond_the_deadline_is_left_to_the_next_delivery(slack: SlackDouble) -> None:
    slack.let_pass()
    slack.limit_rate(retry_after=3600)

    result = telling(an_incident(START), bot(slack))

    assert str(result.error) == "Slack: rate limited, try again in 3600 s"
    assert result.message is not None
    assert result.notified == ()
    assert len(slack.requests) == 2


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_tried_again(slack: SlackDouble, status: int) -> None:
    slack.fail(status)

    told(an_incident(START), bot(slack))

    assert len(slack.channel_view) == 1


def test_server_errors_that_last_are_told_of(slack: SlackDouble) -> None:
    slack.fail(500, times=10)

    result = telling(an_incident(START), bot(slack))

    assert str(result.error) == "Slack: HTTP 500"
    assert len(slack.requests) == 3
    assert (result.message, result.notified) == (None, ())


def test_nothing_is_tried_again_once_the_deadline_is_near(slack: SlackDouble) -> None:
    slack.fail(500, times=10)

    assert telling(an_incident(START), bot(slack), seconds=0).error is not None
    assert len(slack.requests) == 1


def test_a_thread_that_takes_too_long_is_finished_by_the_next_delivery(slack: SlackDouble) -> None:
    incident = an_incident(START, SECOND)

    late = telling(incident, bot(slack), seconds=0)
    assert str(late.error) == "Slack took too long; the rest of the thread is still to be posted"

    told(replace(incident, slack=late.message, notified=late.notified), bot(slack))
    assert len(slack.thread_of(slack.channel_view[0])) == 2


def test_a_slow_slack_is_not_waited_for(
    slack: SlackDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connection_guard.adapters.slack.client.REQUEST_SECONDS", 0.2)
    slack.be_slow(60)
    started = monotonic()

    result = telling(an_incident(START), bot(slack))

    assert str(result.error) == "Slack did not answer within 0.2 s"
    assert monotonic() - started < 30


@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_a_closed_slack_is_told_of(slack: SlackDouble, way: str) -> None:
    secret = bot(slack) if way == "bot" else SlackWebhook(slack.webhook)
    slack.close()

    result = telling(an_incident(START), secret)

    assert "Slack could not be reached: " in str(result.error)
    assert "refused" in str(result.error)
    assert (result.message, result.notified) == (None, ())


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"token": "xoxb-other"}, "invalid_auth"), ({"channel": "C0"}, "channel_not_found")],
)
def test_what_slack_refuses_is_told_in_its_words(
    slack: SlackDouble, changes: dict[str, str], error: str
) -> None:
    assert (
        str(telling(an_incident(START), bot(slack, **changes)).error) == f"Slack refused: {error}"
    )


# Through a webhook


def test_a_webhook_gets_a_message_for_every_change_of_state_and_for_nothing_else(
    slack: SlackDouble,
) -> None:
    secret = SlackWebhook(slack.webhook)
    incident = told(an_incident(START), secret)
    incident = told(replace(incident, entries=(START, SECOND)), secret)
    incident = told(replace(incident, entries=(START, SECOND, an_escalation(2))), secret)
    incident = told(replace(incident, entries=(START, SECOND, an_escalation(2), END)), secret)
    told(incident, secret)

    colors = [message.content["attachments"][0]["color"] for message in slack.messages]
    assert colors == [RED, PURPLE, GREEN]
    assert all(message.content["unfurl_links"] is False for message in slack.messages)
    assert incident.slack is None


@pytest.mark.parametrize(("status", "says"), [(404, "Slack refused: "), (500, "Slack: HTTP 500")])
def test_a_webhook_that_fails_is_told_again(slack: SlackDouble, status: int, says: str) -> None:
    secret = SlackWebhook(slack.webhook)
    slack.fail(status, times=3 if status == 500 else 1)

    failed = telling(an_incident(START), secret)
    assert str(failed.error).startswith(says)
    assert failed.notified == ()

    told(an_incident(START), secret)
    assert len(slack.messages) == 1


def test_a_webhooks_rate_limit_is_honoured(slack: SlackDouble) -> None:
    slack.limit_rate(retry_after=1)
    told(an_incident(START), SlackWebhook(slack.webhook))
    assert len(slack.messages) == 1

    slack.limit_rate(retry_after=3600)
    failed = telling(an_incident(START), SlackWebhook(slack.webhook))
    assert str(failed.error) == "Slack: rate limited, try again in 3600 s"


# The secret


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
    "hush": "no JSON object",
    '"hush"': "no JSON object",
    "[" * 200_000: "no JSON object",
    '{"token": {"hush": 1}}': "no JSON object",
    "{}": "other keys",
    '{"token": "xoxb-hush"}': "other keys",
    '{"webhook": "https://x/hush", "channel": "C0"}': "other keys",
    '{"token": "hush", "channel": "C0"}': '"token" is no Slack token',
    '{"token": "xoxb-hush\\n", "channel": "C0"}': '"token" is no Slack token',
    '{"token": "xoxb-hush", "channel": ""}': '"channel" is no',
    '{"token": "xoxb-hush", "channel": "C0", "base_url": "http://a.com/hush"}': '"base_url" is no',
    '{"webhook": "http://example.com/hush"}': '"webhook" is no https',
    '{"webhook": "https://example.com/hu sh"}': '"webhook" is no https',
    '{"webhook": "https://[hush"}': '"webhook" is no https',
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
        NotificationError, match=r'"token" is no Slack token; .* \(secret slack\)'
    ) as raised:
        read_slack_secret("slack")
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("way", ["bot", "webhook"])
@pytest.mark.parametrize("trouble", ["none", "failing", "limited", "refusing", "closed"])
def test_no_secret_reaches_a_log_an_error_or_a_message(
    slack: SlackDouble,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    way: str,
    trouble: str,
) -> None:
    """Even with every logger at DEBUG."""
    caplog.set_level(logging.DEBUG)
    for name in ("slack_sdk", "slack_sdk.web.base_client", "slack_sdk.webhook.client", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    secret: SlackSecret = bot(slack) if way == "bot" else SlackWebhook(slack.webhook)
    {
        "none": lambda: None,
        "failing": lambda: slack.fail(500, times=5),
        "limited": lambda: slack.limit_rate(3600),
        "refusing": lambda: slack.refuse("invalid_blocks"),
        "closed": slack.close,
    }[trouble]()

    result = telling(an_incident(START), secret)

    output = capfd.readouterr()
    everything = "".join(
        (
            caplog.text,
            output.out,
            output.err,
            repr(secret),
            repr(result),
            *(repr(each) for each in slack.messages),
        )
    )
    assert slack.token not in everything
    assert "unguessable" not in everything


@pytest.mark.parametrize(
    "secret",
    [SlackBot("xoxb-unguessable\n", "C0"), SlackWebhook("https://hooks.slack.com/\nunguessable")],
)
def test_not_even_an_error_of_pythons_own_shows_it(slack: SlackDouble, secret: SlackSecret) -> None:
    """They would show a header, or an address, that HTTP cannot carry."""
    if isinstance(secret, SlackBot):
        secret = replace(secret, base_url=slack.base_url + "\n" + secret.token)

    result = telling(an_incident(START), secret)

    assert result.error is not None
    assert "unguessable" not in str(result.error)
