"""What a stack costs per month, in dollars at the list prices of us-east-1 in 2026, which
README.md's table shows.
"""

from collections.abc import Mapping
from typing import Any

from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard.core.report.metric_names import Metric

METRIC = 0.30
METRIC_OF_AN_ALARM = 0.10
HEARTBEATS = 0.05 + 0.07 + 0.10  # of one database: Lambda, their log, their way through SNS
KEY = 1.00
SECRET = 0.40
# 0.015 per hour and vCPU, of which RDS counts two at least, and more for most databases.
SMALLEST_PROXY = 21.90

Resources = Mapping[str, Mapping[str, Any]]


def dollars_per_month(resources: Resources, configuration: Configuration) -> float:
    """Return what the resources of the configuration's template cost, all proxies at the smallest
    one's price.

    A dashboard beyond the account's first three, at 3 dollars, is not counted: a template does not
    know of the others.
    """
    alarms = _of("AWS::CloudWatch::Alarm", resources)
    return (
        len(configuration.databases) * (len(Metric) * METRIC + HEARTBEATS)
        + sum(map(_metrics_of_alarm, alarms)) * METRIC_OF_AN_ALARM
        + len(_of("AWS::KMS::Key", resources)) * KEY
        + (SECRET if configuration.notifications.slack_secret else 0)
        + proxies(resources) * SMALLEST_PROXY
    )


def proxies(resources: Resources) -> int:
    """Return how many RDS proxies the stack creates."""
    return len(_of("AWS::RDS::DBProxy", resources))


def _metrics_of_alarm(alarm: Mapping[str, Any]) -> int:
    """An alarm costs as much as the metrics that it reads; expressions over them are free."""
    return sum("MetricStat" in each for each in alarm["Metrics"]) if "Metrics" in alarm else 1


def _of(resource_type: str, resources: Resources) -> list[Mapping[str, Any]]:
    return [
        each.get("Properties", {}) for each in resources.values() if each["Type"] == resource_type
    ]
