"""Slack's webhook over real HTTP: what it posts, and what Slack refuses."""

import pytest

from connection_guard.adapters.channels.slack_secret import SlackWebhook
from connection_guard.adapters.channels.slack_webhook import post_to_webhook
from connection_guard.errors import NotificationError
from doubles.slack_double import SlackDouble
from tests.support.slack_messages import a_message


def refusal(slack: SlackDouble) -> NotificationError:
    with pytest.raises(NotificationError) as raised:
        post_to_webhook(SlackWebhook(slack.webhook), a_message())
    return raised.value


def test_a_webhook_posts_a_message_that_does_not_unfurl(slack: SlackDouble) -> None:
    post_to_webhook(SlackWebhook(slack.webhook), a_message("97 of 97", blocks=2))

    (message,) = slack.channel_view
    assert message.content == {
        "text": "97 of 97",
        "blocks": list(a_message("97 of 97", blocks=2).blocks),
        "unfurl_links": False,
        "unfurl_media": False,
    }


@pytest.mark.parametrize("error", ["invalid_blocks", "invalid_blocks_format", "invalid_payload"])
def test_where_slack_refuses_the_blocks_the_text_is_posted(slack: SlackDouble, error: str) -> None:
    slack.refuse_blocks("97 of 97", error)

    post_to_webhook(SlackWebhook(slack.webhook), a_message("97 of 97"))

    (message,) = slack.channel_view
    assert (message.text, message.blocks) == ("97 of 97", [])
    assert len(slack.requests) == 2


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "invalid_token"),
        (403, "action_prohibited"),
        (404, "no_service"),
        (404, "channel_not_found"),
        (410, "channel_is_archived"),
    ],
)
def test_a_webhook_that_is_gone_may_have_been_replaced(
    slack: SlackDouble, status: int, words: str
) -> None:
    slack.answer(words, status)

    error = refusal(slack)

    assert str(error) == f"Slack refused: {words}"
    assert (error.is_of_secret, error.is_of_message) == (True, False)
    assert len(slack.requests) == 1


def test_where_the_text_is_refused_too_only_this_message_is_concerned(slack: SlackDouble) -> None:
    slack.answer("invalid_payload", 400, times=2)

    error = refusal(slack)

    assert (error.is_of_secret, error.is_of_message) == (False, True)


def test_a_rate_limit_says_how_long_to_wait_and_nothing_is_tried_again(slack: SlackDouble) -> None:
    slack.limit_rate(30)

    assert refusal(slack).retry_after == 30
    assert len(slack.requests) == 1


def test_a_server_error_is_reported_and_not_tried_again(slack: SlackDouble) -> None:
    slack.fail(500)

    assert str(refusal(slack)) == "Slack: HTTP 500"
    assert len(slack.requests) == 1


@pytest.mark.parametrize("body", ["", "{}", "<html>log in</html>", "no_text"])
def test_status_200_without_slacks_word_is_no_success(slack: SlackDouble, body: str) -> None:
    slack.answer(body)

    assert str(refusal(slack)).startswith("Slack refused: ")
