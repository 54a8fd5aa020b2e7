"""What a channel has been notified of is kept, and can be read by older and newer versions."""

import json
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from connection_guard.core.notification.channel.notified import (
    Notified,
    PostedMessage,
    notified_body,
    notified_of,
)
from tests.support.builders import NOW

MOMENT = timedelta(microseconds=1)

EVERYTHING = Notified(
    version=7,
    due_at=NOW + timedelta(minutes=15),
    news=("critical", "resolved — 😀"),
    news_at=NOW,
    message=PostedMessage("C123", "1763.000100", thread="1763.000001"),
    shown=6,
    details=PostedMessage("C123", "1763.000200"),
    detailed=5,
    replies=("run-1", "run-2"),
    refusals=3,
)


def test_all_of_it_comes_back_as_it_was() -> None:
    assert all(getattr(EVERYTHING, each.name) != each.default for each in fields(Notified))

    assert notified_of(notified_body(EVERYTHING)) == EVERYTHING
    assert notified_of(notified_body(Notified())) == Notified()


@pytest.mark.parametrize("missing", [field.name for field in fields(Notified)])
def test_what_an_older_version_did_not_write_has_its_default(missing: str) -> None:
    written = json.loads(notified_body(EVERYTHING))
    del written[missing]

    read = notified_of(json.dumps(written))

    default = getattr(Notified(), missing)
    assert read == replace(EVERYTHING, **{missing: default})


def test_nothing_written_is_nothing_notified() -> None:
    assert notified_of("{}") == Notified()


def test_what_a_newer_version_wrote_beside_it_is_no_obstacle() -> None:
    written = json.loads(notified_body(EVERYTHING))
    written |= {"acknowledged_at": "2026-11-20T03:00:00+00:00"}
    written["message"] |= {"permalink": "https://example.com"}

    assert notified_of(json.dumps(written)) == EVERYTHING


@pytest.mark.parametrize(
    ("notified", "is_behind"),
    [
        (Notified(), True),
        (Notified(version=1), True),
        (Notified(version=2), False),
        (Notified(version=2, due_at=NOW + MOMENT), False),
        (Notified(version=2, due_at=NOW), True),
        (Notified(version=1, due_at=NOW + MOMENT), True),
        (Notified(version=2, due_at=NOW + MOMENT, refusals=1), False),
        (Notified(version=2, due_at=NOW, refusals=1), True),
        (Notified(version=1, due_at=NOW + MOMENT, refusals=1), True),
    ],
    ids=[
        "never notified",
        "notified of an older version",
        "up to date",
        "news that waits",
        "news that has waited",
        "a new version while older news waits",
        "refused, until it is tried again",
        "refused, and tried again now",
        "refused in an older version",
    ],
)
def test_a_channel_is_behind_where_it_has_something_to_do(
    notified: Notified, is_behind: bool
) -> None:
    assert notified.is_behind(2, NOW) is is_behind


def test_a_channel_that_is_done_is_behind_once_it_is_due_or_something_changes() -> None:
    refused = Notified(version=1, due_at=NOW, refusals=2)

    done = refused.up_to(2)
    waiting = refused.up_to(2, due_at=NOW + MOMENT)

    assert not done.is_behind(2, NOW + timedelta(days=400))
    assert done.is_behind(3, NOW)
    assert not waiting.is_behind(2, NOW)
    assert waiting.is_behind(2, NOW + MOMENT)
    assert (done.refusals, waiting.refusals) == (0, 0)
