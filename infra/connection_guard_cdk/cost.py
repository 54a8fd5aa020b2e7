"""The price of a stack per month, in dollars at the list prices of us-east-1 in 2026, which the
documentation's table shows.
"""

from collections.abc import Mapping
from typing import Any

from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard.core.report.metric_names import Metric
from connection_guard_cdk.shared.reporter_role import secrets_of

METRIC = 0.30
METRIC_OF_AN_ALARM = 0.10
HEARTBEATS = 0.05 + 0.07 + 0.10  # of one database: Lambda, its log, SNS
KEY = 1.00
SECRET = 0.40  # one per channel, where each has its own
# Lambda polls a queue five times in 20 seconds at 0.40 per million, and a run of the schedule takes
# 0.1 s and 1 KB of log.
QUEUE = 0.26
SCHEDULE = 0.05
# 0.015 per hour and vCPU. RDS counts at least two vCPUs, and more for most databases.
SMALLEST_PROXY = 21.90

Resources = Mapping[str, Mapping[str, Any]]


def dollars_per_month(resources: Resources, configuration: Configuration) -> float:
    """Return the price of the resources of the configuration's template, with every proxy at the
    smallest one's price.

    A dashboard beyond the account's first three costs 3 dollars, which are not counted: a template
    does not show the account's other dashboards.
    """
    alarms = _of("AWS::CloudWatch::Alarm", resources)
    return (
        len(configuration.databases) * (len(Metric) * METRIC + HEARTBEATS)
        + sum(map(_metrics_of_alarm, alarms)) * METRIC_OF_AN_ALARM
        + len(_of("AWS::KMS::Key", resources)) * KEY
        + len(set(secrets_of(configuration.notifications))) * SECRET
        + QUEUE
        + SCHEDULE
        + proxies(resources) * SMALLEST_PROXY
    )


def proxies(resources: Resources) -> int:
    """Return how many RDS proxies the stack creates."""
    return len(_of("AWS::RDS::DBProxy", resources))


def _metrics_of_alarm(alarm: Mapping[str, Any]) -> int:
    """Return how many metrics an alarm reads, which are its price: expressions are free."""
    return sum("MetricStat" in each for each in alarm["Metrics"]) if "Metrics" in alarm else 1


def _of(resource_type: str, resources: Resources) -> list[Mapping[str, Any]]:
    return [
        each.get("Properties", {}) for each in resources.values() if each["Type"] == resource_type
    ]
