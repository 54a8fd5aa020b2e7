"""Whether a heartbeat keeps looking, and when two looks engage it."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.database.capacity import Capacity
from connection_guard.core.decision.course import NextStep, course_of
from connection_guard.core.decision.engagement import (
    Engagement,
    at_present,
    from_text,
    has_to_be_saved,
    ready_to_save,
    to_text,
)
from connection_guard.core.decision.heartbeat_watch import (
    WatchTimes,
    keeps_looking,
    until_next_look,
)
from connection_guard.core.deployment.events import Heartbeat
from connection_guard.core.policy import Tier
from tests.support.builders import NOW, a_measurement, a_policy

TIMES = WatchTimes()
CRITICAL = 90


def after_looks(percents: list[int], known: Engagement | None = None) -> tuple[int, Engagement]:
    """Return how many looks a watch took, until it acted or all were taken, and what it knows."""
    engagement = known or Engagement()
    for number, percent in enumerate(percents, 1):
        course = course_of(
            Heartbeat(NOW),
            a_measurement(used=percent, capacity=Capacity(100, {})),
            engagement,
            [],
            a_policy(),
            warning_percent=75,
            critical_percent=CRITICAL,
            is_stale=False,
            is_watching=number > 1,
            recovery_is_news=False,
        )
        engagement = course.engagement
        if course.step is NextStep.LOOK:
            return number, engagement
    return len(percents), engagement


@given(st.lists(st.integers(0, 120), max_size=30))
def test_any_looks_engage_with_the_second_of_two_in_a_row_at_critical_and_never_before(
    percents: list[int],
) -> None:
    pairs = enumerate(pairwise(percents), 2)
    second = next((number for number, pair in pairs if min(pair) >= CRITICAL), None)

    looks, engagement = after_looks(percents)

    assert looks == (second or len(percents))
    assert engagement.tier is (Tier.CRITICAL if second else None)


def test_usage_that_goes_up_and_down_around_critical_never_engages() -> None:
    assert after_looks([90, 89] * 50)[1].tier is None


def test_a_look_of_the_heartbeat_before_counts_also_where_an_older_version_remembered_it() -> None:
    _, once = after_looks([90])
    written = to_text(ready_to_save(once, NOW))
    assert '"critical_pulses":1' in written

    looks, engaged = after_looks([90], from_text(written))

    assert (looks, engaged.tier) == (1, Tier.CRITICAL)


def test_a_clock_that_jumps_by_hours_forgets_the_look_before() -> None:
    once = ready_to_save(after_looks([95])[1], NOW)

    assert after_looks([95], at_present(once, NOW + timedelta(hours=5)))[1].tier is None
    assert after_looks([95], at_present(once, NOW - timedelta(minutes=5)))[1].tier is not None


@pytest.mark.parametrize(
    ("percent", "watch_from", "keeps"),
    [(75, 75, True), (74, 75, False), (0, 0, True), (99, 100, False), (100, 100, True)],
)
def test_a_heartbeat_keeps_looking_from_the_configured_percentage_on(
    percent: int, watch_from: float, *, keeps: bool
) -> None:
    measurement = a_measurement(used=percent, capacity=Capacity(100, {}))
    assert keeps_looking(measurement, Engagement(), watch_from) is keeps


def test_while_action_is_required_it_keeps_looking_for_the_end() -> None:
    measurement = a_measurement(used=60, capacity=Capacity(100, {}))
    assert keeps_looking(measurement, Engagement(has_escalated=True), 75)


@pytest.mark.parametrize(
    ("percents", "pause"),
    [
        ([80], TIMES.between_looks),
        ([90], TIMES.at_critical),
        ([90, 80], TIMES.between_looks),
        ([80, 95], TIMES.at_critical),
    ],
)
def test_the_look_that_decides_comes_sooner(percents: list[int], pause: timedelta) -> None:
    assert TIMES.at_critical < TIMES.between_looks
    assert until_next_look(after_looks(percents)[1], TIMES) == pause


def test_a_shortage_that_people_know_of_is_looked_at_at_the_usual_pace() -> None:
    notified = after_looks([95, 95], Engagement(has_escalated=True))[1]
    assert until_next_look(notified, TIMES) == TIMES.between_looks


def test_a_shortage_that_people_know_of_changes_nothing_that_has_to_be_saved_again() -> None:
    _, known = after_looks([95, 95], Engagement(has_escalated=True))
    saved = ready_to_save(known, NOW)

    assert not has_to_be_saved(after_looks([95] * 9, saved)[1], saved, NOW + timedelta(minutes=29))
    assert has_to_be_saved(saved, saved, NOW + timedelta(minutes=31)), "it still lasts"


def test_a_watch_ends_where_another_run_has_engaged() -> None:
    assert until_next_look(Engagement(tier=Tier.WARNING), TIMES) is None
