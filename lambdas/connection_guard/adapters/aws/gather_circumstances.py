"""What AWS knows about a database from outside its VPC: this is all that is known where no door
opened.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances, RdsEvent, trend_of
from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE, Metric

EVENTS_OF = timedelta(hours=1)
MOST_EVENTS = 10
USAGE_OF = timedelta(hours=3)
MINUTE = timedelta(minutes=1)

# Notifications of an incident wait for this.
QUICK = Config(
    connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2}
)


@cache
def quick_client(service: str) -> Any:
    """Return one client per process, made only when it is needed: it takes a while to make."""
    return boto3.client(service, config=QUICK)  # type: ignore[call-overload]


def look(
    database: WatchedDatabase, now: datetime, client: Callable[[str], Any] = quick_client
) -> Circumstances:
    """Return the database's events and usage; what could not be read is a line in `problems`, and
    nothing is raised.

    `client` gives boto3's client of a service. For a cluster these are its own events, a failover
    among them, without those of its instances: which instances are its members is not known here.
    """
    problems: list[str] = []
    events: tuple[RdsEvent, ...] = ()
    usage: tuple[tuple[datetime, float | None], ...] = ()
    with _noted_in(problems, f"the RDS events of {database.identifier}"):
        events = _events(client("rds"), database)
    with _noted_in(problems, f"CloudWatch's metrics of {database.identifier}"):
        connections, usable, silent = _figures(client("cloudwatch"), database, now)
        usage = tuple(_by_the_minute(connections, usable, now))
        problems += silent
    return Circumstances(events, usage, trend_of(usage), tuple(problems))


@contextmanager
def _noted_in(problems: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        problems.append(f"{what} could not be read: {' '.join(str(error).split())}")


def _events(rds: Any, database: WatchedDatabase) -> tuple[RdsEvent, ...]:
    """Return the latest events.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeEvents.html
    """
    pages = rds.get_paginator("describe_events").paginate(
        SourceIdentifier=database.identifier,
        SourceType="db-cluster" if database.is_cluster else "db-instance",
        Duration=int(EVENTS_OF / MINUTE),
    )
    events = [
        RdsEvent(event["Date"].astimezone(UTC), event["SourceIdentifier"], event["Message"])
        for page in pages
        for event in page["Events"]
    ]
    return tuple(sorted(events, key=lambda event: event.at)[-MOST_EVENTS:])


Series = Mapping[datetime, float]


def _figures(
    cloudwatch: Any, database: WatchedDatabase, now: datetime
) -> tuple[Series, Series, list[str]]:
    """Return DatabaseConnections and the guard's own Usable per minute, and a line for each without
    any figure.

    The metrics and their statistics are those of the alarms:
    connection_guard_cdk/shared/alarm_metrics.py says why.
    """
    if database.is_cluster:
        dimensions = {"DBClusterIdentifier": database.identifier, "Role": "WRITER"}
    else:
        dimensions = {"DBInstanceIdentifier": database.identifier}
    queries = {
        "connections": _query("AWS/RDS", "DatabaseConnections", dimensions, "Maximum"),
        "usable": _query(
            NAMESPACE, Metric.USABLE.value, {DIMENSION: database.identifier}, "Minimum"
        ),
    }
    found: dict[str, dict[datetime, float]] = {name: {} for name in queries}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[{"Id": name, "MetricStat": query} for name, query in queries.items()],
        StartTime=_minute_of(now) - USAGE_OF,
        EndTime=_minute_of(now) + MINUTE,
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            times = (time.astimezone(UTC) for time in result["Timestamps"])
            found[result["Id"]] |= zip(times, result["Values"], strict=True)
    silent = [
        f"CloudWatch has no {query['Metric']['MetricName']} for {database.identifier} in the last "
        "3 h"
        for name, query in queries.items()
        if not found[name]
    ]
    return found["connections"], found["usable"], silent


def _query(
    namespace: str, metric: str, dimensions: Mapping[str, str], statistic: str
) -> dict[str, Any]:
    return {
        "Metric": {
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        },
        "Period": int(MINUTE.total_seconds()),
        "Stat": statistic,
    }


def _by_the_minute(
    connections: Series, usable: Series, now: datetime
) -> Iterator[tuple[datetime, float | None]]:
    """Yield percent of what was usable when the guard last reported it: it reports nothing exactly
    when no door opens.
    """
    last_usable = 0.0
    for number in reversed(range(int(USAGE_OF / MINUTE) + 1)):
        minute = _minute_of(now) - number * MINUTE
        last_usable = usable.get(minute, last_usable)
        known = minute in connections and last_usable > 0
        yield minute, 100 * connections[minute] / last_usable if known else None


def _minute_of(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(second=0, microsecond=0)
