"""One incident's trouble is no other's: what a channel cannot be notified of delays nothing else,
and what is known to every channel is no longer pending.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from connection_guard.adapters.aws.incident_table import IncidentKey, Kept
from connection_guard.core.deployment.reporter_settings import (
    ReporterSettings,
    Watched,
    WatchedDatabase,
)
from connection_guard.core.incident.circumstances import Circumstances
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.channel.notified import Notified
from connection_guard.core.notification.view import View
from connection_guard.core.policy import Tier
from connection_guard.errors import NotificationError, StoreError
from doubles.aws.memory_store import MemoryBucket, MemoryIncidents, MemoryLanes
from reporter.channel import Calls, Channel, NewsChannel
from reporter.notifier import Notifier
from reporter.world import World
from tests.support.builders import NOW
from tests.support.reporter.deliveries import REGION
from tests.support.reporter.played_time import PlayedTime, an_invocation
from tests.support.reporter.stories import absorbed, alarm_ok, an_attempt, in_alarm, locked_out

SETTINGS = ReporterSettings("incidents", "evidence", "topic", "unreadable", "dashboard")
OPENED = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95)])
DOWN = NotificationError("the channel did not answer")


class Incidents(MemoryIncidents):
    """The table, some of whose calls fail."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: set[str] = set()
        self.fails_to_settle = False

    def kept(self, key: IncidentKey) -> Kept | None:
        if key[0] in self.unreadable:
            raise StoreError(f"table incidents: the incident of {key[0]} cannot be read")
        return super().kept(key)

    def settle(self, key: IncidentKey, version: int, *, due_at: datetime | None) -> None:
        if self.fails_to_settle:
            raise StoreError("table incidents: ThrottlingException")
        super().settle(key, version, due_at=due_at)


class Reached:
    """What people get through a channel, which fails for a database as a test says."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.failures: dict[str, Exception] = {}

    def send(self, view: View) -> None:
        database = view.incident.database
        if database in self.failures:
            raise self.failures[database]
        self.messages.append((database, view.incident.progress.value))

    @property
    def databases(self) -> list[str]:
        return [database for database, _ in self.messages]


class Reporting:
    """A reporter's notifications by a clock that a test moves."""

    def __init__(self, *channels: Channel) -> None:
        self.time = PlayedTime(NOW)
        self.incidents = Incidents()
        self.bucket = MemoryBucket()
        self.lanes = MemoryLanes()
        self.channels = channels

    @property
    def notifier(self) -> Notifier:
        """Return that of a new process."""
        world = World(
            function_name="reporter",
            bucket=self.bucket,
            incidents=self.incidents,
            lanes=self.lanes,
            channels=self.channels,
            put_unreadable=lambda _: None,
            look=lambda _database, now: Circumstances((), (), None, (), looked_at=now),
            now=self.time.now,
            sleep=self.time.sleep,
        )
        return Notifier(SETTINGS, Watched(()), REGION, world)

    def store(self, incident: Incident, replaces: Incident | None = None) -> Incident:
        assert self.incidents.put(
            incident,
            replaces=None if replaces is None else replaces.version,
            ended=None,
            now=self.time.now(),
        )
        return incident

    def deliver(self, incident: Incident) -> None:
        self.notifier.notify((incident.database, incident.id), an_invocation(self.time))

    def every_minute(self, minutes: int = 1) -> None:
        for _ in range(minutes):
            self.time.sleep(60)
            self.notifier.notify_pending(an_invocation(self.time))

    @property
    def pending(self) -> set[str]:
        found = self.incidents.pending(self.time.now() + timedelta(days=1))
        return {each.key[0] for each in found}


@pytest.fixture
def people() -> Reached:
    return Reached()


@pytest.fixture
def reporting(people: Reached) -> Reporting:
    return Reporting(NewsChannel("people", people.send))


def of(database: str) -> Incident:
    return replace(OPENED, database=database)


def test_each_incident_is_notified_once_and_then_no_longer_pending(
    reporting: Reporting, people: Reached
) -> None:
    first, second = reporting.store(of("first")), reporting.store(of("second"))

    reporting.deliver(first)
    reporting.deliver(second)
    reporting.every_minute(2)

    assert people.databases == ["first", "second"]
    assert reporting.pending == set()


