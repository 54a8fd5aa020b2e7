"""What CloudWatch makes of an alarm: the datapoints of its expression, and the state that follows
from them.

The rules are those of the Amazon CloudWatch User Guide, as many of them as this project's alarms
use. Anything else, be it a function, an operator or a property that bears on the result, raises
UnsupportedAlarmError.

    Metric math
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html Alarm
    evaluation
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html Missing
    data
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import ast
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

Series = Mapping[int, float]
"""Datapoints by the minute in which their period begins; one that is not in it is missing."""

Value = float | Series
"""What an expression gives: in the guide's words a scalar number (S) or a time series (TS)."""


class UnsupportedAlarmError(Exception):
    """The alarm asks for something that this evaluator does not know, or that CloudWatch
    refuses.
    """


@dataclass(frozen=True, slots=True)
class MetricStat:
    """A metric as an alarm reads it; `period` is in seconds. In a template a dimension's value may
    be a reference.
    """

    namespace: str
    name: str
    dimensions: Mapping[str, Any]
    statistic: str
    period: int


Metric = Callable[[MetricStat], Series]
Query = MetricStat | str  # a metric, or an expression over others by their ids

# "A higher number of data points than the number specified as Evaluation Periods": the guide gives
# no formula. In its examples the evaluation range is 5 periods for 3.
EXTRA_PERIODS = 2

_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.LtE: operator.le,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
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
    """The state of an alarm that was in state `previous`, once the period that begins in minute
    `now` is measured.
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
    """What an alarm compares with its threshold, where CloudWatch retrieves `minutes`. They step by
    its period.

    A datapoint before the first of `minutes` is not retrieved, so FILL(m, REPEAT) does not repeat
    it.
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
    return dict(_series(_value(returned[0], queries, metric, minutes)))


# The state


def _state(
    breaching: Sequence[bool | None], needed: int, to_alarm: int, treat_missing: str, previous: str
) -> str:
    """`breaching` is the evaluation range, newest last, None where a datapoint is missing.

    The newest real datapoints decide, as many as are `needed`. TreatMissingData stands in only for
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
    """By id. DescribeAlarms answers with both shapes, the other one empty."""
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
            "AWS/DynamoDB: its alarms ignore missing data, whatever they say"
        )
    return MetricStat(metric["Namespace"], metric["MetricName"], dimensions, statistic, period)


def _period(queries: Mapping[str, Query]) -> int:
    """In seconds. "Each metric must be using the same period"."""
    periods = {query.period for query in queries.values() if isinstance(query, MetricStat)}
    if len(periods) != 1 or min(periods) % 60:
        raise UnsupportedAlarmError(f"Period: {sorted(periods)}, and not one of whole minutes")
    return min(periods)


def _refuse_others(written: Iterable[str], known: set[str]) -> None:
    if others := sorted(set(written) - known):
        raise UnsupportedAlarmError(f"properties: {', '.join(others)}")


# Metric math


def _value(identifier: str, queries: Mapping[str, Query], metric: Metric, minutes: range) -> Value:
    if identifier not in queries:
        raise UnsupportedAlarmError(f"{identifier}: no such id, or an expression that needs itself")
    query = queries[identifier]
    if isinstance(query, MetricStat):
        series = metric(query)
        return {minute: float(series[minute]) for minute in minutes if minute in series}
    others = {name: other for name, other in queries.items() if name != identifier}
    try:
        # The guide gives no precedence; its examples agree with Python's.
        tree = ast.parse(query, mode="eval").body
    except SyntaxError:
        raise UnsupportedAlarmError(query) from None
    return _evaluated(tree, lambda name: _value(name, others, metric, minutes), minutes)


def _evaluated(node: ast.expr, value_of: Callable[[str], Value], minutes: range) -> Value:
    def evaluated(part: ast.expr) -> Value:
        return _evaluated(part, value_of, minutes)

    match node:
        case ast.Constant():
            return _number(node)
        case ast.Name(id=name):
            return value_of(name)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _each(_OPERATORS[type(sign)], evaluated(left), evaluated(right))
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _OPERATORS:
            return _each(_OPERATORS[type(sign)], evaluated(left), evaluated(right))
        case ast.Call(func=ast.Name(id="FILL"), args=[series, ast.Name(id="REPEAT")], keywords=[]):
            return _repeated(_series(evaluated(series)), minutes)
        case ast.Call(
            func=ast.Name(id="FILL"), args=[series, ast.Constant() as filler], keywords=[]
        ):
            # Also where there is no datapoint at all in the range, of which the guide says nothing.
            return dict.fromkeys(minutes, _number(filler)) | dict(_series(evaluated(series)))
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then], keywords=[]):
            return _if(_series(evaluated(condition)), evaluated(then), {})
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise], keywords=[]):
            return _if(_series(evaluated(condition)), evaluated(then), evaluated(otherwise))
    raise UnsupportedAlarmError(ast.unparse(node))


def _each(operation: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Arithmetic or a comparison, minute by minute, wherever one of the two has a datapoint.

    "Missing values in a time series are treated as 0. If the value of a data point causes a
    function to attempt to divide by zero, the data point is dropped." For a comparison: "when only
    one of the time series has a value, the function treats the missing value in the other as 0".
    Hence a missing numerator over a denominator that is there gives 0, not missing. A scalar has no
    datapoints: where the series beside it has none, there is nothing to compute.
    """
    if isinstance(left, float) and isinstance(right, float):
        return float(operation(left, right))
    result = {}
    for minute in sorted(
        {minute for side in (left, right) if not isinstance(side, float) for minute in side}
    ):
        with suppress(ZeroDivisionError):
            result[minute] = float(operation(_at(minute, left), _at(minute, right)))
    return result


def _if(condition: Series, then: Value, otherwise: Value) -> Series:
    """ "Evaluated separately for every timestamp" of the condition; where that has no datapoint,
    the result has none.

    Where it is true and `then` has no datapoint the result is 0; where it is false and `otherwise`
    has none, or is left out (here: has none at all), the datapoint is dropped. So IF(m > 0, ...) is
    missing where m is, even if a missing m were compared as 0: 0 > 0 is false, and dropped as well.
    """
    result = {}
    for minute, holds in condition.items():
        if holds:
            result[minute] = _at(minute, then)
        elif isinstance(otherwise, float) or minute in otherwise:
            result[minute] = _at(minute, otherwise)
    return result


def _repeated(series: Series, minutes: range) -> Series:
    """FILL(m, REPEAT): "the most recent actual value before the missing value". Before the first
    there is none.
    """
    result: dict[int, float] = {}
    for minute in minutes:
        if minute in series or minute - minutes.step in result:
            result[minute] = series[minute] if minute in series else result[minute - minutes.step]
    return result


def _at(minute: int, value: Value) -> float:
    return value if isinstance(value, float) else value.get(minute, 0.0)


def _number(literal: ast.Constant) -> float:
    if isinstance(literal.value, bool) or not isinstance(literal.value, int | float):
        raise UnsupportedAlarmError(repr(literal.value))
    return float(literal.value)


def _series(value: Value) -> Series:
    if isinstance(value, float):
        raise UnsupportedAlarmError(f"{value} where a time series is needed")
    return value
