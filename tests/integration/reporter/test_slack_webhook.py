"""A webhook gets one message per change, over real HTTP."""

from dataclasses import replace

import pytest

from connection_guard.adapters.channels.slack_secret import (
    SlackWebhook,
)
from connection_guard.core.notification.slack.slack_blocks import GREEN, PURPLE, RED
from doubles.slack_double import SlackDouble
from tests.support.reporter.incidents import (
    an_escalation,
    an_incident,
)
from tests.support.reporter.posting import END, SECOND, START, notified, outcome


def test_a_webhook_gets_a_message_for_every_change_of_state_and_for_nothing_else(
    slack: SlackDouble,
) -> None:
    secret = SlackWebhook(slack.webhook)
    incident = notified(an_incident(START), secret)
    incident = notified(replace(incident, entries=(START, SECOND)), secret)
    incident = notified(replace(incident, entries=(START, SECOND, an_escalation(2))), secret)
    incident = notified(replace(incident, entries=(START, SECOND, an_escalation(2), END)), secret)
    notified(incident, secret)

    colors = [message.content["attachments"][0]["color"] for message in slack.messages]
    assert colors == [RED, PURPLE, GREEN]
    assert all(message.content["unfurl_links"] is False for message in slack.messages)
    assert incident.slack is None


@pytest.mark.parametrize(("status", "says"), [(404, "Slack refused: "), (500, "Slack: HTTP 500")])
def test_a_webhook_that_fails_is_tried_again_by_the_next_delivery(
    slack: SlackDouble, status: int, says: str
) -> None:
    secret = SlackWebhook(slack.webhook)
    slack.fail(status, times=3 if status == 500 else 1)

    failed = outcome(an_incident(START), secret)
    assert str(failed.error).startswith(says)
    assert failed.notified == ()

    notified(an_incident(START), secret)
    assert len(slack.messages) == 1


def test_a_webhooks_rate_limit_is_honoured(slack: SlackDouble) -> None:
    slack.limit_rate(retry_after=1)
    notified(an_incident(START), SlackWebhook(slack.webhook))
    assert len(slack.messages) == 1

    slack.limit_rate(retry_after=3600)
    failed = outcome(an_incident(START), SlackWebhook(slack.webhook))
    assert str(failed.error) == "Slack: rate limited, try again in 3600 s"