@pytest.mark.parametrize(
    "failure", [DOWN, NotificationError("invalid", is_of_message=True)], ids=["fails", "refused"]
)
def test_a_message_that_never_passes_holds_up_no_other_incident(
    reporting: Reporting, people: Reached, failure: NotificationError
) -> None:
    reporting.store(of("never"))
    reporting.time.sleep(1)
    reporting.store(of("other"))
    people.failures["never"] = failure

    reporting.every_minute(2)

    assert people.databases == ["other"]
    assert reporting.pending == {"never"}

    people.failures.clear()
    reporting.every_minute(20)
    assert people.databases == ["other", "never"]
    assert reporting.pending == set()


def test_an_incident_that_no_message_can_be_made_of_holds_up_no_other(
    reporting: Reporting, people: Reached
) -> None:
    never = reporting.store(of("never"))
    reporting.store(of("other"))
    people.failures["never"] = KeyError("a field that is missing")

    reporting.deliver(never)
    reporting.every_minute(2)

    assert people.databases == ["other"]
    assert reporting.pending == {"never"}


def test_an_incident_that_cannot_be_read_holds_up_no_other(
    reporting: Reporting, people: Reached
) -> None:
    never = reporting.store(of("never"))
    reporting.store(of("other"))
    reporting.incidents.unreadable.add("never")

    reporting.deliver(never)
    reporting.every_minute(2)

    assert people.databases == ["other"]
    assert reporting.pending == {"never"}


def test_what_a_run_that_died_has_notified_does_not_stay_pending(
    reporting: Reporting, people: Reached
) -> None:
    incident = reporting.store(OPENED)
    reporting.incidents.fails_to_settle = True
    reporting.deliver(incident)
    reporting.incidents.fails_to_settle = False
    assert people.databases == ["orders-prod"]

    reporting.every_minute(2)

    assert people.databases == ["orders-prod"]
    assert reporting.pending == set()


def test_of_channels_that_wait_the_first_that_is_due_is_notified_first() -> None:
    soon, later = Reached(), Reached()
    reporting = Reporting(NewsChannel("soon", soon.send), NewsChannel("later", later.send))
    incident = reporting.store(OPENED)
    for name, minutes in (("later", 10), ("soon", 5)):
        waits = Notified(incident.version, due_at=NOW + timedelta(minutes=minutes))
        reporting.incidents.put_notified((incident.database, incident.id), name, waits)

    reporting.every_minute(7)
    assert (soon.databases, later.databases) == (["orders-prod"], [])

    reporting.every_minute(5)
    assert (soon.databases, later.databases) == (["orders-prod"], ["orders-prod"])


def test_a_channel_that_answered_since_is_left_alone_no_longer_than_at_first() -> None:
    people = Reached()
    failures = iter((DOWN, DOWN, None, DOWN))

    def send(view: View) -> None:
        if failure := next(failures, None):
            raise failure
        people.send(view)

    reporting = Reporting(NewsChannel("people", send))
    reporting.store(of("first"))
    reporting.store(of("second"))

    reporting.every_minute()

    assert sorted(people.databases) == ["first", "second"]


def test_what_a_channel_that_was_removed_has_missed_does_not_stay_pending(
    reporting: Reporting,
) -> None:
    removed = Reached()
    removed.failures["orders-prod"] = DOWN
    reporting.channels = (*reporting.channels, NewsChannel("removed", removed.send))
    reporting.deliver(reporting.store(OPENED))
    assert reporting.pending == {"orders-prod"}

    reporting.channels = reporting.channels[:1]
    reporting.every_minute(2)

    assert reporting.pending == set()


def test_people_in_charge_learn_that_a_channel_fails_also_while_reports_keep_coming(
    reporting: Reporting, people: Reached
) -> None:
    people.failures["orders-prod"] = DOWN
    incident = reporting.store(OPENED)
    for minute in range(1, 9):
        grown = absorbed([an_attempt(minute=minute, before=97, after=95)], incident)
        incident = reporting.store(grown, incident)
        reporting.every_minute()

    with pytest.raises(NotificationError, match="since 03:00 UTC people could not be notified"):
        reporting.every_minute(4)


