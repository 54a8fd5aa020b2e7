"""Slack's bot over real HTTP: what it posts, edits and replies, and what Slack refuses."""

import pytest

from connection_guard.adapters.channels.slack_bot import edit, post
from connection_guard.core.notification.channel.notified import PostedMessage
from connection_guard.errors import NotificationError
from doubles.slack_double import SlackDouble
from tests.support.slack_messages import a_message, bot

REFUSED_CHANNELS = [
    "channel_not_found",
    "not_in_channel",
    "is_archived",
    "restricted_action",
    "restricted_action_read_only_channel",
    "posting_to_general_channel_denied",
    "an_error_that_is_new",
]


def test_a_message_is_posted_edited_and_replied_to(slack: SlackDouble) -> None:
    posted = post(bot(slack), slack.channel, a_message("97 of 97"))
    reply = post(bot(slack), slack.channel, a_message("attempt 1"), posted.timestamp)
    edited = edit(bot(slack), posted, a_message("resolved", blocks=2))

    (message,) = slack.channel_view
    assert posted == PostedMessage(slack.channel, message.timestamp) == edited
    assert reply.thread == posted.timestamp
    assert message.text == "resolved"
    assert message.content["blocks"] == list(a_message("resolved", blocks=2).blocks)
    assert [each["text"] for each in message.edits] == ["97 of 97"]
    assert [each.text for each in slack.thread_of(message)] == ["attempt 1"]
    assert len(slack.requests) == 3


def test_nothing_unfurls(slack: SlackDouble) -> None:
    post(bot(slack), slack.channel, a_message())

    (content,) = (message.content for message in slack.messages)
    assert (content["unfurl_links"], content["unfurl_media"]) == (False, False)


def test_a_message_that_was_deleted_is_to_be_posted_anew(slack: SlackDouble) -> None:
    posted = post(bot(slack), slack.channel, a_message())
    slack.delete(slack.channel_view[0])

    assert edit(bot(slack), posted, a_message()) is None
    assert slack.messages == []


@pytest.mark.parametrize(
    "error",
    ["cant_update_message", "edit_window_closed", "channel_not_found", "is_inactive"],
)
def test_a_message_that_may_not_be_edited_is_to_be_posted_anew(
    slack: SlackDouble, error: str
) -> None:
    posted = post(bot(slack), slack.channel, a_message())
    slack.refuse(error)

    assert edit(bot(slack), posted, a_message()) is None


# The channel of a database


def test_a_database_has_its_own_channel(slack: SlackDouble) -> None:
    slack.add_channel("C0SHOP")

    posted = post(bot(slack), "C0SHOP", a_message())
    assert edit(bot(slack), posted, a_message("resolved")) == posted

    assert [(each.channel, each.text) for each in slack.messages] == [("C0SHOP", "resolved")]


@pytest.mark.parametrize("error", REFUSED_CHANNELS)
def test_where_a_databases_channel_is_refused_the_message_is_in_the_secrets(
    slack: SlackDouble, error: str
) -> None:
    slack.add_channel("C0GONE", error)

    posted = post(bot(slack), "C0GONE", a_message())

    assert posted.channel == slack.channel
    assert [each.channel for each in slack.messages] == [slack.channel]


@pytest.mark.parametrize("error", REFUSED_CHANNELS)
def test_where_the_secrets_channel_is_refused_others_may_pass(
    slack: SlackDouble, error: str
) -> None:
    slack.add_channel(slack.channel, error)

    with pytest.raises(NotificationError, match=rf"^Slack refused: {error}$") as raised:
        post(bot(slack), slack.channel, a_message())

    assert raised.value.is_of_message
    assert len(slack.requests) == 1


# The text instead of the blocks


@pytest.mark.parametrize(
    "error",
    ["invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"],
)
def test_where_slack_refuses_the_blocks_the_text_is_posted(slack: SlackDouble, error: str) -> None:
    slack.refuse_blocks("97 of 97", error)

    posted = post(bot(slack), slack.channel, a_message("97 of 97"))

    (message,) = slack.channel_view
    assert (message.text, message.blocks) == ("97 of 97", [])
    assert posted.timestamp == message.timestamp
    assert len(slack.requests) == 2


