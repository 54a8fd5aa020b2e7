"""The evaluator against the examples of the Amazon CloudWatch User Guide, and the alarm it is there
for.

Series are written as in the guide, the newest last: "-" is missing, and in its alarm tables X
breaches and 0 does not.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.aws.cloudwatch_alarms import datapoints, state_of
from doubles.aws.cloudwatch_metric_math import Metric, MetricStat, Series, UnsupportedAlarmError

MISSING, IGNORE, BREACHING, NOT_BREACHING = "missing", "ignore", "breaching", "notBreaching"


def series(written: str) -> dict[int, float]:
    points = enumerate(written.replace("X", "1").split())
    return {minute: float(point) for minute, point in points if point != "-"}


def a_stat(name: str, period: int = 60) -> dict[str, Any]:
    metric = {
        "Namespace": "Test",
        "MetricName": name,
        "Dimensions": [{"Name": "Database", "Value": "orders"}],
    }
    return {"Metric": metric, "Stat": "Maximum", "Period": period}


def an_alarm(**changed: object) -> dict[str, Any]:
    """1 of 1 at 1 or more, of the single metric `used`."""
    condition = {
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }
    metric = {
        "Namespace": "Test",
        "MetricName": "used",
        "Dimensions": [],
        "Statistic": "Maximum",
        "Period": 60,
    }
    return {"AlarmName": "test", **condition, **metric, **changed}


def a_math_alarm(*expressions: str, metrics: tuple[str, ...], **changed: object) -> dict[str, Any]:
    """Of the last of "id = expression"."""
    queries: list[dict[str, Any]] = [
        {"Id": name, "MetricStat": a_stat(name), "ReturnData": False} for name in metrics
    ]
    for expression in expressions:
        identifier, _, formula = expression.partition(" = ")
        queries.append(
            {"Id": identifier, "Expression": formula, "ReturnData": expression == expressions[-1]}
        )
    condition = {
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }
    return {"AlarmName": "test", **condition, "Metrics": queries, **changed}


def published(**metrics: Series) -> Metric:
    return lambda stat: metrics[stat.name]


def calculated(expression: str, minutes: int = 5, **metrics: str) -> dict[int, float]:
    alarm = a_math_alarm(f"result = {expression}", metrics=tuple(metrics))
    return datapoints(
        alarm,
        published(**{name: series(written) for name, written in metrics.items()}),
        range(minutes),
    )


# Metric math


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("metric1 < metric2", "0 0 1 0"),
        ("metric1 >= 30", "1 0 0 0"),
        ("metric1 == metric2", "0 0 0 1"),
    ],
)
def test_a_comparison_is_0_or_1_and_takes_what_is_missing_on_one_side_as_0(
    expression: str, result: str
) -> None:
    assert calculated(expression, metric1="30 20 0 0", metric2="20 - 20 -") == series(result)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("m + n", "11 2 30 -"),
        ("m - n", "-9 2 -30 -"),
        ("m * n", "10 0 0 -"),
        ("n / m", "10 0 - -"),
        ("100 * n / m - 1", "999 -1 - -"),
        ("100 * (n - m)", "900 -200 3000 -"),
        ("m / 0", "- - - -"),
        ("m * (6 - 4) / 4", "0.5 1 - -"),
    ],
)
def test_arithmetic_takes_what_is_missing_as_0_and_drops_a_division_by_0(
    expression: str, result: str
) -> None:
    assert calculated(expression, m="1 2 - -", n="10 - 30 -") == series(result)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("IF(metric1, metric2, metric3)", "30 0 20 - -"),
        ("IF(metric1, 5, metric3)", "5 5 20 - -"),
        ("IF(metric1, metric2, 5)", "30 0 5 5 -"),
        ("IF(metric1, metric2)", "30 0 - - -"),
        ("IF(metric1, 1, 2)", "1 1 2 2 -"),
        ("IF(0 - metric1, 1)", "1 1 - - -"),
    ],
)
def test_if_uses_the_datapoints_of_its_condition(expression: str, result: str) -> None:
    values = calculated(
        expression, metric1="1 1 0 0 -", metric2="30 - 0 0 30", metric3="0 0 20 - 20"
    )

    assert values == series(result)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("FILL(m, 7)", "7 7 10 7 30 7"),
        ("FILL(m, REPEAT)", "- - 10 10 30 30"),
        ("FILL(FILL(m, REPEAT), 7)", "7 7 10 10 30 30"),
        ("FILL(empty, REPEAT)", "- - - - - -"),
        ("FILL(FILL(empty, REPEAT), 7.5)", "7.5 7.5 7.5 7.5 7.5 7.5"),
    ],
)
def test_fill_repeats_the_value_before_a_gap_or_puts_a_number(expression: str, result: str) -> None:
    assert calculated(expression, minutes=6, m="- - 10 - 30 -", empty="- - - - - -") == series(
        result
    )


@pytest.mark.parametrize(
    ("expression", "result"), [("m", {7: 3.0}), ("FILL(m, REPEAT)", {7: 3.0, 8: 3.0})]
)
def test_what_was_published_before_the_range_is_not_seen(expression: str, result: Series) -> None:
    alarm = a_math_alarm(f"result = {expression}", metrics=("m",))

    assert datapoints(alarm, published(m={4: 9.0, 7: 3.0}), range(5, 9)) == result


def test_a_range_in_other_steps_than_the_period_raises() -> None:
    with pytest.raises(UnsupportedAlarmError, match="300 s, and not 1 minutes"):
        datapoints(an_alarm(Period=300), published(used={}), range(5))


def test_a_metric_is_asked_for_as_the_alarm_names_it() -> None:
    asked = []

    def metric(stat: MetricStat) -> Series:
        asked.append(stat)
        return {}

    datapoints(
        an_alarm(Namespace="AWS/RDS", MetricName="Used", Statistic="Sum", Period=300),
        metric,
        range(0, 15, 5),
    )
    datapoints(a_math_alarm("result = used", metrics=("used",)), metric, range(3))

    assert asked == [
        MetricStat("AWS/RDS", "Used", {}, "Sum", 300),
        MetricStat("Test", "used", {"Database": "orders"}, "Maximum", 60),
    ]


# The state

GUIDE_3_OF_3 = [
    ("0 - X - X", "OK", "OK", "OK", "OK"),
    ("0 - - - -", "OK", "OK", "OK", "OK"),
    ("- - - - -", "INSUFFICIENT_DATA", "retained", "ALARM", "OK"),
    ("0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("- - X - -", "ALARM", "retained", "ALARM", "OK"),
    # from the text on premature transitions, and the tables of earlier editions
    ("- - - X -", "INSUFFICIENT_DATA", "retained", "ALARM", "OK"),
    ("- - - - X", "INSUFFICIENT_DATA", "retained", "ALARM", "OK"),
    ("X - - - -", "ALARM", "retained", "ALARM", "OK"),
    ("- - - X 0", "OK", "OK", "OK", "OK"),
]
GUIDE_2_OF_3 = [
    ("0 - X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 0 X 0 X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 - X - -", "OK", "OK", "ALARM", "OK"),
    ("- - - - 0", "OK", "OK", "ALARM", "OK"),
    ("- - - X -", "ALARM", "retained", "ALARM", "OK"),
    ("- - - - X", "INSUFFICIENT_DATA", "retained", "ALARM", "OK"),
]


@pytest.mark.parametrize(
    ("to_alarm", "row"),
    [(3, row) for row in GUIDE_3_OF_3] + [(2, row) for row in GUIDE_2_OF_3],
    ids=str,
)
def test_the_tables_of_the_guide_on_missing_data(to_alarm: int, row: tuple[str, ...]) -> None:
    points, *expected = row
    states = []
    for treatment in (MISSING, IGNORE, BREACHING, NOT_BREACHING):
        alarm = an_alarm(
            EvaluationPeriods=3, DatapointsToAlarm=to_alarm, TreatMissingData=treatment
        )
        states.append(state_of(alarm, published(used=series(points)), now=4, previous="retained"))

    assert states == expected


def test_all_datapoints_must_breach_and_missing_ones_are_missing_where_the_alarm_does_not_say() -> (
    None
):
    alarm = an_alarm(EvaluationPeriods=3)

    assert state_of(alarm, published(used=series("0 0 0 X X")), now=4) == "OK"
    assert state_of(alarm, published(used=series("0 0 X X X")), now=4) == "ALARM"
    assert state_of(alarm, published(used={}), now=4, previous="ALARM") == "INSUFFICIENT_DATA"


def test_a_datapoint_counts_until_it_leaves_the_evaluation_range() -> None:
    silent = an_alarm(
        EvaluationPeriods=3, ComparisonOperator="LessThanThreshold", TreatMissingData=BREACHING
    )
    heartbeat = published(used=dict.fromkeys(range(10), 1.0))

    assert [state_of(silent, heartbeat, now) for now in range(9, 16)] == ["OK"] * 5 + ["ALARM"] * 2


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanOrEqualToThreshold", [75, 76]),
        ("GreaterThanThreshold", [76]),
        ("LessThanThreshold", [74]),
        ("LessThanOrEqualToThreshold", [74, 75]),
    ],
)
def test_the_threshold_itself_breaches_where_the_comparison_says_so(
    comparison: str, breaching: list[int]
) -> None:
    alarm = an_alarm(ComparisonOperator=comparison, Threshold=75)

    states = {
        value: state_of(alarm, published(used={0: float(value)}), now=0) for value in (74, 75, 76)
    }

    assert [value for value, state in states.items() if state == "ALARM"] == breaching


def test_a_period_of_five_minutes_has_a_datapoint_every_five_minutes() -> None:
    alarm = an_alarm(EvaluationPeriods=2, Period=300)

    assert state_of(alarm, published(used={10: 1.0, 15: 1.0}), now=15) == "ALARM"
    assert state_of(alarm, published(used={10: 1.0, 15: 0.0}), now=15) == "OK"


@given(
    st.lists(st.booleans(), min_size=7),
    st.sampled_from([MISSING, IGNORE, BREACHING, NOT_BREACHING]),
    st.data(),
)
def test_without_missing_data_the_newest_n_decide_under_every_treatment(
    points: list[bool], treatment: str, data: st.DataObject
) -> None:
    needed = data.draw(st.integers(1, 5))
    to_alarm = data.draw(st.integers(1, needed))
    alarm = an_alarm(
        EvaluationPeriods=needed, DatapointsToAlarm=to_alarm, TreatMissingData=treatment
    )

    state = state_of(
        alarm, published(used=dict(enumerate(map(float, points)))), now=len(points) - 1
    )

    assert state == ("ALARM" if sum(points[-needed:]) >= to_alarm else "OK")


# The alarm that it is for

UTILISATION = a_math_alarm(
    "repeated = FILL(published, REPEAT)",
    "usable = FILL(repeated, 70)",
    "utilisation = IF(connections > 0, 100 * connections / usable)",
    metrics=("connections", "published"),
    Threshold=90,
)

sparse = st.dictionaries(st.integers(0, 9), st.integers(1, 5000).map(float))


@given(connections=sparse, usable=sparse)
def test_utilisation_is_missing_exactly_where_connections_are(
    connections: Series, usable: Series
) -> None:
    metric = published(connections=connections, published=usable)

    assert datapoints(UTILISATION, metric, range(10)).keys() == connections.keys()


def test_utilisation_is_of_the_published_figure_or_else_of_the_computed_one() -> None:
    metric = published(connections=series("35 35 35 - 35"), published=series("- 100 - 50 -"))

    assert datapoints(UTILISATION, metric, range(5)) == series("50 35 35 - 70")


@pytest.mark.parametrize("numerator", ["connections", "FILL(connections, 0)"])
def test_arithmetic_alone_would_report_a_recovery_where_connections_are_missing(
    numerator: str,
) -> None:
    naive = a_math_alarm(
        "usable = FILL(published, 70)",
        f"utilisation = 100 * {numerator} / usable",
        metrics=("connections", "published"),
        Threshold=90,
    )
    metric = published(
        connections=series("70 70 70"), published={}
    )  # then DatabaseConnections stops

    assert [state_of(naive, metric, now) for now in (2, 3)] == ["ALARM", "OK"]
    assert [state_of(UTILISATION, metric, now) for now in (2, 3)] == ["ALARM", "ALARM"]
    assert state_of(UTILISATION, metric, now=5) == "INSUFFICIENT_DATA"


# What raises


@pytest.mark.parametrize(
    "expression",
    [
        "MAX([m, n])",
        "FILL(m, LINEAR)",
        "FILL(m, n)",
        "FILL(5, 0)",
        "FILL(m)",
        "FILL(m, True)",
        "fill(m, 0)",
        "IF(1, m, n)",
        "IF(m)",
        "IF(m, n, n, n)",
        "m > 0 AND n > 0",
        "m > 0 and n > 0",
        "0 < m < 9",
        "m ^ 2",
        "m ** 2",
        "m // 2",
        "m if n else 0",
        "m > 'a'",
        "m > True",
        "unknown",
        "result",
        "m +",
        "5",
        "",
    ],
)
def test_an_expression_that_is_not_understood_raises(expression: str) -> None:
    with pytest.raises(UnsupportedAlarmError):
        calculated(expression, m="1 2 3", n="1 2 3")


def test_expressions_in_a_circle_raise() -> None:
    with pytest.raises(UnsupportedAlarmError, match="needs itself"):
        datapoints(
            a_math_alarm("a = b + 1", "b = a + 1", metrics=("m",)), published(m={}), range(3)
        )


@pytest.mark.parametrize(
    "alarm",
    [
        an_alarm(ExtendedStatistic="p99"),
        an_alarm(Unit="Count"),
        an_alarm(EvaluateLowSampleCountPercentile="ignore"),
        an_alarm(Namespace="AWS/DynamoDB"),
        an_alarm(ComparisonOperator="GreaterThanUpperThreshold"),
        an_alarm(TreatMissingData="Missing"),
        an_alarm(DatapointsToAlarm=2),
        an_alarm(Period=30),
        an_alarm(Metrics=[{"Id": "m", "MetricStat": a_stat("m")}]),
        a_math_alarm("result = m", metrics=("m",), ThresholdMetricId="result"),
        a_math_alarm(metrics=("m",)),
        a_math_alarm("result = m", metrics=("m", "m")),
        a_math_alarm("Result = m", metrics=("m",)),
        {**an_alarm(), "Metrics": None, "Unknown": 1},
        {
            **UTILISATION,
            "Metrics": [{"Id": "m", "MetricStat": a_stat("m"), "AccountId": "123456789012"}],
        },
        {
            **UTILISATION,
            "Metrics": [
                {"Id": "m", "MetricStat": a_stat("m")},
                {"Id": "n", "MetricStat": a_stat("n")},
            ],
        },
        {
            **UTILISATION,
            "Metrics": [
                {"Id": "m", "MetricStat": a_stat("m")},
                {"Id": "n", "MetricStat": a_stat("n", period=300), "ReturnData": False},
            ],
        },
    ],
    ids=str,
)
def test_an_alarm_that_is_not_understood_raises(alarm: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedAlarmError):
        state_of(alarm, lambda _: {}, now=9)


def test_what_describe_alarms_adds_changes_nothing() -> None:
    described = {
        "AlarmArn": "arn:aws:cloudwatch:eu-central-1:1234:alarm:test",
        "StateValue": "OK",
        "OKActions": [],
    }
    metric = published(connections={0: 63.0}, used={0: 1.0}, published={})

    assert state_of({**UTILISATION, **described, "Dimensions": []}, metric, now=0) == "ALARM"
    assert state_of({**an_alarm(), **described, "Metrics": []}, metric, now=0) == "ALARM"
