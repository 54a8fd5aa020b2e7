"""A call has a deadline for the whole of it, however often a byte arrives."""

from functools import partial
from threading import Event

import pytest

from connection_guard.adapters.channels.deadline import answer_within
from connection_guard.errors import NotificationError
from doubles.slack_double import SlackDouble
from doubles.waiting import wait_until
from tests.support.slack_messages import a_message, post_by, secret_of


@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_a_service_that_drips_is_not_waited_for(slack: SlackDouble, way: str) -> None:
    slack.drip(seconds_per_byte=0.2)
    call = partial(post_by, secret_of(slack, way), a_message())

    with pytest.raises(NotificationError, match=r"^Slack did not answer within 0\.5 s$"):
        answer_within(0.5, "Slack", call)

    assert slack.is_dripping.is_set()


def test_what_is_answered_in_time_is_returned() -> None:
    assert answer_within(60, "Slack", lambda: 42) == 42


@pytest.mark.parametrize("error", [NotificationError("refused"), TimeoutError(), KeyError("ts")])
def test_what_the_call_raises_is_raised(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        answer_within(60, "Slack", fail)

    assert raised.value is error


def test_a_call_that_was_given_up_may_end_later_unnoticed() -> None:
    released, ended = Event(), Event()

    def late() -> None:
        released.wait()
        ended.set()
        raise NotificationError("too late")

    with pytest.raises(NotificationError, match="did not answer"):
        answer_within(0.01, "Slack", late)
    released.set()

    wait_until(ended.is_set)
