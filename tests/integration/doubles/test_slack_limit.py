"""Slack's double takes one message per second and channel, by the clock that a test gives it."""

import pytest

from connection_guard.adapters.channels.slack_bot import edit, post
from connection_guard.errors import NotificationError
from doubles.slack_double import SlackDouble
from tests.support.slack_messages import a_message, bot


class Clock:
    """A clock that moves as a test says."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_what_comes_sooner_than_a_second_after_the_last_is_refused(slack: SlackDouble) -> None:
    clock = Clock()
    slack.limit_to(1, clock)
    slack.add_channel("C0SHOP")

    posted = post(bot(slack), slack.channel, a_message())
    clock.seconds += 0.4
    with pytest.raises(NotificationError) as raised:
        edit(bot(slack), posted, a_message())
    post(bot(slack), "C0SHOP", a_message())
    clock.seconds += 0.6
    edit(bot(slack), posted, a_message())

    assert raised.value.retry_after == 1
    assert (slack.let_through, slack.refused) == (3, 1)


def test_a_clock_that_adds_up_tenths_is_not_held_to_be_early(slack: SlackDouble) -> None:
    clock = Clock()
    slack.limit_to(1, clock)

    for _ in range(20):
        post(bot(slack), slack.channel, a_message())
        for _ in range(10):
            clock.seconds += 0.1

    assert (slack.let_through, slack.refused) == (20, 0)
