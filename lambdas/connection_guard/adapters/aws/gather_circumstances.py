"""What AWS knows about a database from outside its VPC: this is all that is known where no door
opened.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.adapters.aws.gather_deployments import Changes, changes_until
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.circumstances import (
    Circumstances,
    Deployment,
    DeploymentKind,
    RdsEvent,
    trend_of,
)
from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE, Metric
from connection_guard.core.words import spelled

EVENTS_OF = timedelta(hours=1)
MOST_EVENTS = 10
USAGE_OF = timedelta(hours=3)
MINUTE = timedelta(minutes=1)
OF_ONE_DATABASE = frozenset(
    {DeploymentKind.DB_INSTANCE, DeploymentKind.DB_CLUSTER, DeploymentKind.DB_REBOOT}
)

# Notifications of an incident wait for a look: the whole has a deadline, and each request in it.
LONGEST_LOOK = timedelta(seconds=10)
QUICK = Config(
    connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2}
)


@cache
def quick_client(service: str) -> Any:
    """Return one client per process, made only when it is needed: it takes a while to make."""
    return boto3.client(service, config=QUICK)  # type: ignore[call-overload]


def look(
    database: WatchedDatabase,
    now: datetime,
    client: Callable[[str], Any] = quick_client,
    *,
    reads_deployments: bool = False,
) -> Circumstances:
    """Return the database's events and usage, and who deployed what; what could not be read in time
    is a line in `problems`, and nothing is raised.

    `client` gives boto3's client of a service. For a cluster these are its own events, a failover
    among them, without those of its instances: which instances are its members is not known here.
    """
    threads = ThreadPoolExecutor()
    # Clients are made by this thread: they share a session, which threads cannot.
    events_read = threads.submit(_events, client("rds"), database)
    usage_read = threads.submit(_usage, client("cloudwatch"), database, now)
    changes_read = (
        threads.submit(changes_until, _minute_of(now), client("cloudtrail"))
        if reads_deployments
        else threads.submit(Changes, (), None)
    )
    reads: tuple[Future[Any], ...] = (events_read, usage_read, changes_read)
    wait(reads, timeout=LONGEST_LOOK.total_seconds())
    threads.shutdown(wait=False)

    problems: list[str] = []
    events: tuple[RdsEvent, ...] = ()
    usage: UsageByTheMinute = ()
    deployments: tuple[Deployment, ...] = ()
    with _noted_in(problems, f"the RDS events of {database.identifier}"):
        events = events_read.result(timeout=0)
    with _noted_in(problems, f"CloudWatch's metrics of {database.identifier}"):
        usage, silent = usage_read.result(timeout=0)
        problems += silent
    with _noted_in(problems, "CloudTrail's deployments"):
        changes = changes_read.result(timeout=0)
        deployments = tuple(each for each in changes.found if _matters_to(database, each))
        if changes.error:
            raise changes.error
    return Circumstances(events, usage, trend_of(usage), tuple(problems), deployments, now)


@contextmanager
def _noted_in(problems: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        problems.append(f"{what} could not be read within {spelled(LONGEST_LOOK)}")
    except (BotoCoreError, ClientError) as error:
        problems.append(f"{what} could not be read: {' '.join(str(error).split())}")


def _matters_to(database: WatchedDatabase, deployment: Deployment) -> bool:
    """Return whether it is an application's or may be this database's: instances of a cluster are
    mostly named after it, and parameter groups are shared.
    """
    return deployment.what not in OF_ONE_DATABASE or database.identifier in deployment.name


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
UsageByTheMinute = tuple[tuple[datetime, float | None], ...]


def _usage(
    cloudwatch: Any, database: WatchedDatabase, now: datetime
) -> tuple[UsageByTheMinute, list[str]]:
    """Return percent of the usable connections, and a line for each metric without a figure."""
    connections, usable, silent = _figures(cloudwatch, database, now)
    return tuple(_by_the_minute(connections, usable, now)), silent


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
