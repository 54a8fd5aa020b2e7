"""One incident's trouble is no other's: what a channel cannot be notified of delays nothing else,
and what is known to every channel is no longer pending.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from connection_guard.core.notification.channel.notified import Notified
from connection_guard.core.notification.view import View
from connection_guard.core.policy import Tier
from connection_guard.errors import NotificationError
from reporter.channel import Calls, NewsChannel
from tests.support.builders import NOW
from tests.support.reporter.stories import absorbed, alarm_ok
from tests.unit.reporter.reporting import DOWN, OPENED, REFUSED, Reached, Reporting, of


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
    "failure",
    [DOWN, REFUSED, KeyError("a field that is missing")],
    ids=["fails", "refused", "cannot be made"],
)
def test_a_message_that_never_passes_holds_up_no_other_incident(
    reporting: Reporting, people: Reached, failure: Exception
) -> None:
    people.failures["never"] = failure
    reporting.deliver(reporting.store(of("never")))
    reporting.time.sleep(1)
    reporting.store(of("other"))

    reporting.every_minute(2)

    assert people.databases == ["other"]
    assert reporting.pending == {"never"}

    people.failures.clear()
    reporting.every_minute(20)
    assert people.databases == ["other", "never"]
    assert reporting.pending == set()


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


def test_what_has_just_failed_comes_after_the_others_of_the_same_minute(
    reporting: Reporting, people: Reached
) -> None:
    people.failures["never"] = DOWN
    for database in ("never", "other", "another"):
        reporting.store(of(database))

    reporting.every_minute()

    assert people.databases == ["other", "another"]
