"""What makes the responder run: a heartbeat per minute, or CloudWatch's alarms only."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

from doubles.aws.cloudwatch_alarms import state_of
from doubles.aws.cloudwatch_metric_math import MetricStat, Series
from tests.support.builders import a_heartbeat_event, an_alarm_event

MINUTE = 60.0
# From the moment at which RDS counts the connections until CloudWatch has the datapoint. AWS
# documents no figure. This one flatters the alarms: about two minutes are usual by
# https://docs.datadoghq.com/integrations/guide/cloud-metric-delay/.
SECONDS_TO_PUBLISH = 30.0
# Minutes before the first count that CloudWatch remembers: more than any alarm retrieves.
REMEMBERED = 10

Alarms = Mapping[str, Mapping[str, Any]]
"""The alarms as the template describes them, by ARN."""


Signals = Callable[[float, int], list[dict[str, Any]]]
"""The events that have become due since it was last called, by the seconds of a play and by how
many connections are in use.
"""


class Heartbeats:
    """EventBridge's schedule: an event at each full minute, or up to `late` seconds after it."""

    def __init__(self, late: float = 0.0, seed: float = 0.0) -> None:
        self._late = late
        self._random = Random(seed)  # noqa: S311 - the same minutes every time
        self._minute = 0
        self._next = 0.0

    def __call__(self, seconds: float, _in_use: int) -> list[dict[str, Any]]:
        """Return a heartbeat where one is due."""
        if seconds < self._next:
            return []
        self._minute += 1
        self._next = self._minute * MINUTE + self._random.uniform(0, self._late)
        return [a_heartbeat_event(datetime.now(UTC))]


class UsageAlarms:
    """RDS, which counts the connections once per minute, and CloudWatch, which evaluates the alarms
    once per minute: each at a second of its own.

    The guard's heartbeats have published how many connections are usable.
    """

    def __init__(self, alarms: Alarms, usable: int, counted_at: float, evaluated_at: float) -> None:
        self._alarms = alarms
        self._usable = usable
        self._counted_at = counted_at
        self._evaluated_at = evaluated_at
        self._counts: dict[int, float] = {}
        self._evaluations = 0
        self._states = dict.fromkeys(alarms, "OK")

    def __call__(self, seconds: float, in_use: int) -> list[dict[str, Any]]:
        """Return what SNS delivers where an alarm's state has changed."""
        if not self._counts:  # it has been as calm as now for a while
            self._counts = dict.fromkeys(range(-REMEMBERED, 0), float(in_use))
        minute = max(self._counts) + 1
        if seconds >= self._counted_at + minute * MINUTE:
            self._counts[minute] = float(in_use)
        if seconds < self._evaluated_at + self._evaluations * MINUTE:
            return []
        self._evaluations += 1
        return self._changes(seconds - SECONDS_TO_PUBLISH)

    def _changes(self, published_until: float) -> list[dict[str, Any]]:
        published = {
            minute: count
            for minute, count in self._counts.items()
            if self._counted_at + minute * MINUTE <= published_until
        }

        def metric(stat: MetricStat) -> Series:
            return {
                "DatabaseConnections": published,
                "Usable": dict.fromkeys(published, float(self._usable)),
            }[stat.name]

        events = []
        for arn, alarm in self._alarms.items():
            state = state_of(alarm, metric, max(published), self._states[arn])
            if state != self._states[arn]:
                self._states[arn] = state
                events.append(an_alarm_event(arn, state=state))
        return events
