"""What a few looks at the server show together: logins per minute, and the minutes until it is
full.
"""

from dataclasses import replace
from datetime import timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.database.snapshot import LoginStatistics, Measurement
from connection_guard.core.database.trend import logins_lately, minutes_to_full, with_look
from tests.support.builders import NOW, a_measurement, a_server

MINUTE = timedelta(minutes=1)


def a_look(
    minutes: float, used: int = 50, logins: int | None = None, **by_database: int
) -> Measurement:
    """A look at a server with 97 usable connections, so many minutes on."""
    statistics = (
        None
        if logins is None
        else LoginStatistics(logins, logins // 10, logins // 100, by_database)
    )
    return replace(a_measurement(used=used), taken_at=NOW + minutes * MINUTE, logins=statistics)


def looks(*seen: Measurement) -> tuple[Measurement, ...]:
    kept: tuple[Measurement, ...] = ()
    for look in seen:
        kept = with_look(kept, look)
    return kept


def test_logins_are_counted_from_one_heartbeat_to_the_next() -> None:
    logins = logins_lately(
        looks(
            a_look(0, logins=0), a_look(1, logins=1000, shop=900), a_look(2, logins=4400, shop=4200)
        )
    )

    assert logins is not None
    assert (logins.per_minute(logins.total), logins.abandoned, logins.fatal) == (3400, 340, 34)
    assert logins.by_database == {"shop": 3300}


def test_looks_that_follow_at_once_are_compared_with_the_heartbeat_before() -> None:
    seen = looks(*(a_look(second / 60, logins=10 * second) for second in range(0, 90, 5)))

    logins = logins_lately(seen)

    assert logins is not None
    assert logins.per_minute(logins.total) == 600
    assert logins.over >= timedelta(seconds=30)
    assert len(seen) < 6


@given(st.lists(st.floats(2, 19), min_size=16, max_size=150))
def test_looks_of_watches_compare_with_one_of_the_last_minute_however_they_are_spaced(
    pauses: list[float],
) -> None:
    """Two looks within seconds would make a burst of logins a rate, and all looks a long list."""
    seconds = list(accumulate(pauses))
    seen = looks(*(a_look(at / 60, logins=round(600 * at), used=50) for at in seconds))

    logins = logins_lately(seen)

    assert logins is not None
    assert timedelta(seconds=30) <= logins.over < timedelta(seconds=60 + 19)
    assert logins.per_minute(logins.total) == pytest.approx(36_000, rel=0.001)
    assert len(seen) <= 12


@pytest.mark.parametrize(
    "seen",
    [
        (),
        (a_look(1, logins=50),),
        (a_look(0), a_look(1)),
        (a_look(0, logins=5000), a_look(1, logins=10)),
        (a_look(0, logins=10), a_look(7, logins=5000)),
    ],
    ids=["no look", "one look", "before PostgreSQL 15", "statistics were reset", "long ago"],
)
def test_what_cannot_be_compared_gives_no_rate(seen: tuple[Measurement, ...]) -> None:
    assert logins_lately(looks(*seen)) is None


def test_a_restart_begins_again() -> None:
    restarted = replace(a_look(1, used=60, logins=900), server=a_server(started_at=NOW))

    seen = looks(a_look(0, logins=10), restarted)

    assert (logins_lately(seen), minutes_to_full(seen)) == (None, None)


def test_usage_that_grows_says_when_the_server_is_full() -> None:
    assert minutes_to_full(looks(a_look(0, used=61), a_look(1, used=70), a_look(3, used=79))) == 3


@pytest.mark.parametrize(
    "used", [(79, 79), (79, 70), (95, 97), (10, 11)], ids=["level", "ebbing", "full", "far away"]
)
def test_usage_that_is_not_about_to_be_full_says_nothing(used: tuple[int, int]) -> None:
    assert minutes_to_full(looks(a_look(0, used=used[0]), a_look(1, used=used[1]))) is None
