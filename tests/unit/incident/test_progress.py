"""How far an incident is after each of its entries."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.progress import Progress
from connection_guard.core.policy import Tier
from tests.support.builders import NOW
from tests.support.reporter.stories import (
    TARGET,
    a_failure,
    a_guard_alarm,
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


def test_progress_changes_at_each_turn() -> None:
    story = a_whole_story()

    progress = [absorbed(story[:entries]).progress for entries in range(1, len(story) + 1)]

    assert progress == [Progress.OPEN] * 4 + [Progress.RECOVERING, Progress.CLOSED]


@pytest.mark.parametrize("last", [Tier.CRITICAL, Tier.WARNING])
@pytest.mark.parametrize("used", [72, 60], ids=["between target and threshold", "below the target"])
def test_it_closes_when_every_alarm_that_it_saw_is_ok_and_not_before(last: Tier, used: int) -> None:
    first = Tier.WARNING if last is Tier.CRITICAL else Tier.CRITICAL
    alarms = [in_alarm(Tier.CRITICAL, minute=0, used=95), in_alarm(Tier.WARNING, minute=1, used=95)]

    one_is_on = absorbed([*alarms, alarm_ok(first, minute=2, used=used)])
    over = absorbed([alarm_ok(last, minute=4, used=used)], one_is_on)

    assert one_is_on.progress is (Progress.OPEN if used > TARGET else Progress.RECOVERING)
    assert (over.progress, over.closed_at) == (Progress.CLOSED, NOW + timedelta(minutes=4))
    assert (
        sentences(over)[-1] == f"{last} alarm cleared: {used} of 100 connections in use; resolved"
    )


def test_of_two_alarms_about_the_guard_the_one_that_is_still_on_is_the_reason() -> None:
    both = [a_guard_alarm(name, "ALARM", minute=n) for n, name in enumerate(("first", "second"))]

    assert absorbed(both).action_required == "second: see the log"
    over = a_guard_alarm("second", "OK", minute=3)
    assert absorbed([*both, over]).action_required == "first: see the log"


@pytest.mark.parametrize(
    ("critical_is_over", "expected"), [(False, Progress.ESCALATED), (True, Progress.CLOSED)]
)
def test_what_an_alarm_requires_counts_after_its_own_ok_only_while_another_alarm_is_on(
    critical_is_over: bool, expected: Progress
) -> None:
    critical = changed(in_alarm(Tier.CRITICAL, minute=0, used=95), 0)
    warning_over = changed(alarm_ok(Tier.WARNING, minute=3, used=60), 3)
    over = [changed(alarm_ok(Tier.CRITICAL, minute=4, used=60), 4)] if critical_is_over else []
    late = changed(in_alarm(Tier.WARNING, minute=5, used=95, escalation="refused"), 1)

    assert absorbed([critical, warning_over, *over, late]).progress is expected


def test_after_an_ok_without_a_look_action_is_required_until_usage_is_down() -> None:
    ok = locked_out(minute=2, alarm=an_alarm(Tier.CRITICAL, "OK"))

    unseen = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95), ok])

    assert unseen.progress is Progress.ESCALATED
    assert absorbed([an_entry(minute=3, used=80)], unseen).progress is Progress.ESCALATED
    assert absorbed([recovered(minute=3)], unseen).progress is Progress.CLOSED


def test_an_alarm_known_only_from_a_failure_is_an_alarm() -> None:
    killed = a_failure(minute=0, alarm=replace(an_alarm(Tier.CRITICAL), tier=None))

    assert absorbed([killed, recovered(minute=2)]).progress is Progress.RECOVERING
    assert (
        absorbed([killed, alarm_ok(Tier.CRITICAL, minute=3, used=72)]).progress is Progress.CLOSED
    )


def test_missing_data_do_not_close_it() -> None:
    blind = an_entry(minute=2, used=95, alarm=an_alarm(Tier.CRITICAL, "INSUFFICIENT_DATA"))

    incident = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95), blind])

    assert incident.progress is Progress.OPEN
    assert (
        absorbed([alarm_ok(Tier.CRITICAL, minute=4, used=72)], incident).progress is Progress.CLOSED
    )


def test_an_ok_that_overtakes_its_alarm_is_its_end() -> None:
    late = changed(an_attempt(minute=4, before=97, after=80, alarm=an_alarm(Tier.CRITICAL)), 0)
    ok = changed(alarm_ok(Tier.CRITICAL, minute=3, used=72), 2)

    for order in permutations([late, ok]):
        incident = absorbed(order)
        assert incident.progress is Progress.CLOSED
        assert incident.terminated

    earlier = [
        in_alarm(Tier.CRITICAL, minute=-20, used=95),
        alarm_ok(Tier.CRITICAL, minute=-10, used=72),
    ]
    assert absorbed([*earlier, ok, late]).progress is Progress.CLOSED, (
        "also where the OK came to the incident before"
    )


def test_neither_an_alarm_that_is_on_nor_its_end_is_ever_too_late() -> None:
    first = absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=10, used=72)]
    )
    second = absorbed([locked_out(minute=12)], first)
    late = [in_alarm(Tier.WARNING, minute=8, used=80), alarm_ok(Tier.WARNING, minute=9, used=72)]

    on = absorbed([late[0], recovered(minute=14)], second)
    ended = absorbed([late[1]], on)

    assert (on.id, on.progress) == (second.id, Progress.RECOVERING)
    assert ended.progress is Progress.CLOSED


def test_alarms_later_than_the_heartbeats_belong_to_what_those_mended_and_change_nothing() -> None:
    mended = absorbed([an_attempt(minute=0, before=97, after=60)])
    late = [
        changed(in_alarm(Tier.CRITICAL, minute=2, used=58), 1),
        changed(in_alarm(Tier.WARNING, minute=3, used=58), 2),
        changed(alarm_ok(Tier.CRITICAL, minute=5, used=40), 5),
    ]

    incident = absorbed(late, mended)

    assert (incident.id, len(incident.entries)) == (mended.id, 4)
    assert (incident.progress, incident.closed_at, incident.beginnings) == (Progress.CLOSED, NOW, 1)


@pytest.mark.parametrize(
    "again",
    [
        changed(in_alarm(Tier.CRITICAL, minute=2, used=95), 1),
        changed(in_alarm(Tier.CRITICAL, minute=11, used=58), 10),
        changed(in_alarm(Tier.CRITICAL, minute=7, used=58), 6),
    ],
    ids=["usage is up again", "long after", "after its OK"],
)
def test_an_alarm_that_is_not_only_late_begins_again(again: Entry) -> None:
    seen = [an_attempt(minute=0, before=97, after=60)]
    if again.at == NOW + timedelta(minutes=7):
        seen += [
            changed(in_alarm(Tier.CRITICAL, minute=2, used=58), 1),
            changed(alarm_ok(Tier.CRITICAL, minute=5, used=40), 5),
        ]

    incident = absorbed([*seen, again])

    assert incident.progress is not Progress.CLOSED
    assert incident.beginnings == 2


def test_a_second_shortage_that_one_run_ends_is_a_second_beginning_or_another_incident() -> None:
    first = absorbed([an_attempt(minute=0, before=97, after=60)])

    soon = absorbed([an_attempt(minute=14, before=97, after=60)], first)
    later = absorbed([an_attempt(minute=16, before=97, after=60)], first)

    assert (soon.id, soon.progress, soon.beginnings) == (first.id, Progress.CLOSED, 2)
    assert soon.closed_at == NOW + timedelta(minutes=14)
    assert (later.id == first.id, later.progress) == (False, Progress.CLOSED)


def test_a_recovery_closes_an_incident_whose_alarm_has_cleared_before() -> None:
    over_early = alarm_ok(Tier.CRITICAL, minute=2, used=80)

    assert absorbed(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), over_early, recovered(minute=3)]
    ).progress is (Progress.CLOSED)
