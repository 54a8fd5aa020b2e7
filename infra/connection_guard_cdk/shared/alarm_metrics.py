"""The metrics that alarms and the dashboard look at, a minute a datapoint."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE, Metric

MINUTE = Duration.minutes(1)


def guard_metric(
    database: Database, metric: Metric, statistic: str = "Maximum"
) -> cloudwatch.Metric:
    """One of the guard's own metrics of the database."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=metric.value,
        dimensions_map={DIMENSION: database.identifier},
        statistic=statistic,
        period=MINUTE,
    )


def utilisation(database: Database) -> cloudwatch.MathExpression:
    """DatabaseConnections in percent of the connections that applications can really get; missing
    where it is missing.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    return cloudwatch.MathExpression(
        # Arithmetic takes a missing value for 0, and 0 % would be a recovery that nobody saw. The
        # comparison is false then, and IF without an else drops the datapoint. Whether FILL fills
        # what never had a datapoint is not documented: were `usable` missing, too, there would be
        # no datapoint either, instead of 0.
        expression="IF(connections * usable > 0, 100 * connections / usable)",
        using_metrics={"connections": _database_connections(database), "usable": _usable(database)},
        label="utilisation, % of usable connections",
        period=MINUTE,
    )


def _database_connections(database: Database) -> cloudwatch.Metric:
    """A cluster's metric without a role is of its readers, too: the guard minds the writer."""
    if database.is_cluster:
        dimensions = {"DBClusterIdentifier": database.identifier, "Role": "WRITER"}
    else:
        dimensions = {"DBInstanceIdentifier": database.identifier}
    return cloudwatch.Metric(
        namespace="AWS/RDS",
        metric_name="DatabaseConnections",
        dimensions_map=dimensions,
        statistic="Maximum",
        period=MINUTE,
    )


def _usable(database: Database) -> cloudwatch.MathExpression:
    """What the guard published last, so that a resize needs no deploy; what was computed at synth
    while it is silent.

    REPEAT reaches back no further than the few datapoints that an alarm retrieves. A silent guard
    has an alarm of its own, and the computed figure errs low.
    """
    return cloudwatch.MathExpression(
        expression=f"FILL(FILL(published, REPEAT), {database.max_connections.usable})",
        using_metrics={"published": guard_metric(database, Metric.USABLE, "Minimum")},
        label="usable connections",
        period=MINUTE,
    )
