"""Slack over real HTTP: one message that is edited, its thread, and what Slack does not take."""

import logging
from dataclasses import replace
from time import monotonic

import pytest

from connection_guard.adapters.channels.slack_secret import (
    SlackBot,
    SlackSecret,
    SlackWebhook,
)
from connection_guard.core.notification.slack.slack_blocks import GREEN, PURPLE, RED
from doubles.slack_double import SlackDouble
from tests.support.reporter.incidents import (
    an_escalation,
    an_incident,
)
from tests.support.reporter.posting import END, SECOND, START, bot, notified, outcome


def test_an_incident_is_one_message_that_is_edited_and_every_attempt_is_in_its_thread(
    slack: SlackDouble,
) -> None:
    opened = notified(an_incident(START), bot(slack))
    (message,) = slack.channel_view
    assert "nearly run out" in str(message.blocks[0])
    assert message.content["attachments"][0]["color"] == RED

    notified(replace(opened, entries=(START, SECOND, END)), bot(slack))

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
    notified(an_incident(START), bot(slack))

    assert [
        (each.content["unfurl_links"], each.content["unfurl_media"]) for each in slack.messages
    ] == [(False, False)] * 2


def test_what_has_been_posted_is_not_posted_again(slack: SlackDouble) -> None:
    incident = notified(an_incident(START), bot(slack))
    notified(incident, bot(slack))

    assert slack.requests == ["/api/chat.postMessage", "/api/chat.postMessage", "/api/chat.update"]


def test_a_message_that_was_deleted_is_posted_again(slack: SlackDouble) -> None:
    incident = notified(an_incident(START), bot(slack))
    slack.delete(slack.channel_view[0])

    again = notified(replace(incident, entries=(START, an_escalation(1))), bot(slack))

    (message,) = slack.channel_view
    assert again.slack is not None
    assert again.slack.timestamp == message.timestamp
    assert message.content["attachments"][0]["color"] == PURPLE
    assert len(slack.thread_of(message)) == 1


@pytest.mark.parametrize("error", ["cant_update_message", "edit_window_closed"])
def test_a_message_that_cannot_be_edited_is_posted_again(slack: SlackDouble, error: str) -> None:
    incident = notified(an_incident(START), bot(slack))
    slack.refuse(error)
    notified(incident, bot(slack))

    assert len(slack.channel_view) == 2


def test_what_was_posted_before_slack_failed_is_not_posted_twice(slack: SlackDouble) -> None:
    incident = an_incident(START, SECOND, END)
    slack.let_pass(2)
    slack.refuse("is_archived")

    broken = outcome(incident, bot(slack))
    assert str(broken.error) == "Slack refused: is_archived"
    assert broken.notified == ("run-0",)

    notified(replace(incident, slack=broken.message, notified=broken.notified), bot(slack))
    (message,) = slack.channel_view
    assert len(slack.thread_of(message)) == 3


def test_a_rate_limit_is_honoured(slack: SlackDouble) -> None:
    slack.limit_rate(retry_after=1)
    started = monotonic()

    notified(an_incident(START), bot(slack))

    assert monotonic() - started >= 1
    assert len(slack.channel_view) == 1
    assert len(slack.requests) == 3


def test_a_rate_limit_beyond_the_deadline_is_left_to_the_next_delivery(slack: SlackDouble) -> None:
    slack.let_pass()
    slack.limit_rate(retry_after=3600)

    result = outcome(an_incident(START), bot(slack))

    assert str(result.error) == "Slack: rate limited, try again in 3600 s"
    assert result.message is not None
    assert result.notified == ()
    assert len(slack.requests) == 2


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_tried_again(slack: SlackDouble, status: int) -> None:
    slack.fail(status)

    notified(an_incident(START), bot(slack))

    assert len(slack.channel_view) == 1


def test_server_errors_that_last_are_reported(slack: SlackDouble) -> None:
    slack.fail(500, times=10)

    result = outcome(an_incident(START), bot(slack))

    assert str(result.error) == "Slack: HTTP 500"
    assert len(slack.requests) == 3
    assert (result.message, result.notified) == (None, ())


def test_nothing_is_tried_again_once_the_deadline_is_near(slack: SlackDouble) -> None:
    slack.fail(500, times=10)

    assert outcome(an_incident(START), bot(slack), seconds=0).error is not None
    assert len(slack.requests) == 1


def test_a_thread_that_takes_too_long_is_finished_by_the_next_delivery(slack: SlackDouble) -> None:
    incident = an_incident(START, SECOND)

    late = outcome(incident, bot(slack), seconds=0)
    assert str(late.error) == "Slack took too long; the rest of the thread is still to be posted"

    notified(replace(incident, slack=late.message, notified=late.notified), bot(slack))
    assert len(slack.thread_of(slack.channel_view[0])) == 2


def test_a_slow_slack_is_not_waited_for(
    slack: SlackDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connection_guard.adapters.channels.slack_client.REQUEST_SECONDS", 0.2)
    slack.be_slow(60)
    started = monotonic()

    result = outcome(an_incident(START), bot(slack))

    assert str(result.error) == "Slack did not answer within 0.2 s"
    assert monotonic() - started < 30


@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_a_closed_slack_is_reported(slack: SlackDouble, way: str) -> None:
    secret = bot(slack) if way == "bot" else SlackWebhook(slack.webhook)
    slack.close()

    result = outcome(an_incident(START), secret)

    assert "Slack could not be reached: " in str(result.error)
    assert "refused" in str(result.error)
    assert (result.message, result.notified) == (None, ())


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"token": "xoxb-other"}, "invalid_auth"), ({"channel": "C0"}, "channel_not_found")],
)
def test_what_slack_refuses_is_reported_in_its_words(
    slack: SlackDouble, changes: dict[str, str], error: str
) -> None:
    assert (
        str(outcome(an_incident(START), bot(slack, **changes)).error) == f"Slack refused: {error}"
    )


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

    result = outcome(an_incident(START), secret)

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

    result = outcome(an_incident(START), secret)

    assert result.error is not None
    assert "unguessable" not in str(result.error)
