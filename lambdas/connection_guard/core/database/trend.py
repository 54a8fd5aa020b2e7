"""What several looks at one server show together: the rate of logins, and when the server will be
full.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connection_guard.core.database.snapshot import Measurement

# Older looks say little about the next minutes.
REMEMBERED_FOR = timedelta(minutes=5)
# Between looks that are closer, a single login would count as a high rate.
LOOKS_APART = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)
# Usage that would take longer to reach the limit goes up and down before that.
LONGEST_FORECAST_MINUTES = 60.0


@dataclass(frozen=True, slots=True)
class Logins:
    """How many clients logged in between two looks: the first at `since`, the second `over` later.

    Meanwhile `abandoned` sessions lost their client, and `fatal` ones ended with an error.
    `by_database` counts the logins to each of the databases that are used most.
    """

    since: datetime
    over: timedelta
    total: int
    abandoned: int
    fatal: int
    by_database: Mapping[str, int]

    def per_minute(self, count: int) -> int:
        """Return the rate that a count between the two looks amounts to."""
        return round(count * (MINUTE / self.over))


def with_look(looks: Iterable[Measurement], latest: Measurement) -> tuple[Measurement, ...]:
    """Return the looks that can be compared with the latest one, which are recent and of the same
    run of the server, and then the latest one.
    """
    kept = [
        look
        for look in looks
        if look.server.started_at == latest.server.started_at
        and timedelta() < latest.taken_at - look.taken_at <= REMEMBERED_FOR
    ]
    if len(kept) > 1 and kept[-1].taken_at - kept[-2].taken_at < LOOKS_APART:
        kept.pop()
    return (*kept, latest)


def logins_lately(looks: Sequence[Measurement]) -> Logins | None:
    """Return the logins up to the latest look, None where there is no earlier one to compare it
    with.
    """
    earlier = _comparable(looks)
    if not earlier or earlier[-1].logins is None or looks[-1].logins is None:
        return None
    before, now = earlier[-1].logins, looks[-1].logins
    total = now.total - before.total
    if total < 0:  # the statistics were reset meanwhile
        return None
    return Logins(
        since=earlier[-1].taken_at,
        over=looks[-1].taken_at - earlier[-1].taken_at,
        total=total,
        abandoned=max(now.abandoned - before.abandoned, 0),
        fatal=max(now.fatal - before.fatal, 0),
        by_database={
            name: max(count - before.by_database[name], 0)
            for name, count in now.by_database.items()
            if name in before.by_database
        },
    )


def minutes_to_full(looks: Sequence[Measurement]) -> float | None:
    """Return when the usable connections run out at the rate of the last minutes, None where they
    do not soon.
    """
    earlier = _comparable(looks)
    if not earlier:
        return None
    first, latest = earlier[0], looks[-1]
    free, opened = latest.capacity.usable - latest.used, latest.used - first.used
    if free <= 0 or opened <= 0:
        return None
    minutes = free / opened * ((latest.taken_at - first.taken_at) / MINUTE)
    return minutes if minutes <= LONGEST_FORECAST_MINUTES else None


def _comparable(looks: Sequence[Measurement]) -> Sequence[Measurement]:
    return [look for look in looks if looks[-1].taken_at - look.taken_at >= LOOKS_APART]
