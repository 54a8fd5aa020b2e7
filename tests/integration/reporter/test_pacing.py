"""A hundred databases fail at once, and Slack takes one message per second."""

import pytest

from doubles.slack_double import SlackDouble
from tests.support.reporter.outage import Outage

DATABASES, RUNS = 100, 10
MOST_SECONDS_TO_WAIT = 150


@pytest.fixture(scope="module")
def outage() -> Outage:
    slack = SlackDouble()
    with slack:
        played = Outage(slack, DATABASES, RUNS)
        slack.limit_to(1, clock=lambda: played.time.now().timestamp())
        played.shown = played.play()
    return played
