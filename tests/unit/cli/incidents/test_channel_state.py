"""What a channel knows of an incident follows from what it was notified of, and of what version."""

from datetime import timedelta

from connection_guard.adapters.aws.incident_table import Kept
from connection_guard.cli.incidents.channel_state import (
    Knowledge,
    channel_states,
    pending_channels,
)
from connection_guard.core.notification.channel.notified import Notified, PostedMessage
from tests.support.reporter.incidents import OPENED, an_incident

INCIDENT = an_incident(version=3)
LATER = OPENED + timedelta(minutes=15)
CHANNELS = ("incidents", "slack")


def kept(due: bool = True, **channels: Notified) -> Kept:
    return Kept(INCIDENT, channels, OPENED if due else None)


def test_one_that_has_nothing_left_to_do_knows_the_present_state() -> None:
    known = kept(incidents=Notified(version=3, news=("critical",), news_at=OPENED))
    topic, slack = channel_states(known, CHANNELS)
    assert (topic.knows, topic.notified_at, topic.due_at) == (Knowledge.PRESENT, OPENED, None)
    assert (slack.knows, slack.due_at) == (Knowledge.NOTHING, OPENED)
    assert pending_channels(known, CHANNELS) == ("slack",)


def test_one_that_knows_an_older_version_knows_an_earlier_state() -> None:
    known = kept(slack=Notified(version=2, message=PostedMessage("C123", "1.5"), shown=2))
    _, slack = channel_states(known, CHANNELS)
    assert (slack.knows, slack.due_at) == (Knowledge.EARLIER, OPENED)


def test_news_that_waits_is_due_when_it_has_settled() -> None:
    known = kept(incidents=Notified(version=3, due_at=LATER, news=("critical",), refusals=2))
    topic, _ = channel_states(known, CHANNELS)
    assert (topic.knows, topic.due_at, topic.refusals) == (Knowledge.EARLIER, LATER, 2)


def test_a_channel_that_is_no_longer_notified_is_due_nothing() -> None:
    known = kept(teams=Notified(version=1, news=("critical",)))
    *_, teams = channel_states(known, CHANNELS)
    assert (teams.channel, teams.knows, teams.due_at) == ("teams", Knowledge.EARLIER, None)


def test_an_incident_that_no_channel_waits_for_is_not_pending() -> None:
    """A channel that was added later is not notified of what was settled before."""
    assert pending_channels(kept(due=False), CHANNELS) == ()
