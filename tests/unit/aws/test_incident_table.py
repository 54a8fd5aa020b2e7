"""Incidents are written whole, and are pending until every channel is notified: in DynamoDB, and
in the twin in memory that plays it.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from connection_guard.adapters.aws.incident_table import IncidentKey, IncidentTable
from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.lifecycle import absorb
from connection_guard.core.notification.channel.notified import Notified, PostedMessage
from connection_guard.core.policy import Tier
from connection_guard.errors import StoreError
from tests.support.builders import NOW
from tests.support.reporter.stories import (
    a_whole_story,
    absorbed,
    alarm_ok,
    an_attempt,
    in_alarm,
    locked_out,
)

SECOND = timedelta(seconds=1)
LATER = NOW + timedelta(minutes=15)

SENT = Notified(version=1, news=("critical",), news_at=NOW)
SHOWN = Notified(message=PostedMessage("C123", "1.5", thread="1.2"), shown=1, replies=("run-1",))


def key_of(incident: Incident) -> IncidentKey:
    return incident.database, incident.id


def put(
    incidents: IncidentTable,
    incident: Incident,
    replaces: Incident | None = None,
    **changes: object,
) -> bool:
    return incidents.put(
        incident,
        **{
            "replaces": replaces and replaces.version,
            "ended": None,
            "now": NOW,
            **changes,
        },  # type: ignore[arg-type]
    )


def pending(incidents: IncidentTable, now: object = NOW) -> set[str]:
    """Return the IDs of the incidents that are pending by then."""
    return {each.key[1] for each in incidents.pending(now)}  # type: ignore[arg-type]


@pytest.fixture
def opened(incidents: IncidentTable) -> Incident:
    """An incident that is stored."""
    incident = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95)])
    assert put(incidents, incident)
    return incident


@pytest.fixture
def grown(opened: Incident) -> Incident:
    """The same incident with an entry more, which is not stored."""
    return absorbed([an_attempt(minute=1, before=95, after=90)], opened)


def test_what_is_put_is_the_latest_and_another_database_has_none(incidents: IncidentTable) -> None:
    incident = absorbed(a_whole_story())

    assert incidents.latest("orders-prod") is None
    assert put(incidents, incident)
    assert incidents.latest("orders-prod") == incident
    assert incidents.latest("users-prod") is None


def test_of_two_that_saw_the_same_version_one_wins_and_the_other_has_to_look_again(
    incidents: IncidentTable, opened: Incident
) -> None:
    ours = absorbed([locked_out(minute=1)], opened)
    theirs = absorbed([locked_out(minute=2)], opened)

    assert put(incidents, ours, opened)
    assert not put(incidents, theirs, opened)
    assert not put(incidents, theirs)
    assert incidents.latest("orders-prod") == ours


def test_no_entry_is_lost_where_all_saw_the_same_and_write_one_after_another(
    incidents: IncidentTable,
) -> None:
    story = a_whole_story()

    def seen(entry: Entry) -> tuple[Incident, Incident | None]:
        current = incidents.latest("orders-prod")
        new_id = f"by {entry.request_id}"
        incident = absorb(current, entry, database="orders-prod", new_id=new_id).latest
        assert incident is not None
        return incident, current

    waiting = story[::-1]
    while waiting:
        writes = [(entry, *seen(entry)) for entry in waiting]
        waiting = [
            entry for entry, incident, current in writes if not put(incidents, incident, current)
        ]

    stored = incidents.latest("orders-prod")
    assert stored is not None
    assert (stored.entries, stored.version) == (tuple(story), len(story))


def test_every_incident_stays_as_it_last_was_when_another_is_the_latest(
    incidents: IncidentTable, opened: Incident
) -> None:
    closed = absorbed([alarm_ok(Tier.CRITICAL, minute=5, used=31)], opened)
    another = replace(absorbed([locked_out(minute=90)]), version=closed.version + 1)

    assert put(incidents, closed, opened)
    assert put(incidents, another, closed)

    assert incidents.latest("orders-prod") == another
    kept = [incidents.kept(key_of(each)) for each in (closed, another)]
    assert [each and each.incident for each in kept] == [closed, another]
    assert incidents.kept(("orders-prod", "unknown")) is None


def test_an_incident_and_how_the_one_before_ended_are_written_together(
    incidents: IncidentTable, opened: Incident
) -> None:
    incidents.put_notified(key_of(opened), "slack", SHOWN)
    incidents.settle(key_of(opened), opened.version, due_at=None)
    ended = replace(opened, followed_at=LATER, version=opened.version + 1)
    another = replace(opened, id="another", version=opened.version + 1)

    assert put(incidents, another, opened, ended=ended, now=LATER)

    assert incidents.latest("orders-prod") == another
    kept = incidents.kept(key_of(opened))
    assert kept is not None
    assert (kept.incident, kept.channels) == (ended, {"slack": SHOWN})
    assert pending(incidents, LATER) == {opened.id, "another"}


def test_of_a_write_that_lost_nothing_is_stored(incidents: IncidentTable, opened: Incident) -> None:
    incidents.settle(key_of(opened), opened.version, due_at=None)
    stranger = replace(opened, id="stranger")
    ended = replace(opened, followed_at=LATER, version=8)

    assert not put(incidents, stranger, replace(opened, version=7), ended=ended)

    kept = incidents.kept(key_of(opened))
    assert kept is not None
    assert kept.incident == opened
    assert incidents.kept(key_of(stranger)) is None
    assert incidents.latest("orders-prod") == opened
    assert pending(incidents) == set()


def test_an_incident_that_does_not_matter_is_stored_and_not_pending(
    incidents: IncidentTable,
) -> None:
    lone_end = absorbed([alarm_ok(Tier.CRITICAL, minute=0, used=31)])
    assert not lone_end.matters

    assert put(incidents, lone_end)

    assert incidents.latest("orders-prod") == lone_end
    assert pending(incidents, LATER) == set()


def test_an_incident_is_pending_from_the_moment_when_it_was_put(
    incidents: IncidentTable, opened: Incident
) -> None:
    assert pending(incidents, NOW - timedelta(microseconds=1)) == set()

    (found,) = incidents.pending(NOW)

    assert (found.key, found.version, found.channels, found.since) == (
        key_of(opened),
        opened.version,
        {},
        NOW,
    )


def test_the_incidents_of_all_databases_are_pending(
    incidents: IncidentTable, opened: Incident
) -> None:
    users = replace(opened, database="users#prod", id="id#with#signs")
    assert put(incidents, users)

    assert {each.key for each in incidents.pending(NOW)} == {key_of(opened), key_of(users)}


def test_an_incident_is_no_longer_pending_once_it_is_settled(
    incidents: IncidentTable, opened: Incident
) -> None:
    incidents.settle(key_of(opened), opened.version, due_at=None)

    assert pending(incidents, LATER) == set()


def test_an_incident_that_is_settled_until_later_is_pending_again_then(
    incidents: IncidentTable, opened: Incident
) -> None:
    incidents.settle(key_of(opened), opened.version, due_at=LATER)

    assert pending(incidents, LATER - SECOND) == set()
    assert pending(incidents, LATER) == {opened.id}


def test_an_incident_that_was_settled_for_good_can_still_become_due(
    incidents: IncidentTable, opened: Incident
) -> None:
    incidents.settle(key_of(opened), opened.version, due_at=None)
    incidents.settle(key_of(opened), opened.version, due_at=LATER)

    assert pending(incidents, LATER) == {opened.id}


def test_a_change_makes_an_incident_pending_at_once_although_it_was_settled(
    incidents: IncidentTable, opened: Incident, grown: Incident
) -> None:
    incidents.settle(key_of(opened), opened.version, due_at=LATER)

    assert put(incidents, grown, opened, now=NOW + SECOND)

    assert pending(incidents, NOW + SECOND) == {opened.id}


def test_an_incident_is_pending_since_its_first_change_that_is_not_settled(
    incidents: IncidentTable, opened: Incident, grown: Incident
) -> None:
    assert put(incidents, grown, opened, now=NOW + SECOND)
    assert [each.since for each in incidents.pending(LATER)] == [NOW]

    incidents.settle(key_of(grown), grown.version, due_at=LATER)
    assert [each.since for each in incidents.pending(LATER)] == [LATER]

    newest = absorbed([locked_out(minute=3)], grown)
    assert put(incidents, newest, grown, now=NOW + 2 * SECOND)
    assert [each.since for each in incidents.pending(LATER)] == [NOW + 2 * SECOND]


@pytest.mark.parametrize("due_at", [None, LATER])
def test_an_incident_that_has_changed_meanwhile_stays_pending(
    incidents: IncidentTable, opened: Incident, grown: Incident, due_at: None
) -> None:
    assert put(incidents, grown, opened)

    incidents.settle(key_of(opened), opened.version, due_at=due_at)

    assert pending(incidents) == {opened.id}


def test_what_each_channel_was_notified_of_is_kept_beside_the_story(
    incidents: IncidentTable, opened: Incident
) -> None:
    first = incidents.put_notified(key_of(opened), "incidents", SENT)
    both = incidents.put_notified(key_of(opened), "slack", SHOWN)

    assert first.channels == {"incidents": SENT}
    assert both.channels == {"incidents": SENT, "slack": SHOWN}
    assert (both.key, both.version, both.since) == (key_of(opened), opened.version, NOW)
    kept = incidents.kept(key_of(opened))
    assert kept is not None
    assert (kept.incident, kept.channels) == (opened, both.channels)
    assert [each.channels for each in incidents.pending(NOW)] == [both.channels]


def test_a_report_that_comes_while_a_channel_is_called_loses_neither(
    incidents: IncidentTable, opened: Incident, grown: Incident
) -> None:
    assert put(incidents, grown, opened)
    written = incidents.put_notified(key_of(opened), "slack", SHOWN)
    newest = absorbed([locked_out(minute=3)], grown)
    assert put(incidents, newest, grown)

    assert written.version == grown.version
    kept = incidents.kept(key_of(opened))
    assert kept is not None
    assert (kept.incident, kept.channels) == (newest, {"slack": SHOWN})


def test_a_channel_is_notified_of_more_in_the_place_of_less(
    incidents: IncidentTable, opened: Incident
) -> None:
    incidents.put_notified(key_of(opened), "slack", SHOWN)

    written = incidents.put_notified(key_of(opened), "slack", replace(SHOWN, detailed=1))

    assert written.channels == {"slack": replace(SHOWN, detailed=1)}


def test_a_channel_s_name_can_have_any_characters(
    incidents: IncidentTable, opened: Incident
) -> None:
    names = {"slack.#orders", "size", "a b/c:d", "ключ", ":channel", "#channel"}
    for name in names:
        incidents.put_notified(key_of(opened), name, SENT)

    (found,) = incidents.pending(NOW)

    assert found.channels == dict.fromkeys(names, SENT)


def test_a_channel_cannot_be_notified_of_an_incident_that_is_gone(incidents: IncidentTable) -> None:
    with pytest.raises(StoreError, match="incident gone of orders-prod is gone"):
        incidents.put_notified(("orders-prod", "gone"), "slack", SHOWN)

    incidents.settle(("orders-prod", "gone"), 1, due_at=LATER)

    assert incidents.kept(("orders-prod", "gone")) is None
    assert pending(incidents, LATER) == set()
