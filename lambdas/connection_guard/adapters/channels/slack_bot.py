"""Slack's bot: it posts messages, edits them, and replies in their threads.

Each function makes one call, and never tries again. Slack may have taken what it never
acknowledged: the same is then posted twice rather than not at all.
https://docs.slack.dev/reference/methods/chat.postMessage
https://docs.slack.dev/reference/methods/chat.update
"""

from typing import Any

from aws_lambda_powertools.logging import Logger
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from connection_guard.adapters.channels.json_post import STEP_SECONDS
from connection_guard.adapters.channels.slack_answers import (
    REFUSALS_OF_BLOCKS,
    SILENT,
    clean_errors,
    content_of,
    plain_content_of,
    slack_is_limited,
)
from connection_guard.adapters.channels.slack_secret import SlackBot
from connection_guard.core.notification.channel.notified import PostedMessage
from connection_guard.core.notification.slack.slack_blocks import Message
from connection_guard.errors import NotificationError

_REFUSALS_OF_CHANNEL = frozenset(
    {
        "channel_not_found",
        "is_archived",
        "is_inactive",
        "no_permission",
        "not_in_channel",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "team_not_found",
    }
)
_REFUSALS_OF_TOKEN = frozenset(
    {"account_inactive", "invalid_auth", "not_authed", "token_expired", "token_revoked"}
)
# The message was deleted, or may no longer be edited.
_REFUSALS_OF_EDIT = _REFUSALS_OF_CHANNEL | {
    "block_mismatch",
    "cant_update_message",
    "edit_window_closed",
    "message_not_found",
}

# Slack would answer anything with these. Every other refusal, also one that is not known yet, is of
# one channel or one message: it must not keep the others from being notified.
_OF_EVERYTHING = _REFUSALS_OF_TOKEN | {
    "accesslimited",
    "fatal_error",
    "internal_error",
    "message_limit_exceeded",
    "missing_scope",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
    "unknown_method",
}

logger = Logger(service="connection-guard")


def post(
    bot: SlackBot,
    channel: str,
    message: Message,
    thread: str | None = None,
    *,
    to_all: bool = False,
) -> PostedMessage:
    """Post a message, in the thread of the message with that timestamp where one is named; `to_all`
    shows the reply in the channel, too.

    Where Slack refuses a channel other than the bot's own, the message is posted in the bot's own;
    where Slack refuses the blocks, only the text is. Raises NotificationError.
    """
    target: dict[str, Any] = {
        "channel": channel,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if thread is not None:
        target |= {"thread_ts": thread, "reply_broadcast": to_all}
    answer = _call(bot, "chat.postMessage", target, message)
    error = answer.get("error")
    is_of_channel = error and error not in _OF_EVERYTHING | REFUSALS_OF_BLOCKS
    if is_of_channel and channel != bot.channel and thread is None:
        logger.warning(f"Slack refused the channel {channel}: {error}; using {bot.channel}")
        return post(bot, bot.channel, message)
    if error:
        raise _refusal(error)
    if not answer.get("channel") or not answer.get("ts"):
        raise NotificationError("Slack's answer does not name the message that it took")
    return PostedMessage(str(answer["channel"]), str(answer["ts"]), thread)


def edit(bot: SlackBot, posted: PostedMessage, message: Message) -> PostedMessage | None:
    """Return the message after it was edited, None where it was deleted or may no longer be edited.

    Where Slack refuses the blocks, only the text is shown. Raises NotificationError.
    """
    target = {"channel": posted.channel, "ts": posted.timestamp}
    error = _call(bot, "chat.update", target, message).get("error")
    if error in _REFUSALS_OF_EDIT:
        return None
    if error:
        raise _refusal(error)
    return posted


def bot_identity(bot: SlackBot) -> str:
    """Return who Slack says that the token's owner is: a bot, and its workspace.

    https://docs.slack.dev/reference/methods/auth.test. Raises NotificationError.
    """
    answer = _answer(bot, "auth.test", {})
    if answer.get("error"):
        raise _refusal(str(answer["error"]))
    return f"{answer.get('user', 'a bot')} of {answer.get('team', 'a workspace')}"


def _call(bot: SlackBot, method: str, target: dict[str, Any], message: Message) -> dict[str, Any]:
    """Return Slack's answer: its `error` where it refused. Raises NotificationError where there is
    no answer of Slack's.
    """
    answer = _answer(bot, method, target | content_of(message))
    if answer.get("error") in REFUSALS_OF_BLOCKS:
        return _answer(bot, method, target | plain_content_of(message))
    return answer


def _answer(bot: SlackBot, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    client = WebClient(
        bot.token, bot.base_url, timeout=STEP_SECONDS, logger=SILENT, retry_handlers=[]
    )
    with clean_errors(bot.token):
        try:
            response = client.api_call(method, json=arguments)
        except SlackApiError as refused:
            response = refused.response
    answer = response.data
    if response.status_code == 429:
        raise slack_is_limited(response.headers)
    if response.status_code >= 500:
        raise NotificationError(f"Slack: HTTP {response.status_code}")
    if not isinstance(answer, dict):
        raise NotificationError("Slack's answer is not a JSON object")
    if answer.get("ok") is True:
        return {**answer, "error": None}
    error = str(answer.get("error") or "it does not say why")
    if error in ("ratelimited", "rate_limited"):
        raise slack_is_limited(response.headers)
    return {"error": error.replace(bot.token, "(secret)")[:300]}


def _refusal(error: str) -> NotificationError:
    return NotificationError(
        f"Slack refused: {error}",
        is_of_message=error not in _OF_EVERYTHING,
        is_of_secret=error in _REFUSALS_OF_TOKEN,
    )
