"""A rotated secret works at once: what a service refuses is read again from Secrets Manager."""

import json
from functools import partial
from typing import Any

import pytest

from connection_guard.adapters.channels.channel_secrets import read_secret, with_secret
from connection_guard.adapters.channels.slack_secret import parse_slack_secret
from connection_guard.errors import NotificationError
from doubles.slack_double import SlackDouble
from tests.support.slack_messages import a_message, post_by


def store(secrets: Any, slack: SlackDouble, way: str) -> None:
    fields = (
        {"token": slack.token, "channel": slack.channel, "base_url": slack.base_url}
        if way == "bot"
        else {"webhook": slack.webhook}
    )
    written = json.dumps(fields)
    if secrets.list_secrets()["SecretList"]:
        secrets.put_secret_value(SecretId="slack", SecretString=written)
    else:
        secrets.create_secret(Name="slack", SecretString=written)


def rotate(slack: SlackDouble, way: str) -> None:
    if way == "bot":
        slack.rotate_token("xoxb-5678-efgh")
    else:
        slack.replace_webhook()


def notify() -> None:
    read = partial(read_secret, "slack", parse_slack_secret)
    with_secret(read, lambda secret: post_by(secret, a_message()))


@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_a_rotated_secret_works_at_once(slack: SlackDouble, secrets: Any, way: str) -> None:
    store(secrets, slack, way)
    notify()
    rotate(slack, way)
    store(secrets, slack, way)

    notify()
    notify()

    assert len(slack.messages) == 3
    assert len(slack.requests) == 4


@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_a_secret_that_is_still_the_same_is_not_used_twice(
    slack: SlackDouble, secrets: Any, way: str
) -> None:
    store(secrets, slack, way)
    rotate(slack, way)

    with pytest.raises(NotificationError, match=r"^Slack refused: ") as raised:
        notify()

    assert raised.value.is_of_secret
    assert len(slack.requests) == 1


def test_other_refusals_do_not_read_it_again(slack: SlackDouble, secrets: Any) -> None:
    store(secrets, slack, "bot")
    notify()
    secrets.put_secret_value(SecretId="slack", SecretString="{}")
    slack.refuse("is_archived")

    with pytest.raises(NotificationError, match=r"^Slack refused: is_archived$"):
        notify()
