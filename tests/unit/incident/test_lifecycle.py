"""Which incident an entry joins: the same one in any order of deliveries, and however often each
is repeated.
"""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.incident_size import MOST_ENTRIES
from connection_guard.core.incident.lifecycle import absorb
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.status import headline_of
from connection_guard.core.notification.timeline import timeline_of
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from tests.support.builders import NOW
from tests.support.reporter.stories import (
    a_failure,
    a_group,
    a_whole_story,
    absorbed,
    alarm_ok,
    an_alarm,
    an_attempt,
    an_entry,
    changed,
    in_alarm,
    locked_out,
    recovered,
    sentences,
)


def test_an_alarm_that_is_delivered_again_after_its_end_begins_nothing() -> None:
    first = changed(in_alarm(Tier.CRITICAL, minute=0, used=95), 0)
    over = absorbed([first, changed(alarm_ok(Tier.CRITICAL, minute=5, used=72), 5)])

    again = absorbed([changed(in_alarm(Tier.CRITICAL, minute=7, used=72), 0)], over)

    assert (again.id, again.progress, again.closed_at) == (over.id, Progress.CLOSED, over.closed_at)


def test_an_end_that_is_delivered_again_ends_nothing_that_began_since() -> None:
    first = changed(in_alarm(Tier.CRITICAL, minute=0, used=95), 0)
    over = absorbed([first, changed(alarm_ok(Tier.CRITICAL, minute=5, used=72), 5)])
    on = absorbed([an_attempt(minute=8, before=95, after=90)], over)

    again = absorbed([changed(alarm_ok(Tier.CRITICAL, minute=9, used=90), 5)], on)

    assert [each.progress for each in (over, on, again)] == [
        Progress.CLOSED,
        Progress.OPEN,
        Progress.OPEN,
    ]


def test_further_attempts_after_the_alarms_join_and_one_that_requires_action_begins_again() -> None:
    over = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=72)]
    )
    further = an_attempt(minute=6, before=72, after=66, attempt=3)

    on = absorbed([further], over)
    called = absorbed(
        [an_attempt(minute=21, before=72, after=72, attempt=10, escalation="10 attempts")], over
    )
    engaged_anew = absorbed([an_attempt(minute=21, before=97, after=90, attempt=1)], over)

    assert (on.id, on.progress, on.closed_at) == (over.id, Progress.CLOSED, over.closed_at)
    assert (
        headline_of(on)
        == "orders-prod recovered after 5 min, with 66 of 100 connections in use. Connection Guard "
        "freed 6. No action needed."
    )
    assert (called.id == over.id, called.progress) == (False, Progress.ESCALATED)
    assert absorbed([recovered(minute=24)], called).progress is Progress.CLOSED
    assert engaged_anew.id != over.id


def test_a_lone_heartbeat_is_nothing_and_changes_nothing() -> None:
    heartbeat = an_entry(Kind.HEARTBEAT, minute=1, used=95)
    incident = absorbed([in_alarm(Tier.WARNING, minute=0, used=77)])

    assert absorb(None, heartbeat, database="orders-prod", new_id="new").latest is None
    assert absorb(incident, heartbeat, database="orders-prod", new_id="new").latest is incident


def test_what_matters_after_the_closing_opens_another_that_late_entries_do_not_join() -> None:
    closed = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=31)]
    )

    another = absorbed([in_alarm(Tier.CRITICAL, minute=21, used=95)], closed)
    late = absorbed([locked_out(minute=3)], another)

    assert (another.id == closed.id, another.opened_at) == (False, NOW + timedelta(minutes=21))
    assert another.version > closed.version
    assert absorbed([*closed.entries, late.earlier[1]], late) is late
    assert (late.id, late.entries, late.progress) == (another.id, another.entries, Progress.OPEN)
    assert absorbed([locked_out(minute=-120)], late) is late


