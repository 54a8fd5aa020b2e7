"""The dashboard, one per stack: for each database the utilisation, the sessions by state, the
terminations, and the heartbeat.
"""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.notification.links import dashboard_page
from connection_guard.core.report.metric_names import Metric
from connection_guard_cdk.shared.alarm_metrics import guard_metric, utilisation

SESSIONS = [metric for metric in Metric if metric.startswith("Sessions")]


class Dashboard(Construct):
    """A dashboard called `name`, with one row per database. `url` opens it in a browser.

    The name contains the region: dashboards of all regions of an account share their names, and
    stacks in two regions may have the same name.
    """

    def __init__(self, scope: Construct, identifier: str, databases: Sequence[Database]) -> None:
        super().__init__(scope, identifier)
        stack = Stack.of(self)
        self.name = f"{stack.stack_name}-{stack.region}"
        self.url = dashboard_page(stack.region, self.name)
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self.name,
            default_interval=Duration.hours(3),
            widgets=[database_widgets(database) for database in databases],
        )


def database_widgets(database: Database) -> list[cloudwatch.IWidget]:
    """Return the widgets of one database."""

    def measured(metrics: Sequence[Metric], statistic: str = "Maximum") -> list[cloudwatch.IMetric]:
        return [guard_metric(database, metric, statistic) for metric in metrics]

    # CloudWatch charges for a dashboard of more than 50 metrics.
    proxy_door = [] if database.proxy is None else [Metric.PROXY_DOOR_OPEN]
    return [
        cloudwatch.GraphWidget(
            title=f"{database.identifier}: percent of the usable connections",
            # The alarms use the first; the second, which the guard counts, is missing while the
            # guard cannot log in.
            left=[utilisation(database), *measured([Metric.UTILISATION])],
            left_annotations=[
                cloudwatch.HorizontalAnnotation(
                    value=database.warning_percent, label="warning", color=cloudwatch.Color.ORANGE
                ),
                cloudwatch.HorizontalAnnotation(
                    value=database.critical_percent, label="critical", color=cloudwatch.Color.RED
                ),
            ],
            left_y_axis=cloudwatch.YAxisProps(min=0, max=100),
        ),
        cloudwatch.GraphWidget(
            title=f"{database.identifier}: sessions by state", left=measured(SESSIONS), stacked=True
        ),
        cloudwatch.GraphWidget(
            title=f"{database.identifier}: terminations",
            left=measured([Metric.TERMINATED, Metric.SURVIVED], "Sum"),
            left_y_axis=cloudwatch.YAxisProps(min=0),
        ),
        cloudwatch.GraphWidget(
            title=f"{database.identifier}: heartbeat, seat and doors",
            left=measured(
                [Metric.HEARTBEAT, Metric.SEAT_HELD, *proxy_door, Metric.DIRECT_DOOR_OPEN]
            ),
            left_y_axis=cloudwatch.YAxisProps(min=0, max=1),
        ),
    ]
