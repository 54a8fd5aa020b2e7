"""What AWS does in the benchmark of the time to relief, by the second."""

import json
from typing import Any

from benchmarks.scene.play import Play
from benchmarks.scene.signals import SECONDS_TO_PUBLISH, Heartbeats, Signals, UsageAlarms

USABLE, CALM, FULL = 50, 20, 50


def an_alarm(percent: float, needed: int, periods: int) -> dict[str, Any]:
    used, usable = (
        {
            "Id": identifier,
            "MetricStat": {
                "Metric": {"Namespace": "Test", "MetricName": name, "Dimensions": []},
                "Stat": "Maximum",
                "Period": 60,
            },
            "ReturnData": False,
        }
        for identifier, name in {"used": "DatabaseConnections", "usable": "Usable"}.items()
    )
    return {
        "AlarmName": "test",
        "EvaluationPeriods": periods,
        "DatapointsToAlarm": needed,
        "Threshold": percent,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "missing",
        "Metrics": [used, usable, {"Id": "share", "Expression": "100 * used / usable"}],
    }


CRITICAL, WARNING = an_alarm(90, 1, 1), an_alarm(75, 2, 3)


def notified(signals: Signals, full_from: int, full_until: int = 10_000) -> list[tuple[int, str]]:
    """Return the second and the state of each notification in ten minutes."""
    return [
        (second, json.loads(event["Records"][0]["Sns"]["Message"])["NewStateValue"])
        for second in range(600)
        for event in signals(second, FULL if full_from <= second < full_until else CALM)
    ]


def test_an_alarm_goes_off_once_its_datapoint_is_published_and_evaluated() -> None:
    # Counted at 70 s, published 30 s later, evaluated at 105 s.
    signals = UsageAlarms({"critical": CRITICAL}, USABLE, counted_at=10, evaluated_at=45)
    assert SECONDS_TO_PUBLISH == 30
    assert notified(signals, full_from=11) == [(105, "ALARM")]


def test_a_datapoint_that_is_published_too_late_waits_for_the_next_evaluation() -> None:
    signals = UsageAlarms({"critical": CRITICAL}, USABLE, counted_at=10, evaluated_at=39)
    assert notified(signals, full_from=10) == [(99, "ALARM")]


def test_the_second_of_three_datapoints_sets_off_the_warning() -> None:
    signals = UsageAlarms({"warning": WARNING}, USABLE, counted_at=10, evaluated_at=45)
    assert notified(signals, full_from=10) == [(105, "ALARM")]


def test_an_alarm_that_clears_is_notified_of_too() -> None:
    signals = UsageAlarms({"critical": CRITICAL}, USABLE, counted_at=10, evaluated_at=45)
    assert notified(signals, full_from=10, full_until=100) == [(45, "ALARM"), (165, "OK")]


def test_a_heartbeat_comes_each_minute_however_late_the_last_one_was() -> None:
    on_time, late = Heartbeats(), Heartbeats(late=10, seed=1)
    assert [second for second in range(300) if on_time(second, CALM)] == [0, 60, 120, 180, 240]
    delays = [second % 60 for second in range(300) if late(second, CALM)]
    assert len(delays) == 5
    assert len(set(delays)) > 2
    assert max(delays) <= 10


def test_a_ramp_brings_its_percentage_per_minute_and_a_step_more_than_there_is_room_for() -> None:
    ramp = Play(Heartbeats(), percent=74, begins=30, per_minute=15)
    assert [ramp.arrived(second) for second in (0, 30, 90, 150)] == [0, 1, 8, 16]
    assert ramp.seconds_to_full == 30 + 60 * 26 / 15
    step = Play(Heartbeats(), percent=40, begins=30)
    assert step.arrived(29) == 0
    assert step.arrived(30) > USABLE - CALM
