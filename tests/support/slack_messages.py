"""Messages for Slack and the ways of posting them, for tests to which their words do not matter."""

from dataclasses import replace

from connection_guard.adapters.channels.slack_bot import post
from connection_guard.adapters.channels.slack_secret import SlackBot, SlackSecret, SlackWebhook
from connection_guard.adapters.channels.slack_webhook import post_to_webhook
from connection_guard.core.notification.slack.slack_blocks import Message, section
from doubles.slack_double import SlackDouble


def a_message(text: str = "orders-prod is out of connections", blocks: int = 1) -> Message:
    return Message(text, (section(f"*{text}*"),) * blocks)


def bot(slack: SlackDouble, **changes: str) -> SlackBot:
    return replace(SlackBot(slack.token, slack.channel, slack.base_url), **changes)


def secret_of(slack: SlackDouble, way: str) -> SlackSecret:
    return bot(slack) if way == "bot" else SlackWebhook(slack.webhook)


def post_by(secret: SlackSecret, message: Message) -> None:
    """Post the message in the secret's own channel."""
    match secret:
        case SlackBot():
            post(secret, secret.channel, message)
        case SlackWebhook():
            post_to_webhook(secret, message)
