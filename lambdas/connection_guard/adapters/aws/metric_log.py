"""Metrics leave the VPC as log lines: CloudWatch reads them from there (embedded metric format)."""

from aws_lambda_powertools.metrics import EphemeralMetrics

from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE
from connection_guard.core.report.metric_values import log_fields_of, metrics_of
from connection_guard.core.report.run import Run


def write_metrics(run: Run) -> None:
    """Write the run's metrics and fields as one document to standard output."""
    # An empty service keeps POWERTOOLS_SERVICE_NAME from adding a dimension: alarms know only
    # Database.
    metrics = EphemeralMetrics(namespace=NAMESPACE, service="")
    metrics.add_dimension(DIMENSION, run.database)
    for metric, value in metrics_of(run).items():
        metrics.add_metric(metric.value, metric.unit, value)
    for field, content in log_fields_of(run).items():
        metrics.add_metadata(field.value, content)
    metrics.flush_metrics()
