"""One run at a time calls a channel: in DynamoDB, and in the twin in memory that plays it."""

from datetime import datetime, timedelta

import pytest

from connection_guard.adapters.aws.lane_table import LaneState, LaneTable
from connection_guard.adapters.aws.table import Table, Update
from connection_guard.core.incident.item import lane_key
from connection_guard.core.notification.channel.notified import PostedMessage
from connection_guard.core.notification.channel.storm import Opening, Storm, StormMember
from tests.support.builders import NOW

HELD_FOR = timedelta(seconds=25)
MOMENT = timedelta(milliseconds=1)

STORM = Storm(
    "C123",
    (Opening("orders", NOW),),
    PostedMessage("C123", "1.5"),
    (StormMember("orders", "critical", "97 of 97"), StormMember("users", "resolved", "")),
    is_shown=False,
    edited_at=NOW,
)


def claim(
    lanes: LaneTable,
    holder: str,
    *,
    channel: str = "slack",
    now: datetime = NOW,
    ready_by: datetime | None = None,
) -> LaneState | None:
    return lanes.claim(
        channel, holder, now=now, until=now + HELD_FOR, ready_by=ready_by or now + HELD_FOR
    )


def keep(
    lanes: LaneTable,
    holder: str,
    *,
    until: datetime = NOW + HELD_FOR,
    ready_at: datetime = NOW,
    storms: tuple[Storm, ...] = (),
) -> bool:
    return lanes.keep("slack", holder, until=until, ready_at=ready_at, storms=storms)


def release(
    lanes: LaneTable,
    holder: str,
    *,
    wanted: int | None = None,
    ready_at: datetime = NOW,
    storms: tuple[Storm, ...] = (),
) -> bool:
    return lanes.release("slack", holder, ready_at=ready_at, storms=storms, wanted=wanted)


def test_a_lane_that_nobody_has_used_is_free_and_ready_now(lanes: LaneTable) -> None:
    assert claim(lanes, "first") == LaneState(NOW, (), 0)


def test_a_lane_has_one_holder_until_it_is_released(lanes: LaneTable) -> None:
    assert claim(lanes, "first")
    assert claim(lanes, "second") is None

    assert release(lanes, "first")
    assert claim(lanes, "second")
    assert claim(lanes, "first") is None


def test_the_lanes_of_two_channels_do_not_know_each_other(lanes: LaneTable) -> None:
    lanes.want("incidents")

    assert claim(lanes, "first")
    assert claim(lanes, "second", channel="incidents") == LaneState(NOW, (), 1)
    assert lanes.wanted("slack") == 0


def test_a_dead_holder_s_lane_is_free_once_its_time_is_over(lanes: LaneTable) -> None:
    assert claim(lanes, "dead")

    assert claim(lanes, "second", now=NOW + HELD_FOR - MOMENT) is None
    assert claim(lanes, "second", now=NOW + HELD_FOR)


def test_a_holder_that_keeps_its_lane_has_it_for_longer(lanes: LaneTable) -> None:
    assert claim(lanes, "first")
    assert keep(lanes, "first", until=NOW + 2 * HELD_FOR)

    assert claim(lanes, "second", now=NOW + HELD_FOR) is None
    assert claim(lanes, "second", now=NOW + 2 * HELD_FOR)


def test_a_holder_that_was_too_slow_has_lost_its_lane(lanes: LaneTable) -> None:
    assert claim(lanes, "slow")
    assert claim(lanes, "second", now=NOW + HELD_FOR)

    assert not keep(lanes, "slow", ready_at=NOW + 9 * HELD_FOR, storms=(STORM,))
    late = NOW + 9 * HELD_FOR
    assert release(lanes, "slow", ready_at=late, storms=(STORM,)), "it is another's"
    assert release(lanes, "slow", ready_at=late, storms=(STORM,), wanted=0)
    assert claim(lanes, "third", now=NOW + HELD_FOR) is None
    assert keep(lanes, "second"), "what the slow one did changed nothing"
    assert release(lanes, "second")
    assert claim(lanes, "third") == LaneState(NOW, (), 0)


@pytest.mark.parametrize("before", [0, 2], ids=["never wanted before", "wanted before"])
def test_a_lane_that_was_wanted_is_released_only_after_another_look(
    lanes: LaneTable, before: int
) -> None:
    for _ in range(before):
        lanes.want("slack")
    state = claim(lanes, "first")
    assert state is not None
    assert state.wanted == before

    assert claim(lanes, "second") is None
    lanes.want("slack")

    assert not release(lanes, "first", wanted=before)
    assert claim(lanes, "second") is None, "it is still the first one's"
    wanted = lanes.wanted("slack")
    assert wanted == before + 1
    assert release(lanes, "first", wanted=wanted)
    assert claim(lanes, "second") == LaneState(NOW, (), before + 1)


def test_a_lane_is_released_although_it_was_wanted_where_the_next_run_goes_on(
    lanes: LaneTable,
) -> None:
    assert claim(lanes, "first")
    lanes.want("slack")

    assert release(lanes, "first")
    assert claim(lanes, "second")


def test_a_lane_that_was_never_wanted_is_released(lanes: LaneTable) -> None:
    assert claim(lanes, "first")

    assert release(lanes, "first", wanted=0)


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept before", "only released"])
def test_a_channel_that_may_not_be_called_in_time_is_left_to_a_later_run(
    lanes: LaneTable, *, is_kept: bool
) -> None:
    ready_at = NOW + timedelta(minutes=1)
    assert claim(lanes, "first")
    if is_kept:
        assert keep(lanes, "first", ready_at=ready_at)
        assert claim(lanes, "second", now=NOW + HELD_FOR, ready_by=ready_at - MOMENT) is None
    assert release(lanes, "first", ready_at=ready_at)

    assert claim(lanes, "second", ready_by=ready_at - MOMENT) is None
    state = claim(lanes, "second", ready_by=ready_at)
    assert state is not None
    assert state.ready_at == ready_at


def test_a_lane_remembers_its_storms_for_each_holder(lanes: LaneTable) -> None:
    other = Storm("C456", (Opening("users", NOW),))
    assert claim(lanes, "first")
    assert keep(lanes, "first", storms=(STORM, other))
    lanes.want("slack")
    assert not release(lanes, "first", wanted=0), "it was wanted"

    assert claim(lanes, "second", now=NOW + HELD_FOR) == LaneState(NOW, (STORM, other), 1)
    assert release(lanes, "second", storms=(other,))
    assert claim(lanes, "third") == LaneState(NOW, (other,), 1)


def test_a_lane_that_nobody_has_cannot_be_kept_or_released_by_anybody(lanes: LaneTable) -> None:
    assert not keep(lanes, "first")
    assert release(lanes, "first")
    assert release(lanes, "first", wanted=0)
    assert lanes.wanted("slack") == 0
    assert claim(lanes, "second") == LaneState(NOW, (), 0)


def test_a_lane_whose_storms_cannot_be_read_is_claimed_without_them(table: Table) -> None:
    lanes = LaneTable(table)
    table.update(Update(lane_key("slack"), "SET storms = :storms", {":storms": '[{"a": 1}]'}))

    state = claim(lanes, "first")

    assert state is not None
    assert state.storms == ()
