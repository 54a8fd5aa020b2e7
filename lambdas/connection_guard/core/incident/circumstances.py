"""What AWS knows about a database from outside: RDS's events, deployments, and how its usage became
so high.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise, takewhile
from statistics import median
from typing import NamedTuple

from connection_guard.core.words import hours_and_minutes

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60

MOST_DEPLOYMENTS = 10
# Shorter names are in too many others: `api` is in `rapid`.
SHORTEST_PART_OF_A_NAME = 4

MINUTE = timedelta(minutes=1)
# Only what happened lately is reported: an earlier peak is another story.
LATELY = timedelta(minutes=30)
# Smaller changes are ordinary: a rise of fewer points, or one that leaves half of the connections
# free.
NOTABLE_RISE = 20.0
NOTABLE_USAGE = 50.0
# A storm of two minutes touches three datapoints if it begins in the middle of a minute, and it
# rises from the datapoint before.
STORM = timedelta(minutes=3)
LEAK = timedelta(hours=1)
HIGH_USAGE = 90.0
LONG_HIGH = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class RdsEvent:
    """A failover, a reboot or a modification, in RDS's own words."""

    at: datetime
    source: str
    message: str


class DeploymentKind(StrEnum):
    """What was done to what, in words that its name follows."""

    ECS_SERVICE = "Update of ECS service"
    LAMBDA_CODE = "Update of Lambda function"
    LAMBDA_CONFIGURATION = "Configuration of Lambda function"
    CODEDEPLOY_APPLICATION = "Deployment of CodeDeploy application"
    DB_INSTANCE = "Modification of DB instance"
    DB_CLUSTER = "Modification of DB cluster"
    DB_PARAMETER_GROUP = "Modification of DB parameter group"
    DB_REBOOT = "Reboot of DB instance"

    @property
    def is_of_a_database(self) -> bool:
        """Return whether it changed a database and not an application."""
        return self in {self.DB_INSTANCE, self.DB_CLUSTER, self.DB_PARAMETER_GROUP, self.DB_REBOOT}


