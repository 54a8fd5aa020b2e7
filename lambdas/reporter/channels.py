"""The channels that a deployment has, by its settings."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from connection_guard.adapters.channels.channel_secrets import read_secret, with_secret
from connection_guard.adapters.channels.event_bus import events_client, send_to_event_bus
from connection_guard.adapters.channels.incidents_topic import send_to_topic, sns_client
from connection_guard.adapters.channels.pagerduty import parse_pagerduty_secret, send_to_pagerduty
from connection_guard.adapters.channels.slack_secret import parse_slack_secret
from connection_guard.adapters.channels.teams import parse_teams_secret, send_to_teams
from connection_guard.core.deployment.reporter_settings import ReporterSettings
from connection_guard.core.notification.view import View
from reporter.channel import Channel, NewsChannel
from reporter.slack_channel import SlackChannel

# PagerDuty takes 120 events per minute and integration, Teams four messages per second.
# https://developer.pagerduty.com/docs/events-api-v2/overview/
# https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
SECONDS_BETWEEN_EVENTS = 0.6
SECONDS_BETWEEN_CARDS = 0.4

S = TypeVar("S")


def channels_of(settings: ReporterSettings) -> tuple[Channel, ...]:
    """Return a channel for each service that is to be notified."""
    channels: list[Channel] = [incidents_channel(sns_client(), settings.incidents_topic)]
    if settings.slack_secret is not None:
        channels.append(
            SlackChannel(partial(read_secret, settings.slack_secret, parse_slack_secret))
        )
    if settings.pagerduty_secret is not None:
        send = _with_secret(settings.pagerduty_secret, parse_pagerduty_secret, send_to_pagerduty)
        channels.append(
            NewsChannel("pagerduty", send, seconds_between_calls=SECONDS_BETWEEN_EVENTS)
        )
    if settings.teams_secret is not None:
        send = _with_secret(settings.teams_secret, parse_teams_secret, send_to_teams)
        channels.append(NewsChannel("teams", send, seconds_between_calls=SECONDS_BETWEEN_CARDS))
    if settings.event_bus is not None:
        channels.append(
            NewsChannel(
                "eventbridge", partial(send_to_event_bus, events_client(), settings.event_bus)
            )
        )
    return tuple(channels)


def incidents_channel(client: Any, topic: str) -> Channel:
    """Return the channel of the topic "incidents": e-mail, and all other subscribers."""
    return NewsChannel("incidents", partial(send_to_topic, client, topic))


def _with_secret(
    name: str, parse: Callable[[str | bytes], S], send: Callable[[S, View], None]
) -> Callable[[View], None]:
    read = partial(read_secret, name, parse)
    return lambda view: with_secret(read, lambda secret: send(secret, view))
