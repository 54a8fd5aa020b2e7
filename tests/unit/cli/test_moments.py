"""People name times as they think of them."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from connection_guard.cli.terminal.moments import Moment


def read(text: str) -> datetime:
    return Moment().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T03:00", datetime(2026, 11, 20, 3, tzinfo=UTC)),
        ("2026-11-20T03:00:00+02:00", datetime(2026, 11, 20, 1, tzinfo=UTC)),
    ],
)
def test_a_date_or_time_is_utc_unless_it_says_otherwise(text: str, time: datetime) -> None:
    assert read(text) == time


def test_how_long_ago_is_before_now() -> None:
    ago = timedelta(hours=36)
    before = datetime.now(UTC)
    time = read("36h")
    assert before - ago <= time <= datetime.now(UTC) - ago


@pytest.mark.parametrize("text", ["", "yesterday", "30", "2026-13-01", "99999999999d", "-1d x"])
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(click.BadParameter, match="such as 30d"):
        read(text)