def test_an_edit_whose_blocks_are_refused_does_not_leave_those_of_before(
    slack: SlackDouble,
) -> None:
    posted = post(bot(slack), slack.channel, a_message("97 of 97"))
    slack.refuse_blocks("resolved")

    assert edit(bot(slack), posted, a_message("resolved")) == posted

    (message,) = slack.channel_view
    assert (message.text, message.blocks) == ("resolved", [])


def test_where_the_text_is_refused_too_only_this_message_is_concerned(slack: SlackDouble) -> None:
    slack.refuse("msg_too_long", times=2)

    with pytest.raises(NotificationError, match=r"^Slack refused: msg_too_long$") as raised:
        post(bot(slack), slack.channel, a_message())

    assert raised.value.is_of_message
    assert len(slack.requests) == 2


# Errors


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(7, 7), (3600, 300), (0, 1), (None, 1), ("soon", 1), ("-5", 1), ("1.5", 1), ("²", 1)],
)
def test_a_rate_limit_says_how_long_to_wait_and_nothing_is_tried_again(
    slack: SlackDouble, header: int | str | None, seconds: int
) -> None:
    slack.limit_rate(header)

    with pytest.raises(NotificationError, match=f"try again in {seconds} s$") as raised:
        post(bot(slack), slack.channel, a_message())

    assert raised.value.retry_after == seconds
    assert not raised.value.is_of_message
    assert len(slack.requests) == 1


@pytest.mark.parametrize("error", ["ratelimited", "rate_limited"])
def test_a_rate_limit_may_come_with_status_200(slack: SlackDouble, error: str) -> None:
    slack.refuse(error)

    with pytest.raises(NotificationError) as raised:
        post(bot(slack), slack.channel, a_message())

    assert raised.value.retry_after == 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_reported_and_not_tried_again(slack: SlackDouble, status: int) -> None:
    slack.fail(status)

    with pytest.raises(NotificationError, match=f"^Slack: HTTP {status}$") as raised:
        post(bot(slack), slack.channel, a_message())

    assert (raised.value.retry_after, raised.value.is_of_message) == (None, False)
    assert len(slack.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "[1]",
        '["ok"]',
        '"ok"',
        "1",
        "null",
        "true",
        "{}",
        '{"channel": "C0", "ts": "1"}',
        '{"ok": 1, "channel": "C0", "ts": "1"}',
        '{"ok": true}',
        '{"ok": true, "channel": "C0"}',
        '{"ok": true, "ts": null, "channel": "C0"}',
        '{"ok": false}',
        '{"ok": false, "error": {"code": 1}}',
        '{"ok": true',
        "<html>log in</html>",
        "ok",
        "",
        "[" * 200_000,
    ],
)
def test_an_answer_that_is_not_slacks_is_an_error(slack: SlackDouble, body: str) -> None:
    slack.answer(body)

    with pytest.raises(NotificationError, match=r"^Slack") as raised:
        post(bot(slack), slack.channel, a_message())

    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_an_edit_that_is_answered_with_something_else_is_an_error(slack: SlackDouble) -> None:
    posted = post(bot(slack), slack.channel, a_message())
    slack.answer("[1]")

    with pytest.raises(NotificationError, match="not a JSON object"):
        edit(bot(slack), posted, a_message())


def test_a_slow_slack_is_not_waited_for(
    slack: SlackDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connection_guard.adapters.channels.slack_bot.STEP_SECONDS", 0.2)
    slack.be_slow(60)

    with pytest.raises(NotificationError, match=r"^Slack did not answer within"):
        post(bot(slack), slack.channel, a_message())


@pytest.mark.parametrize(
    ("error", "is_of_secret"),
    [
        ("invalid_auth", True),
        ("token_revoked", True),
        ("token_expired", True),
        ("fatal_error", False),
    ],
)
def test_a_refused_token_differs_from_other_refusals(
    slack: SlackDouble, error: str, is_of_secret: bool
) -> None:
    slack.refuse(error)

    with pytest.raises(NotificationError, match=f"^Slack refused: {error}$") as raised:
        post(bot(slack), slack.channel, a_message())

    assert (raised.value.is_of_secret, raised.value.is_of_message) == (is_of_secret, False)
