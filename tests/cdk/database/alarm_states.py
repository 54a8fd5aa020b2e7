"""The alarms of a template, and the datapoints that they are evaluated on."""

from collections.abc import Mapping

from doubles.aws.cloudwatch_metric_math import Metric, MetricStat, Series
from tests.cdk.template import Properties, Template

NOW = 100


def alarm(template: Template, what: str) -> Properties:
    alarms = template.of("AWS::CloudWatch::Alarm").values()
    [found] = [
        each for each in alarms if each.get("AlarmName") == f"connection-guard-orders-{what}"
    ]
    return found


def seen(series: Mapping[tuple[str, str, str], Series]) -> Metric:
    """Return what CloudWatch knows: these series, and no other."""

    def metric(stat: MetricStat) -> Series:
        dimensions = " ".join(f"{name}={value}" for name, value in sorted(stat.dimensions.items()))
        assert stat.period == 60
        return series.get((stat.namespace, stat.name, dimensions), {})

    return metric


def steadily(value: float, since: int = NOW - 10, until: int = NOW) -> Series:
    """Return the same value for every minute."""
    return dict.fromkeys(range(since, until + 1), value)


def lately(*values: float | None) -> Series:
    """Return the latest values, the newest of them now; None is a missing datapoint."""
    first = NOW + 1 - len(values)
    return {first + index: value for index, value in enumerate(values) if value is not None}


def responders(of: Template) -> list[str]:
    return [
        name
        for name, properties in of.of("AWS::Lambda::Function").items()
        if properties["Handler"] == "responder.handler.lambda_handler"
    ]
