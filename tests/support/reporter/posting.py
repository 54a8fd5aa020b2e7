"""An incident from its alarm to its recovery, and how a test posts it."""

from dataclasses import replace
from datetime import timedelta

from connection_guard.adapters.channels.slack_client import SlackOutcome, notify_slack
from connection_guard.adapters.channels.slack_secret import (
    SlackBot,
    SlackSecret,
)
from connection_guard.core.incident.incident import Incident
from doubles.slack_double import SlackDouble
from tests.support.reporter.incidents import (
    OPENED,
    a_recovery,
    an_alarm,
    an_entry,
)
from tests.support.reporter.views import a_view

LATER = OPENED + timedelta(minutes=12)


START, SECOND, END = an_entry(0, alarm=an_alarm()), an_entry(1, attempt=2), a_recovery(3)


def bot(slack: SlackDouble, **changes: str) -> SlackBot:
    return replace(SlackBot(slack.token, slack.channel, slack.base_url), **changes)


def outcome(incident: Incident, secret: SlackSecret, seconds: float = 12) -> SlackOutcome:
    return notify_slack(a_view(incident), secret=secret, within=timedelta(seconds=seconds))


def notified(incident: Incident, secret: SlackSecret) -> Incident:
    """Return the incident after Slack took all of it."""
    result = outcome(incident, secret)
    assert result.error is None
    return replace(incident, slack=result.message, notified=result.notified)