@pytest.mark.parametrize(("minutes", "reopens"), [(1, True), (15, True), (16, False)])
def test_what_begins_again_within_15_minutes_of_the_end_is_the_same_incident(
    minutes: int, reopens: bool
) -> None:
    closed = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=31)]
    )

    again = absorbed([in_alarm(Tier.CRITICAL, minute=5 + minutes, used=95)], closed)

    assert (again.id == closed.id, again.progress) == (reopens, Progress.OPEN)
    assert again.beginnings == (2 if reopens else 1)
    assert again.opened_at == (NOW if reopens else NOW + timedelta(minutes=5 + minutes))
    over = absorbed([alarm_ok(Tier.CRITICAL, minute=30, used=31)], again)
    assert (over.progress, over.lasted(NOW + timedelta(hours=5))) == (
        Progress.CLOSED,
        NOW + timedelta(minutes=30) - again.opened_at,
    )


@pytest.mark.parametrize(("minutes", "joins"), [(59, True), (61, False)])
def test_the_alarm_of_what_only_heartbeats_saw_may_come_an_hour_after_its_end(
    minutes: int, joins: bool
) -> None:
    over = absorbed([an_attempt(minute=0, before=95, after=90), recovered(minute=3)])

    late = absorbed([in_alarm(Tier.CRITICAL, minute=3 + minutes, used=95)], over)

    assert over.progress is Progress.CLOSED
    assert (late.id == over.id) is joins


def test_one_that_begins_before_the_end_of_the_one_before_was_seen_ends_that_one() -> None:
    quiet = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95, escalation="refused"), recovered(minute=3)]
    )
    closed = absorbed([alarm_ok(Tier.CRITICAL, minute=4, used=31)], quiet)
    alarm = in_alarm(Tier.CRITICAL, minute=90, used=95)

    after_quiet = absorb(quiet, alarm, database="orders-prod", new_id="new")
    after_closed = absorb(closed, alarm, database="orders-prod", new_id="new")

    assert after_quiet.latest is not None
    assert (after_quiet.latest.id, after_quiet.latest.progress) == ("new", Progress.OPEN)
    assert after_quiet.ended == replace(quiet, followed_at=alarm.at, version=quiet.version + 1)
    assert after_quiet.ended.progress is Progress.CLOSED
    assert (after_closed.latest is not None, after_closed.ended) == (True, None)


@pytest.mark.parametrize(("minutes", "joins"), [(4, True), (59, True), (61, False)])
def test_a_further_alarm_s_ok_joins_for_an_hour(minutes: int, joins: bool) -> None:
    closed = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=60)]
    )

    later = absorbed([alarm_ok(Tier.WARNING, minute=5 + minutes, used=31)], closed)

    assert (later.id == closed.id) is joins
    assert later.matters is joins
    assert not joins or later.closed_at == closed.closed_at


def test_a_late_entry_joins_what_is_closed_and_it_stays_closed() -> None:
    closed = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=31)]
    )

    incident = absorbed(
        [an_attempt(minute=2, before=97, after=96, escalation="10 attempts")], closed
    )

    assert (incident.id, incident.closed_at, incident.attempts) == (closed.id, closed.closed_at, 1)


@pytest.mark.parametrize(
    ("entries", "hours", "joins"),
    [
        ([in_alarm(Tier.WARNING, minute=0, used=77)], 20, True),
        ([in_alarm(Tier.WARNING, minute=0, used=77)], 25, False),
        ([in_alarm(Tier.WARNING, minute=0, used=77), recovered(minute=1)], 0.9, True),
        ([in_alarm(Tier.WARNING, minute=0, used=77), recovered(minute=1)], 1.1, False),
        ([locked_out(minute=0)], 0.9, True),
        ([a_failure(minute=0)], 1.1, False),
        ([an_entry(minute=0, used=97, escalation="refused")], 0.9, True),
        ([an_entry(minute=0, used=97, escalation="refused")], 1.1, False),
    ],
    ids=[
        "open",
        "for a day",
        "recovering",
        "recovered long ago",
        "locked out",
        "a failure long ago",
        "escalated without an alarm",
        "escalated without an alarm long ago",
    ],
)
def test_what_has_become_quiet_is_left_as_it_was(
    entries: list[Entry], hours: float, joins: bool
) -> None:
    quiet = absorbed(entries)

    later = absorbed([in_alarm(Tier.CRITICAL, minute=2 + 60 * hours, used=95)], quiet)

    assert (later.id == quiet.id) is joins