def test_people_in_charge_learn_that_a_message_is_refused_for_ever(
    reporting: Reporting, people: Reached
) -> None:
    people.failures["orders-prod"] = NotificationError("invalid", is_of_message=True)
    reporting.store(OPENED)

    with pytest.raises(NotificationError, match="people could not be notified"):
        reporting.every_minute(40)


class Threads:
    """A channel that edits a message, and never takes a reply in its thread."""

    name = "threads"
    seconds_between_calls = 0.0

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}

    def advance(self, view: View, notified: Notified, calls: Calls) -> Notified:
        incident = view.incident
        if notified.shown < incident.version:
            calls.call(lambda: self.shown.update({incident.database: incident.progress.value}))
            return replace(notified, shown=incident.version)
        raise NotificationError("this reply is invalid", is_of_message=True)

    def urgency(self, view: View, notified: Notified) -> int:  # noqa: ARG002
        return 1

    def announce(self, view: View) -> None: ...


def test_a_reply_that_is_refused_does_not_delay_the_message_s_next_edit() -> None:
    channel = Threads()
    reporting = Reporting(channel)
    incident = reporting.store(OPENED)
    for _ in range(4):
        reporting.deliver(incident)
        reporting.every_minute(4)
    assert channel.shown == {"orders-prod": "open"}

    closed = absorbed([alarm_ok(Tier.CRITICAL, minute=5, used=31)], incident)
    reporting.deliver(reporting.store(closed, incident))
    reporting.every_minute()

    assert channel.shown == {"orders-prod": "closed"}


ORDERS = WatchedDatabase("orders-prod", is_cluster=False, function_name="responder")


@pytest.mark.parametrize("failure", [DOWN, KeyError("a field that is missing")], ids=repr)
def test_without_the_table_a_channel_that_failed_gets_the_headline_with_the_next_delivery(
    reporting: Reporting, people: Reached, failure: Exception
) -> None:
    others = Reached()
    reporting.channels = (*reporting.channels, NewsChannel("others", others.send))
    notifier = reporting.notifier
    people.failures["orders-prod"] = failure
    notifier.announce(ORDERS, locked_out(minute=0), an_invocation(reporting.time))
    assert (people.databases, others.databases) == ([], ["orders-prod"])

    people.failures.clear()
    for minute in (2, 4, 6):
        reporting.time.sleep(120)
        notifier.announce(ORDERS, locked_out(minute=minute), an_invocation(reporting.time))

    assert people.databases == others.databases == ["orders-prod"]


def test_a_run_that_has_notified_everybody_is_no_failure_although_others_were_refused_before(
    reporting: Reporting, people: Reached
) -> None:
    people.failures["orders-prod"] = NotificationError("invalid", is_of_message=True)
    reporting.store(OPENED)
    with pytest.raises(NotificationError, match="refuses the message"):
        reporting.every_minute(40)

    people.failures.clear()
    reporting.every_minute(20)

    assert people.databases == ["orders-prod"]


def test_what_is_announced_without_the_table_has_the_id_of_the_incident_that_is_stored_later(
    reporting: Reporting,
) -> None:
    ids: list[str] = []
    reporting.channels = (NewsChannel("people", lambda view: ids.append(view.incident.id)),)
    entry = locked_out(minute=0)

    reporting.notifier.announce(ORDERS, entry, an_invocation(reporting.time))

    assert ids == [f"{entry.at:%Y%m%dT%H%M%S}-{entry.request_id}"]


def test_without_the_table_a_channel_that_is_busy_gets_the_headline_once_it_may(
    reporting: Reporting, people: Reached
) -> None:
    people.failures["orders-prod"] = NotificationError("rate limited", retry_after=1)
    reporting.time.later(NOW + timedelta(seconds=10), people.failures.clear)

    reporting.notifier.announce(ORDERS, locked_out(minute=0), an_invocation(reporting.time))

    assert people.databases == ["orders-prod"]


def test_three_messages_that_never_pass_hold_up_no_other_incident(
    reporting: Reporting, people: Reached
) -> None:
    for number in range(3):
        reporting.store(of(f"never {number}"))
        people.failures[f"never {number}"] = DOWN
        reporting.time.sleep(1)
    reporting.store(of("other"))

    reporting.every_minute(4)

    assert people.databases == ["other"]
