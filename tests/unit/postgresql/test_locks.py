"""Which session blocks which, from lock rows only; test_observe.py holds the same against
pg_blocking_pids().
"""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.adapters.postgresql.rows.locks import (
    CONFLICTS,
    MOST_BLOCKERS,
    Hold,
    Wait,
    blockers,
)
from tests.support.builders import NOW

SHARE, EXCLUSIVE = "AccessShareLock", "AccessExclusiveLock"


def at(second: int) -> datetime:
    return NOW + timedelta(seconds=second)


def test_a_waiter_is_blocked_by_the_holders_of_a_conflicting_lock_on_the_same_target() -> None:
    holds = [Hold(1, "stock", EXCLUSIVE), Hold(2, "prices", EXCLUSIVE), Hold(3, "stock", SHARE)]
    assert blockers([Wait(9, "stock", SHARE, NOW)], holds) == {9: (1,)}


def test_all_others_queue_behind_a_lock_that_waits() -> None:
    """ALTER TABLE waits for a reader, and new readers wait for ALTER TABLE, though the first does
    not block them.
    """
    waits = [
        Wait(7, "stock", EXCLUSIVE, at(0)),
        Wait(8, "stock", SHARE, at(1)),
        Wait(9, "stock", SHARE, at(2)),
    ]
    assert blockers(waits, [Hold(1, "stock", SHARE)]) == {7: (1,), 8: (7,), 9: (7,)}


def test_a_waiter_is_not_blocked_by_one_behind_it_or_by_itself() -> None:
    waits = [Wait(8, "stock", SHARE, None), Wait(7, "stock", EXCLUSIVE, at(0))]
    assert blockers(waits, [Hold(7, "stock", SHARE)]) == {7: (), 8: (7,)}


def test_no_more_blockers_are_named_than_a_person_can_act_on() -> None:
    holds = [Hold(pid, "stock", SHARE) for pid in range(1000)]
    waits = [Wait(pid, "stock", EXCLUSIVE, at(pid)) for pid in range(2000, 3000)]
    assert {len(pids) for pids in blockers(waits, holds).values()} == {MOST_BLOCKERS}


@pytest.mark.parametrize("mode", CONFLICTS)
def test_conflicts_are_mutual(mode: str) -> None:
    assert all(mode in CONFLICTS[other] for other in CONFLICTS[mode])


@given(
    waits=st.lists(
        st.builds(
            Wait,
            st.integers(1, 9),
            st.sampled_from("ab"),
            st.sampled_from(list(CONFLICTS)),
            st.none(),
        ),
        unique_by=lambda wait: wait.pid,
    ),
    holds=st.lists(
        st.builds(Hold, st.integers(1, 9), st.sampled_from("ab"), st.sampled_from(list(CONFLICTS)))
    ),
)
def test_nobody_blocks_itself_and_every_holder_that_conflicts_is_named(
    waits: list[Wait], holds: list[Hold]
) -> None:
    for wait in waits:
        named = blockers(waits, holds)[wait.pid]
        assert wait.pid not in named
        conflicting = {
            h.pid for h in holds if h.target == wait.target and h.mode in CONFLICTS[wait.mode]
        } - {wait.pid}
        assert conflicting == set(named) or not conflicting
