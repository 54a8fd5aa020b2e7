"""The metrics that the alarms and the dashboard use, with one datapoint per minute."""

from aws_cdk import Duration, Token
from aws_cdk import aws_cloudwatch as cloudwatch

from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE, Metric

MINUTE = Duration.minutes(1)


def guard_metric(
    database: Database, metric: Metric, statistic: str = "Maximum"
) -> cloudwatch.Metric:
    """Return one of the guard's own metrics of the database."""
    return metric_of(database.identifier, metric, statistic)


def metric_of(identifier: str, metric: Metric, statistic: str = "Maximum") -> cloudwatch.Metric:
    """Return the same of the database with that identifier."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=metric.value,
        dimensions_map={DIMENSION: identifier},
        statistic=statistic,
        period=MINUTE,
    )


def utilisation(database: Database) -> cloudwatch.MathExpression:
    """Return DatabaseConnections in percent of the usable connections; it has no datapoint in a
    minute in which DatabaseConnections has none.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    return cloudwatch.MathExpression(
        # Arithmetic takes a missing value for 0, and 0 % would be a recovery that nobody saw. The
        # comparison is false then, and IF without an else drops the datapoint. Whether FILL fills a
        # metric that never had a datapoint is not documented: if `usable` were missing, too, there
        # would be no datapoint, instead of 0.
        expression="IF(connections * usable > 0, 100 * connections / usable)",
        using_metrics={"connections": _database_connections(database), "usable": _usable(database)},
        label="utilisation, % of usable connections",
        period=MINUTE,
    )


def _database_connections(database: Database) -> cloudwatch.Metric:
    """Return the metric of the writer: a cluster's metric without a role includes its readers."""
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
    """Return the usable connections that the guard published last, so that a resize needs no
    deployment, or else the estimate made at synthesis.

    REPEAT reaches back no further than the few datapoints that an alarm retrieves. A missing
    heartbeat has an alarm of its own, and the estimate is conservative.
    """
    estimate = shown_number(database.max_connections.usable)
    return cloudwatch.MathExpression(
        expression=f"FILL(FILL(published, REPEAT), {estimate})",
        using_metrics={"published": guard_metric(database, Metric.USABLE, "Minimum")},
        label="usable connections",
        period=MINUTE,
    )


def shown_number(number: float) -> str:
    """Return the number as text has it, also one that only CloudFormation knows."""
    return Token.as_string(number) if Token.is_unresolved(number) else f"{number:g}"
