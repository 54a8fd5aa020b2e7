"""No log, error or message shows Slack's secret, also where Slack cannot be reached."""

import logging
from dataclasses import replace

import pytest

from connection_guard.adapters.channels.slack_answers import clean_errors
from connection_guard.adapters.channels.slack_secret import SlackBot, SlackSecret, SlackWebhook
from connection_guard.errors import NotificationError
from doubles.slack_double import SlackDouble
from tests.support.slack_messages import a_message, post_by, secret_of

each_way = pytest.mark.parametrize("way", ["bot", "webhook"])


@each_way
def test_a_closed_slack_is_reported(slack: SlackDouble, way: str) -> None:
    secret = secret_of(slack, way)
    slack.close()

    with pytest.raises(NotificationError, match=r"^Slack could not be reached: .*refused"):
        post_by(secret, a_message())


@each_way
@pytest.mark.parametrize("trouble", ["none", "failing", "limited", "refusing", "echoing", "closed"])
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
    secret = secret_of(slack, way)
    value = slack.token if way == "bot" else slack.webhook
    {
        "none": lambda: None,
        "failing": lambda: slack.fail(500),
        "limited": lambda: slack.limit_rate(3600),
        "refusing": lambda: slack.refuse("is_archived"),
        "echoing": lambda: slack.answer(f'{{"ok": false, "error": "{value}"}}', 200),
        "closed": slack.close,
    }[trouble]()

    error: NotificationError | None = None
    try:
        post_by(secret, a_message())
    except NotificationError as raised:
        error = raised

    assert (error is None) == (trouble == "none")
    output = capfd.readouterr()
    everything = "".join(
        (
            caplog.text,
            output.out,
            output.err,
            repr(secret),
            repr(error),
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

    with pytest.raises(NotificationError) as raised:
        post_by(secret, a_message())

    assert "unguessable" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_what_the_operating_system_says_of_an_address_does_not_show_it() -> None:
    with pytest.raises(NotificationError) as raised, clean_errors("https://x/unguessable"):
        raise OSError("no route to https://x/unguessable")

    assert str(raised.value) == "Slack could not be reached: no route to (secret)"