@dataclass(frozen=True, slots=True)
class Deployment:
    """A change that somebody made; `by` is a user's or a role session's name."""

    at: datetime
    what: DeploymentKind
    name: str
    by: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What was read; `usage` is percent of the usable connections per minute, over the last hours,
    None where there is no figure.

    `trend` is one sentence, None where there is nothing to report. `problems` are what could not be
    read, one line each. `looked_at` is when it was last read.
    """

    events: tuple[RdsEvent, ...]
    usage: tuple[tuple[datetime, float | None], ...]
    trend: str | None
    problems: tuple[str, ...]
    deployments: tuple[Deployment, ...] = ()
    looked_at: datetime | None = None


def renewed(before: Circumstances | None, now: Circumstances, opened_at: datetime) -> Circumstances:
    """Return what is new without losing how it began: events and deployments leave the last hour,
    and the rise leaves the last hours' usage.

    CloudTrail shows a deployment minutes after it, so that the one that matters may come only with
    a later look: of too many, those nearest to the incident's opening are kept, and the database's
    own before any.
    """
    events = {*now.events, *(before.events if before else ())}
    deployments = {*now.deployments, *(before.deployments if before else ())}
    nearest = sorted(
        deployments,
        key=lambda each: (not each.what.is_of_a_database, abs(each.at - opened_at), each.name),
    )
    return replace(
        now,
        events=tuple(sorted(events, key=lambda event: event.at)),
        usage=now.usage or (before.usage if before else ()),
        trend=(before.trend if before else None) or now.trend,
        deployments=tuple(
            sorted(nearest[:MOST_DEPLOYMENTS], key=lambda each: (each.at, each.name))
        ),
    )


class Change(NamedTuple):
    """What happened to the database or to an application, as one line of text."""

    at: datetime
    text: str


def changes_in(seen: Circumstances | None) -> tuple[Change, ...]:
    """Return the RDS events and the deployments, the oldest first."""
    if seen is None:
        return ()
    events = (Change(each.at, f"RDS, {each.source}: {each.message}") for each in seen.events)
    deployments = (
        Change(each.at, f"{each.what} {each.name} by {each.by}") for each in seen.deployments
    )
    return tuple(sorted((*events, *deployments)))


def deployment_before(
    seen: Circumstances | None, at: datetime, application: str
) -> Deployment | None:
    """Return the last deployment of what is named like the application, None where there is none.

    A service seldom has exactly the name under which it connects: either may be a part of the
    other. Case, hyphens and underscores do not count.
    """
    return max(
        (
            each
            for each in (seen.deployments if seen else ())
            if each.at <= at
            and not each.what.is_of_a_database
            and _are_alike(each.name, application)
        ),
        key=lambda each: each.at,
        default=None,
    )


def _are_alike(one: str, other: str) -> bool:
    short, long = sorted((_letters_of(one), _letters_of(other)), key=len)
    return short == long or (len(short) >= SHORTEST_PART_OF_A_NAME and short in long)


def _letters_of(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def sparkline(values: Sequence[float | None], most: int = WIDTH) -> str:
    """Return percentages as bars, at most that many, each the highest of its share; a space where
    there is no figure.

    The scale is fixed: the lowest bar is an empty database, and only a full one is the highest.
    """
    width = min(len(values), most)
    shares = (
        values[len(values) * i // width : len(values) * (i + 1) // width] for i in range(width)
    )
    return "".join(
        _bar(max((value for value in share if value is not None), default=None)) for share in shares
    )


def _bar(percent: float | None) -> str:
    if percent is None:
        return " "
    full = len(BARS) - 1
    return BARS[min(max(int(full * percent / 100), 0), full)]


class Point(NamedTuple):
    """Percent of the usable connections at a time."""

    at: datetime
    percent: float


def trend_of(usage: Sequence[tuple[datetime, float | None]]) -> str | None:
    """Return how usage reached its latest level, in a sentence; None where no change is worth
    mentioning.

    `usage` is in percent of the usable connections, the oldest first, about a minute apart. A rise
    is a storm where most of it happened at once, and a leak where it went on for hours without a
    leap; for any other rise the sentence names no cause.
    """
    points = [Point(at, percent) for at, percent in usage if percent is not None]
    if not points:
        return None
    rise = _latest_rise(points)
    if rise[-1].percent >= NOTABLE_USAGE and _height(rise) >= NOTABLE_RISE:
        return _worded(rise)
    high = list(takewhile(lambda point: point.percent >= HIGH_USAGE, reversed(points)))
    lasted = high[0].at - high[-1].at + MINUTE if high else timedelta()
    return (
        f"at {HIGH_USAGE:.0f} % or more for {hours_and_minutes(lasted)}"
        if lasted >= LONG_HIGH
        else None
    )


def _latest_rise(points: Sequence[Point]) -> Sequence[Point]:
    """Return the points from the last low to the first time that usage was as high as it lately
    was; at least one point.
    """
    steps = [later.percent - earlier.percent for earlier, later in pairwise(points)] or [0.0]
    drift = median(steps)
    noise = median(abs(step - drift) for step in steps)
    lately = [index for index, point in enumerate(points) if points[-1].at - point.at <= LATELY]
    peak = max(points[index].percent for index in lately)
    top = next(index for index in lately if points[index].percent >= peak - noise)
    low = top
    for index in reversed(range(top)):
        if points[index].percent >= points[low].percent + NOTABLE_RISE:
            break  # it fell before: what was then is an earlier rise
        if points[index].percent < points[low].percent:
            low = index
    # Points that are as low, or as high, within the noise are left out: a quiet hour before is no
    # part of the rise.
    start = max(
        index
        for index in range(low, top + 1)
        if points[index].percent <= points[low].percent + noise
    )
    end = next(
        index
        for index in range(start, top + 1)
        if points[index].percent >= points[top].percent - noise
    )
    return points[start : end + 1]


def _worded(rise: Sequence[Point]) -> str:
    jump = _jump(rise)
    if _height(jump) >= max(NOTABLE_RISE, _height(rise) / 2):
        within = hours_and_minutes(_length(jump))
        return f"jumped {_from_to(jump)} within {within}: a connection storm"
    if _length(rise) >= LEAK and _is_steady(rise):
        over = hours_and_minutes(_length(rise))
        return f"climbed {_from_to(rise)} over {over}: sessions are leaking"
    return f"rose {_from_to(rise)} over {hours_and_minutes(_length(rise))}"


def _jump(rise: Sequence[Point]) -> Sequence[Point]:
    """Return the steepest stretch that is as short as a storm, without what adds little to it; at
    least one point.
    """
    jumps = [
        rise[first : last + 1]
        for first in range(len(rise))
        for last in range(first, len(rise))
        if rise[last].at - rise[first].at <= STORM
    ]
    highest = max(map(_height, jumps))
    return min((jump for jump in jumps if _height(jump) >= 0.9 * highest), key=_length)


def _is_steady(rise: Sequence[Point]) -> bool:
    """Return whether each quarter of it is higher than the one before, and no step, seen or hidden
    in a gap, is most of it.
    """
    quarters: list[list[float]] = [[], [], [], []]
    for point in rise:
        quarters[min(int(4 * (point.at - rise[0].at) / _length(rise)), 3)].append(point.percent)
    steepest = max(
        _height(_jump(rise)),
        *(later.percent - earlier.percent for earlier, later in pairwise(rise)),
    )
    return (
        all(quarters)
        and all(median(earlier) < median(later) for earlier, later in pairwise(quarters))
        and steepest <= _height(rise) / 3
    )


def _height(points: Sequence[Point]) -> float:
    return points[-1].percent - points[0].percent


def _length(points: Sequence[Point]) -> timedelta:
    return points[-1].at - points[0].at


def _from_to(points: Sequence[Point]) -> str:
    return f"from {points[0].percent:.0f} % to {points[-1].percent:.0f} %"
