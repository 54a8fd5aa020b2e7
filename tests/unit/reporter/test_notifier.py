"""People in charge learn what keeps others from being notified, and without the table, everybody
gets the headline.
"""

from datetime import timedelta
from threading import Event

import pytest

from connection_guard.core.notification.view import View
from connection_guard.errors import NotificationError
from reporter.channel import NewsChannel
from tests.support.builders import NOW
from tests.support.reporter.outside import ORDERS
from tests.support.reporter.played_time import an_invocation
from tests.support.reporter.stories import absorbed, an_attempt, locked_out
from tests.unit.reporter.reporting import DOWN, OPENED, REFUSED, Reached, Reporting


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


def test_people_in_charge_learn_that_a_message_is_refused_until_it_passes(
    reporting: Reporting, people: Reached
) -> None:
    people.failures["orders-prod"] = REFUSED
    reporting.store(OPENED)
    refused = "people could not be notified: people refuses the message of orders-prod"
    with pytest.raises(NotificationError, match=refused):
        reporting.every_minute(40)

    people.failures.clear()
    reporting.every_minute(20)

    assert people.databases == ["orders-prod"]


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


def test_without_the_table_a_channel_that_never_answers_holds_up_no_other(
    reporting: Reporting, people: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporter.notifier.CALL_SECONDS", 0.1)
    answers = Event()

    def send(_: View) -> None:
        answers.wait(5)

    reporting.channels = (NewsChannel("silent", send), *reporting.channels)

    reporting.notifier.announce(ORDERS, locked_out(minute=0), an_invocation(reporting.time))
    tested = reporting.notifier.test(ORDERS, OPENED)
    answers.set()

    assert people.databases == ["orders-prod", "orders-prod"]
    assert tested == {"silent": "silent did not answer within 0.1 s", "people": None}
