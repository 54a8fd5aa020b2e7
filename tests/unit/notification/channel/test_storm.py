"""Nine databases that fail at once are shown apart, and ten in one message."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from connection_guard.core.notification.channel.notified import PostedMessage
from connection_guard.core.notification.channel.storm import (
    BETWEEN_EDITS,
    MOST_MEMBERS,
    TAKES_MORE_FOR,
    Opening,
    Storm,
    StormMember,
    current_storm,
    storm_of,
    storms_body,
    storms_of,
    with_storm,
)
from tests.support.builders import NOW

SECOND = timedelta(seconds=1)
MINUTES = timedelta(minutes=1)
SUMMARY = PostedMessage("C123", "1.5")


def opened(count: int, *, seconds_apart: float = 1) -> Storm:
    """Return a storm of so many databases, the last of which was posted at NOW."""
    storm = Storm("C123")
    for n in range(count):
        at = NOW - (count - 1 - n) * seconds_apart * SECOND
        storm = storm.with_opening(f"db-{n}", at)
    return storm


def a_member(database: str = "orders", line: str = "97 of 97", **changes: object) -> StormMember:
    return replace(StormMember(database, "critical", line), **changes)  # type: ignore[arg-type]


def summarized(*members: StormMember) -> Storm:
    storm = Storm("C123")
    for member in members or (a_member("orders"), a_member("users")):
        storm = storm.with_member(member)
    return storm.with_summary(SUMMARY, NOW)


def test_nine_databases_are_shown_apart_and_the_tenth_makes_a_summary() -> None:
    assert not opened(8).needs_summary({"ninth"}, NOW)
    assert opened(9).needs_summary({"tenth"}, NOW)


def test_all_that_wait_count_although_none_is_posted_yet() -> None:
    waiting = {f"db-{n}" for n in range(10)}

    assert Storm("C123").needs_summary(waiting, NOW)
    assert not Storm("C123").needs_summary(waiting - {"db-0"}, NOW)


def test_a_database_counts_once_however_often_it_fails() -> None:
    storm = opened(9)
    for _ in range(5):
        storm = storm.with_opening("db-3", NOW)

    assert not storm.needs_summary({"db-3", "db-8"}, NOW)
    assert len(storm.openings) == 9


def test_databases_of_more_than_five_minutes_ago_do_not_count_and_are_forgotten() -> None:
    storm = opened(9)

    assert storm.needs_summary({"tenth"}, NOW - 8 * SECOND + 5 * MINUTES)
    assert not storm.needs_summary({"tenth"}, NOW - 8 * SECOND + 5 * MINUTES + SECOND)
    assert storm.with_opening("later", NOW + 6 * MINUTES).openings == (
        Opening("later", NOW + 6 * MINUTES),
    )


def test_one_failure_a_minute_is_no_storm() -> None:
    storm = opened(100, seconds_apart=60)

    assert not storm.needs_summary({"next"}, NOW + 1 * MINUTES)
    assert len(storm.openings) <= 6


def test_a_storm_has_one_summary() -> None:
    storm = replace(opened(20), message=SUMMARY)

    assert not storm.needs_summary({"next"}, NOW)


def test_a_member_is_shown_as_it_is_now() -> None:
    storm = summarized(a_member("orders"), a_member("users"))

    changed = storm.with_member(a_member("orders", "80 of 97"))

    assert set(changed.members) == {a_member("users"), a_member("orders", "80 of 97")}


def test_the_summary_is_edited_at_most_every_fifteen_seconds() -> None:
    storm = summarized().with_member(a_member("orders", "80 of 97"))

    assert storm.edit_due_at == NOW + BETWEEN_EDITS == NOW + 15 * SECOND
    assert not storm.is_edit_due(NOW + 14 * SECOND)
    assert storm.is_edit_due(NOW + 15 * SECOND)

    edited = storm.with_summary(SUMMARY, NOW + 15 * SECOND).with_member(a_member("next"))
    assert edited.edit_due_at == NOW + 30 * SECOND


@pytest.mark.parametrize(
    "storm",
    [
        Storm("C123"),
        opened(9).with_member(a_member()),
        summarized(),
        summarized().with_member(a_member("users")).with_member(a_member("orders")),
    ],
    ids=["nothing", "no summary yet", "just posted", "nothing has changed"],
)
def test_a_summary_that_shows_what_its_members_do_is_not_edited(storm: Storm) -> None:
    assert storm.edit_due_at is None
    assert not storm.is_edit_due(NOW + 60 * MINUTES)


def test_a_storm_is_over_once_its_summary_shows_that_all_have_ended() -> None:
    storm = replace(summarized(), openings=opened(2).openings)
    half = storm.with_member(a_member("orders", status="resolved")).with_summary(SUMMARY, NOW)
    last = half.with_member(a_member("users", status="resolved"))

    assert half.message == SUMMARY
    assert last.message == SUMMARY, "the summary does not show it yet"
    assert last.edit_due_at == NOW + BETWEEN_EDITS
    over = last.with_summary(SUMMARY, NOW + BETWEEN_EDITS)
    assert over == Storm("C123", storm.openings)


def test_a_storm_comes_back_from_the_table_as_it_was() -> None:
    storms = (
        replace(opened(3), message=SUMMARY, members=(a_member(status="resolved"),), edited_at=NOW),
        summarized().with_member(a_member("next")),
        Storm("C456"),
    )

    assert storms_of(storms_body(storms)) == storms
    assert storms_of("[]") == ()


def test_what_an_older_version_wrote_of_a_storm_can_be_read() -> None:
    written = [{"channel": "C123", "shown": [{"database": "orders"}], "members": []}]

    assert storms_of(json.dumps(written)) == (Storm("C123"),)


def test_a_storm_of_a_thousand_databases_fits_into_the_table() -> None:
    storm = Storm("C123")
    for n in range(1000):
        name = f"{n:x>63}"
        storm = storm.with_opening(name, NOW + n * SECOND / 10)
        storm = storm.with_member(a_member(name, "is running out of connections: " + "x" * 60))
    storm = storm.with_summary(SUMMARY, NOW)

    assert len(storms_body([storm])) < 300_000
    assert len(storm.members) == MOST_MEMBERS


def test_those_that_have_ended_make_room_first() -> None:
    ended = [a_member(f"ended {n}", status="resolved") for n in range(10)]
    failing = [a_member(f"failing {n}") for n in range(MOST_MEMBERS)]

    storm = summarized(*failing[:100], *ended, *failing[100:])

    assert set(storm.members) == set(failing)


def test_what_fails_long_after_a_storm_is_not_part_of_it_though_a_member_has_yet_to_recover() -> (
    None
):
    storm = summarized(a_member("orders")).with_opening("orders", NOW)
    storms = with_storm((), Storm("C123"), storm)

    assert current_storm(storms, "C123", NOW + TAKES_MORE_FOR) == storm
    assert current_storm(storms, "C123", NOW + TAKES_MORE_FOR + SECOND) == Storm("C123")
    assert current_storm(storms, "C456", NOW) == Storm("C456")


def test_an_older_storm_is_kept_up_to_date_beside_a_new_one() -> None:
    old = summarized(a_member("orders")).with_opening("orders", NOW)
    new = replace(summarized(a_member("users")), message=PostedMessage("C123", "1.9"))
    storms = with_storm((old,), Storm("C123"), new)
    reply = PostedMessage("C123", "2.1", thread="1.5")

    assert storm_of(storms, reply) == old
    assert storm_of(storms, replace(reply, thread=None)) is None
    later = old.with_member(a_member("orders", status="resolved"))
    assert set(with_storm(storms, old, later)) == {later, new}


def test_there_is_one_storm_without_a_summary_per_channel() -> None:
    storms: tuple[Storm, ...] = ()
    for n in range(20):
        known = current_storm(storms, "C123", NOW + n * MINUTES)
        storms = with_storm(storms, known, known.with_opening(f"db-{n}", NOW + n * MINUTES))

    (storm,) = storms
    assert [each.database for each in storm.openings] == [f"db-{n}" for n in range(14, 20)]
