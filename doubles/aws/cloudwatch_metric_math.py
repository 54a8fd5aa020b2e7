"""CloudWatch metric math: the time series of an alarm's expression.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import operator
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

Series = Mapping[int, float]
"""Datapoints by the minute in which their period begins; one that is not in it is missing."""

Value = float | Series
"""The result of an expression: in the guide's words a scalar number (S) or a time series (TS)."""


class UnsupportedAlarmError(Exception):
    """The alarm uses something that this evaluator does not support, or that CloudWatch refuses."""


@dataclass(frozen=True, slots=True)
class MetricStat:
    """A metric as an alarm reads it; `period` is in seconds. In a template, a dimension's value may
    be a reference.
    """

    namespace: str
    name: str
    dimensions: Mapping[str, Any]
    statistic: str
    period: int


Metric = Callable[[MetricStat], Series]
Query = MetricStat | str  # a metric, or an expression over others by their ids

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


def series_of(
    identifier: str, queries: Mapping[str, Query], metric: Metric, minutes: range
) -> Series:
    """Return the time series of the query with this id. Raise UnsupportedAlarmError where it is a
    scalar, or where the expression is not supported.
    """
    return _series(_value(identifier, queries, metric, minutes))


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
            # The guide does not mention a range without any datapoint; it is filled, too.
            return dict.fromkeys(minutes, _number(filler)) | dict(_series(evaluated(series)))
        case ast.Call(func=ast.Name(id="RUNNING_SUM"), args=[series], keywords=[]):
            return _running_sum(_series(evaluated(series)))
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, *others], keywords=[]) if (
            len(others) < 2
        ):
            otherwise = evaluated(others[0]) if others else {}
            return _if(_series(evaluated(condition)), evaluated(then), otherwise)
    raise UnsupportedAlarmError(ast.unparse(node))


def _each(operation: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Calculate or compare minute by minute, wherever one of the two has a datapoint.

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
    """Choose "separately for every timestamp" of the condition; where it has no datapoint, the
    result has none.

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
    """Return FILL(m, REPEAT): "the most recent actual value before the missing value". Before the
    first there is none.
    """
    result: dict[int, float] = {}
    for minute in minutes:
        if minute in series or minute - minutes.step in result:
            result[minute] = series[minute] if minute in series else result[minute - minutes.step]
    return result


def _running_sum(series: Series) -> Series:
    """Return RUNNING_SUM(m): "the running sum of the values in the original time series"."""
    minutes = sorted(series)
    return dict(zip(minutes, accumulate(series[minute] for minute in minutes), strict=True))


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