def test_a_recovery_closes_what_people_were_notified_of_however_much_later() -> None:
    escalated = absorbed([an_entry(minute=0, used=97, escalation="refused")])

    over = absorbed([recovered(minute=3000)], escalated)

    assert (over.id, over.opened_at, over.progress) == (escalated.id, NOW, Progress.CLOSED)


def shape(incident: Incident) -> Incident:
    """But for what depends on which delivery came first."""
    return replace(incident, id="", version=0)


def test_every_order_of_a_story_gives_the_same_incident() -> None:
    story = a_whole_story()

    assert {shape(absorbed(order)) for order in permutations(story)} == {shape(absorbed(story))}


_MIDDLES = st.lists(
    st.sampled_from(
        [
            lambda minute: in_alarm(Tier.WARNING, minute=minute, used=77),
            lambda minute: in_alarm(Tier.CRITICAL, minute=minute, used=60),
            lambda minute: an_attempt(minute=minute, before=97, after=90),
            lambda minute: an_attempt(minute=minute, before=97, after=60),
            lambda minute: an_entry(minute=minute, used=97, escalation="hourly cap"),
            lambda minute: alarm_ok(Tier.CRITICAL, minute=minute, used=80),
            lambda minute: recovered(minute=minute),
            lambda minute: locked_out(minute=minute),
            lambda minute: a_failure(minute=minute, alarm=an_alarm(Tier.CRITICAL)),
        ]
    ),
    max_size=8,
)


_ENDS = st.lists(
    st.sampled_from(
        [
            lambda minute: alarm_ok(Tier.CRITICAL, minute=minute, used=60),
            lambda minute: alarm_ok(Tier.WARNING, minute=minute, used=31),
            lambda minute: recovered(minute=minute),
        ]
    ),
    max_size=3,
)


@settings(max_examples=300)
@given(st.data(), _MIDDLES, _ENDS)
def test_any_order_and_any_repetition_gives_the_same_incident(
    data: st.DataObject, middles: list[Any], ends: list[Any]
) -> None:
    """While the warning alarm, which began it, is on: where it ends depends on what is known by
    then.
    """
    middles = [lambda minute: in_alarm(Tier.WARNING, minute=minute, used=77), *middles]
    story = [make(minute) for minute, make in enumerate([*middles, *ends])]
    repeated = story + data.draw(st.lists(st.sampled_from(story), max_size=5))

    shuffled = absorbed([story[0], *data.draw(st.permutations(repeated))])

    assert shape(shuffled) == shape(absorbed(story))
    assert shuffled.version == len(story)
    assert timeline_of(shuffled) == timeline_of(absorbed(story))


def test_a_repeated_delivery_is_the_same_incident_itself() -> None:
    incident = absorbed(a_whole_story()[:3])

    assert absorbed(incident.entries, incident) is incident


def test_a_weekend_of_lock_outs_stays_small_and_is_counted_in_full_and_once() -> None:
    start = in_alarm(Tier.CRITICAL, minute=0, used=97)
    attempt = an_attempt(minute=1, before=97, after=90)
    weekend = [locked_out(minute=minute) for minute in range(2, 2882)]

    incident = absorbed([start, attempt, *weekend])

    assert len(incident.entries) == MOST_ENTRIES
    assert incident.entries[:2] == (start, attempt)
    assert sentences(incident)[-1].endswith("(2880 times until 03:01 UTC)")
    assert absorbed(weekend, incident) is incident


def test_an_alarm_that_flaps_for_hours_stays_small_and_loses_no_count() -> None:
    def turn(minute: int) -> list[Entry]:
        return [
            an_attempt(minute=minute, before=97, after=88, alarm=an_alarm(Tier.CRITICAL)),
            alarm_ok(Tier.CRITICAL, minute=minute + 1, used=85),
        ]

    warning = in_alarm(Tier.WARNING, minute=0, used=80)
    incident = absorbed(
        [warning, *(entry for minute in range(0, 400, 2) for entry in turn(minute))]
    )

    assert len(incident.entries) == MOST_ENTRIES
    assert incident.beginnings >= 200
    assert (incident.attempts, incident.terminated) == (200, (a_group(1800),))
    assert (incident.opened_at, incident.progress) == (NOW, Progress.OPEN)
