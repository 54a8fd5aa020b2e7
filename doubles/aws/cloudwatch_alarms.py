"""What CloudWatch makes of an alarm: the state that follows from the datapoints of its expression.

The rules are those of the Amazon CloudWatch User Guide, as far as this project's alarms use them.
Everything else, be it a function, an operator or a property that bears on the result, raises
UnsupportedAlarmError.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from doubles.aws.cloudwatch_metric_math import (
    Metric,
    MetricStat,
    Query,
    UnsupportedAlarmError,
    series_of,
)

# "A higher number of data points than the number specified as Evaluation Periods": the guide gives
# no formula. In its examples the evaluation range is 5 periods for 3.
EXTRA_PERIODS = 2

_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_FOR_PEOPLE = {
    "AlarmName",
    "AlarmArn",
    "AlarmDescription",
    "AlarmConfigurationUpdatedTimestamp",
    "Tags",
}
_ACTIONS = {"ActionsEnabled", "AlarmActions", "OKActions", "InsufficientDataActions"}
_STATE = {
    "StateValue",
    "StateReason",
    "StateReasonData",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
}
_CONDITION = {
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
}
_METRIC = {"Namespace", "MetricName", "Dimensions"}
_SINGLE = "metric"  # the id of an alarm's metric that is not in a list


def state_of(
    alarm: Mapping[str, Any], metric: Metric, now: int, previous: str = "INSUFFICIENT_DATA"
) -> str:
    """Return the state of an alarm that was in state `previous`, once the period that begins in
    minute `now` is measured. Raise UnsupportedAlarmError.
    """
    needed = int(alarm["EvaluationPeriods"])
    to_alarm = int(alarm.get("DatapointsToAlarm", needed))
    if not 1 <= to_alarm <= needed:
        raise UnsupportedAlarmError(f"DatapointsToAlarm: {to_alarm} of {needed}")
    step = _period(_queries(alarm)) // 60
    evaluation_range = range(now - step * (needed + EXTRA_PERIODS - 1), now + 1, step)
    values = datapoints(alarm, metric, evaluation_range)
    if alarm["ComparisonOperator"] not in _BREACHES:
        raise UnsupportedAlarmError(f"ComparisonOperator: {alarm['ComparisonOperator']}")
    breaches, threshold = _BREACHES[alarm["ComparisonOperator"]], float(alarm["Threshold"])
    breaching = [
        breaches(values[minute], threshold) if minute in values else None
        for minute in evaluation_range
    ]
    return _state(breaching, needed, to_alarm, alarm.get("TreatMissingData", "missing"), previous)


def datapoints(alarm: Mapping[str, Any], metric: Metric, minutes: range) -> dict[int, float]:
    """Return what an alarm compares with its threshold, by minute. Raise UnsupportedAlarmError.

    CloudWatch retrieves `minutes`, which step by the alarm's period. An earlier datapoint is not
    retrieved, so FILL(m, REPEAT) does not repeat it.
    """
    queries = _queries(alarm)
    if minutes.step * 60 != _period(queries):
        raise UnsupportedAlarmError(f"Period: {_period(queries)} s, and not {minutes.step} minutes")
    returned = [
        query["Id"]
        for query in alarm.get("Metrics") or [{"Id": _SINGLE}]
        if query.get("ReturnData", True)
    ]
    if len(returned) != 1:
        raise UnsupportedAlarmError(f"ReturnData: of {returned}, and not of one")
    return dict(series_of(returned[0], queries, metric, minutes))


# The state


def _state(
    breaching: Sequence[bool | None], needed: int, to_alarm: int, treat_missing: str, previous: str
) -> str:
    """Return the state by the evaluation range, newest last, None where a datapoint is missing.

    The newest real datapoints decide, as many as are `needed`. TreatMissingData replaces only
    those that the whole range lacks, so a real datapoint in it always counts.
    """
    if treat_missing not in ("missing", "ignore", "breaching", "notBreaching"):
        raise UnsupportedAlarmError(f"TreatMissingData: {treat_missing}")
    real = [point for point in breaching if point is not None][-needed:]
    presumed = needed - len(real) if treat_missing == "breaching" else 0
    if real.count(True) + presumed >= to_alarm:
        return "ALARM"
    if False in real or treat_missing in ("breaching", "notBreaching"):
        return "OK"
    if treat_missing == "ignore":
        return previous
    # "The oldest available breaching datapoint is at least as old as Datapoints to Alarm, and all
    # more recent ones are breaching or missing": ALARM, though too few. Of a younger one today's
    # guide says only that it is no ALARM yet; earlier editions
    # (https://github.com/awsdocs/amazon-cloudwatch-user-guide, 05fd32f) have it in their tables.
    return (
        "ALARM"
        if True in real and len(breaching) - breaching.index(True) >= to_alarm
        else "INSUFFICIENT_DATA"
    )


# The alarm's properties


def _queries(alarm: Mapping[str, Any]) -> dict[str, Query]:
    """Return the queries by id. DescribeAlarms answers with both shapes, one of them empty."""
    written = {name: value for name, value in alarm.items() if value not in (None, "", [])}
    shape = {"Metrics"} if "Metrics" in written else {*_METRIC, "Statistic", "Period"}
    _refuse_others(written, _FOR_PEOPLE | _ACTIONS | _STATE | _CONDITION | shape)
    if "Metrics" not in written:
        return {_SINGLE: _metric_stat(written, written["Statistic"], written["Period"])}
    queries: dict[str, Query] = {}
    for query in written["Metrics"]:
        _refuse_others(
            query,
            {"Id", "Label", "ReturnData", "Expression" if "Expression" in query else "MetricStat"},
        )
        if query["Id"] in queries or not query["Id"][0].islower():
            raise UnsupportedAlarmError(
                f"Id: {query['Id']} twice, or without a lowercase letter first"
            )
        if "Expression" in query:
            queries[query["Id"]] = query["Expression"]
        else:
            stat = query["MetricStat"]
            _refuse_others(stat, {"Metric", "Stat", "Period"})
            _refuse_others(stat["Metric"], _METRIC)
            queries[query["Id"]] = _metric_stat(stat["Metric"], stat["Stat"], stat["Period"])
    return queries


def _metric_stat(metric: Mapping[str, Any], statistic: str, period: int) -> MetricStat:
    dimensions = {
        dimension["Name"]: dimension["Value"] for dimension in metric.get("Dimensions") or ()
    }
    if metric["Namespace"] == "AWS/DynamoDB":
        raise UnsupportedAlarmError(
            "AWS/DynamoDB: its alarms ignore missing data, despite TreatMissingData"
        )
    return MetricStat(metric["Namespace"], metric["MetricName"], dimensions, statistic, period)


def _period(queries: Mapping[str, Query]) -> int:
    """Return the period in seconds. "Each metric must be using the same period"."""
    periods = {query.period for query in queries.values() if isinstance(query, MetricStat)}
    if len(periods) != 1 or min(periods) % 60:
        raise UnsupportedAlarmError(f"Period: {sorted(periods)}, and not one of whole minutes")
    return min(periods)


def _refuse_others(written: Iterable[str], known: set[str]) -> None:
    if others := sorted(set(written) - known):
        raise UnsupportedAlarmError(f"properties: {', '.join(others)}")
