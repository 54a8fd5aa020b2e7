"""Time to relief: how long clients are refused when connections run out, if they are at all.

Everything is real but what AWS does: the responder, PostgreSQL, its clients, and the time.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

from aws_cdk import App

from benchmarks.finding import BenchmarkError, Finding
from benchmarks.scene.play import USABLE, Play, Relief, relief
from benchmarks.scene.signals import MINUTE, Alarms, Heartbeats, UsageAlarms
from connection_guard_cdk.stack import ConnectionGuardStack
from tests.support.builders import CRITICAL_ALARM, WARNING_ALARM
from tests.support.configurations import a_configuration

SERVERS_AT_ONCE = 14
CALM, WATCHED, BELOW_WARNING = 40.0, 80.0, 74.0
SECONDS_LATE = 10.0
# How many ramps of each steepness, in percent of the usable connections per minute.
RAMPS = {2.0: 1, 5.0: 2, 15.0: 4}

MOST_SECONDS_MEDIAN = 35
MOST_SECONDS = 65


def measure_time_to_relief(rounds: int) -> list[Finding]:
    """Measure steps at moments that are spread over the minute, and ramps. One round is a single
    step that the guard is already watching for.
    """
    if rounds == 1:
        [watched] = _played([[Play(Heartbeats(), WATCHED, begins=3.0)]])
        return [_step_while_watched(watched)]
    random = Random(1)  # noqa: S311 - the same moments every time
    few = rounds // 3
    step, step_by_alarms, late, watched, *ramps = _played(
        [
            _by_heartbeats(rounds, CALM, random),
            _by_alarms(rounds // 2, CALM, random),
            _by_heartbeats(few, CALM, random, late=SECONDS_LATE),
            _by_heartbeats(few, WATCHED, random),
            *(
                _by_heartbeats(count, BELOW_WARNING, random, slope)
                for slope, count in RAMPS.items()
            ),
            *(_by_alarms(count, BELOW_WARNING, random, slope) for slope, count in RAMPS.items()),
        ]
    )
    return [
        *_steps(step, step_by_alarms),
        _unjudged(f"the same step, heartbeats up to {SECONDS_LATE:.0f} s late", late),
        _step_while_watched(watched),
        *map(_ramp, RAMPS, ramps[: len(RAMPS)], ramps[len(RAMPS) :]),
    ]


def _by_heartbeats(
    count: int,
    percent: float,
    random: Random,
    per_minute: float | None = None,
    *,
    late: float = 0.0,
) -> list[Play]:
    return [
        Play(Heartbeats(late, seed=at), percent, at, per_minute) for at in _moments(count, random)
    ]


def _by_alarms(
    count: int, percent: float, random: Random, per_minute: float | None = None
) -> list[Play]:
    alarms = _usage_alarms()
    counted, evaluated = _moments(count, random), _moments(count, random)
    random.shuffle(evaluated)
    return [
        Play(UsageAlarms(alarms, USABLE, counted_at, evaluated_at), percent, 1.0, per_minute)
        for counted_at, evaluated_at in zip(counted, evaluated, strict=True)
    ]


def _moments(count: int, random: Random) -> list[float]:
    """Return random moments of a minute, one in each of `count` equal parts of it."""
    return [MINUTE * (part + random.random()) / count for part in range(count)]


@cache
def _usage_alarms() -> Alarms:
    """Return the alarms on DatabaseConnections as the stack deploys them."""
    with TemporaryDirectory() as folder:
        app = App(outdir=folder, analytics_reporting=False)
        ConnectionGuardStack(app, a_configuration())
        app.synth()
        templates = [json.loads(path.read_text()) for path in Path(folder).glob("*.template.json")]
    named = {
        str(resource["Properties"].get("AlarmName")): resource["Properties"]
        for template in templates
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    return {
        arn: next(alarm for name, alarm in named.items() if name.endswith(f"-{what}"))
        for what, arn in {"warning": WARNING_ALARM, "critical": CRITICAL_ALARM}.items()
    }


def _played(groups: Sequence[Sequence[Play]]) -> list[list[Relief]]:
    """Return how the plays of each group ended. The longest begin first."""
    plays = sorted(
        (play for group in groups for play in group),
        key=lambda play: play.seconds_to_full,
        reverse=True,
    )
    with ThreadPoolExecutor(SERVERS_AT_ONCE) as threads:
        ends = zip(plays, threads.map(relief, plays), strict=True)
        shown = {play: end for play, end in ends if end is not None}
    if lost := len(plays) - len(shown):
        raise BenchmarkError(f"time to relief: {lost} times the guard made no room in 5 minutes")
    return [[shown[play] for play in group] for group in groups]


def _steps(ours: Sequence[Relief], bare: Sequence[Relief]) -> list[Finding]:
    typical, most = _median(ours), _most(ours)
    return [
        Finding(
            f"time to relief after a step from {CALM:.0f} %, median; bare: by alarms only",
            _seconds(ours),
            _seconds(bare),
            f"{typical / _median(bare):.3f}",
            f"< {MOST_SECONDS_MEDIAN} s",
            typical < MOST_SECONDS_MEDIAN,
        ),
        Finding(
            "the same step, longest",
            f"{most:.0f} s",
            f"{_most(bare):.0f} s",
            f"{most / _most(bare):.3f}",
            f"<= {MOST_SECONDS} s",
            most <= MOST_SECONDS,
        ),
    ]


def _step_while_watched(ours: Sequence[Relief]) -> Finding:
    return _unjudged(f"time to relief after a step from {WATCHED:.0f} %", ours)


def _unjudged(what: str, ours: Sequence[Relief]) -> Finding:
    return Finding(what, _seconds(ours), "", "", "", is_met=True)


def _ramp(per_minute: float, ours: Sequence[Relief], bare: Sequence[Relief]) -> Finding:
    return Finding(
        f"clients refused on a ramp of {per_minute:.0f} % per minute; bare: by alarms only",
        _refused(ours),
        _refused(bare),
        "",
        "none",
        not any(each.refused for each in ours),
    )


def _refused(plays: Sequence[Relief]) -> str:
    """Return the worst play of these."""
    if most := max(each.refused for each in plays):
        return str(most)
    return f"none (at most {max(each.peak_percent for each in plays):.0f} % in use)"


def _seconds(plays: Sequence[Relief]) -> str:
    shortest = min(each.seconds for each in plays)
    return f"{_median(plays):.0f} s ({shortest:.0f} to {_most(plays):.0f})"


def _median(plays: Sequence[Relief]) -> float:
    return median(each.seconds for each in plays)


def _most(plays: Sequence[Relief]) -> float:
    return max(each.seconds for each in plays)
