"""When many databases fail at once, the channel gets one message, with a line per database."""

import pytest

from connection_guard.core.notification.channel.storm import StormMember
from connection_guard.core.notification.slack.slack_storm import storm_message_of
from connection_guard.core.notification.status import Status
from tests.support.reporter.slack import (
    HOSTILE,
    assert_nothing_is_formatted,
    assert_slack_takes,
    formatted,
    shown,
)


def a_member(database: str, status: Status = Status.CRITICAL, line: str = "") -> StormMember:
    return StormMember(database, status, line or "is out of connections: 97 of 97 in use")


def test_a_storm_says_how_many_fail_and_need_action_and_lists_the_worst_first() -> None:
    members = [
        *(a_member(f"db-{number:02}") for number in range(18)),
        *(a_member(f"urgent-{number}", Status.ACTION_REQUIRED) for number in range(5)),
    ]

    message = storm_message_of(members)

    assert message.text == "🔴 23 databases have incidents; 5 need action"
    lines = shown(message).splitlines()
    assert lines[:2] == [
        message.text,
        "🔴 `urgent-0` is out of connections: 97 of 97 in use",
    ]
    assert lines[6] == "🟠 `db-00` is out of connections: 97 of 97 in use"
    assert len(lines) == 24


@pytest.mark.parametrize(
    ("statuses", "text"),
    [
        (
            [Status.CRITICAL, Status.RESOLVED],
            "🟠 1 database has an incident; none needs action, 1 recovered",
        ),
        (
            [Status.ACTION_REQUIRED, Status.WARNING],
            "🔴 2 databases have incidents; 1 needs action",
        ),
        ([Status.RESOLVED, Status.FOLLOWED], "🟢 2 databases recovered"),
    ],
)
def test_the_first_line_counts_those_that_fail_now(statuses: list[Status], text: str) -> None:
    members = [a_member(f"db-{number}", status) for number, status in enumerate(statuses)]

    assert storm_message_of(members).text == text


def test_of_many_databases_those_that_do_not_fit_are_counted() -> None:
    message = storm_message_of([a_member(f"{number:063}", line="&" * 500) for number in range(100)])

    assert_slack_takes(message)
    first, *lines, last = shown(message).splitlines()
    assert first.startswith("🟠 100 databases have incidents")
    assert last == f"… and {100 - len(lines)} more"
    assert lines


def test_no_name_formats_anything() -> None:
    message = storm_message_of([a_member(HOSTILE, line=HOSTILE), a_member("", line=HOSTILE)])

    assert_slack_takes(message)
    for part in formatted(message):
        assert_nothing_is_formatted(part)
