"""The dashboard, one per stack: an overview of all databases first, then the details of one, which
a reader chooses. What is no metric is read from the responders' log by Logs Insights, so that the
dashboard of a hundred databases is hardly larger than that of one.
"""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.notification.links import dashboard_page
from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE, Field, Metric
from connection_guard_cdk.shared.alarm_metrics import MINUTE, metric_of, utilisation

# What the variable replaces wherever it occurs in the dashboard.
CHOSEN = "chosen-database"

HALF, WHOLE = 12, 24
_PERCENT_AXIS = cloudwatch.YAxisProps(min=0, max=100)
_SESSIONS = [each for each in Field if each.startswith("sessions_")]


class Dashboard(Construct):
    """A dashboard called `name`; `url` opens it in a browser. `log_group` is the one that
    the responders write to.

    The name contains the region: dashboards of all regions of an account share their names, and
    stacks in two regions may have the same name.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        databases: Sequence[Database],
        log_group: str,
    ) -> None:
        super().__init__(scope, identifier)
        stack = Stack.of(self)
        self.name = f"{stack.stack_name}-{stack.region}"
        self.url = dashboard_page(stack.region, self.name)
        names = [database.identifier for database in databases]
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self.name,
            default_interval=Duration.hours(3),
            variables=[
                cloudwatch.DashboardVariable(
                    id="database",
                    label="Database",
                    type=cloudwatch.VariableType.PATTERN,
                    input_type=cloudwatch.VariableInputType.SELECT,
                    value=CHOSEN,
                    values=cloudwatch.Values.from_values(
                        *(cloudwatch.VariableValue(label=name, value=name) for name in names)
                    ),
                    default_value=cloudwatch.DefaultValue.value(names[0]),
                )
            ],
            widgets=[
                _overview(log_group),
                [_percent(CHOSEN, []), *_details(CHOSEN, log_group)],
            ],
        )


def database_widgets(database: Database, log_group: str) -> list[cloudwatch.ConcreteWidget]:
    """Return the widgets of one database, for a dashboard of somebody's own."""
    thresholds = [
        cloudwatch.HorizontalAnnotation(value=percent, label=label, color=color)
        for label, percent, color in (
            ("warning", database.warning_percent, cloudwatch.Color.ORANGE),
            ("critical", database.critical_percent, cloudwatch.Color.RED),
        )
    ]
    # The alarms use the first; the second, which the guard counts, is missing while the guard
    # cannot log in.
    percent = _percent(database.identifier, [utilisation(database)], thresholds)
    return [percent, *_details(database.identifier, log_group)]


def _overview(log_group: str) -> list[cloudwatch.IWidget]:
    """Return what shows all databases: one row each, worst first, and their usage over time."""
    latest = {
        "percent": Field.UTILISATION,
        "in_use": Field.USED,
        "of_usable": Field.USABLE,
        "healthy": f"{Metric.HEALTHY}.0",
        "fault": f"{Field.FAULTS}.0",
        "last_run": Field.KIND,
    }
    figures = ", ".join(f"latest({field}) as {name}" for name, field in latest.items())
    return [
        cloudwatch.LogQueryWidget(
            title="Each database, as it was last seen",
            log_group_names=[log_group],
            view=cloudwatch.LogQueryVisualizationType.TABLE,
            query_lines=[
                f"filter ispresent({Metric.HEALTHY}.0)",
                f"stats {figures}, max(@timestamp) as seen by {Field.DATABASE}",
                "sort healthy asc, percent desc",
            ],
            width=HALF,
            height=8,
        ),
        cloudwatch.GraphWidget(
            title="Percent of the usable connections, every guarded database of this region",
            left=[
                cloudwatch.MathExpression(
                    expression=f"SEARCH('{{{NAMESPACE},{DIMENSION}}} "
                    f"MetricName=\"{Metric.UTILISATION}\"', 'Maximum', 60)",
                    using_metrics={},
                    label="",
                    period=MINUTE,
                )
            ],
            left_y_axis=_PERCENT_AXIS,
            width=HALF,
            height=8,
        ),
    ]


def _percent(
    name: str,
    more: Sequence[cloudwatch.IMetric],
    thresholds: Sequence[cloudwatch.HorizontalAnnotation] = (),
) -> cloudwatch.ConcreteWidget:
    own = [
        metric_of(name, metric) for metric in (Metric.UTILISATION, Metric.HIGHEST_LIMIT_UTILISATION)
    ]
    return cloudwatch.GraphWidget(
        title=f"{name}: percent of the usable connections, and of the fullest limit",
        left=[*more, *own],
        left_annotations=list(thresholds),
        left_y_axis=_PERCENT_AXIS,
        width=HALF,
    )


def _details(name: str, log_group: str) -> list[cloudwatch.ConcreteWidget]:
    def over_time(
        title: str, view: cloudwatch.LogQueryVisualizationType, figures: Mapping[str, str]
    ) -> cloudwatch.ConcreteWidget:
        shown = ", ".join(f"{figure} as {label}" for label, figure in figures.items())
        return cloudwatch.LogQueryWidget(
            title=f"{name}: {title}",
            log_group_names=[log_group],
            view=view,
            query_lines=[f"filter {Field.DATABASE} = '{name}'", f"stats {shown} by bin(1m)"],
            width=HALF,
        )

    view = cloudwatch.LogQueryVisualizationType
    sessions = {each.removeprefix("sessions_"): f"max({each})" for each in _SESSIONS}
    ends = {"gone": f"sum({Field.TERMINATED})", "not_gone": f"sum({Field.SURVIVED})"}
    doors = {
        "proxy": f"min({Field.PROXY_DOOR_OPEN})",
        "direct": f"min({Field.DIRECT_DOOR_OPEN})",
        "seat": f"min({Field.SEAT_HELD})",
    }
    return [
        over_time("sessions by state", view.STACKEDAREA, sessions),
        over_time("terminations", view.BAR, ends),
        over_time("doors and seat", view.LINE, doors),
        cloudwatch.LogQueryWidget(
            title=f"{name}: faults of the guard",
            log_group_names=[log_group],
            view=view.TABLE,
            query_lines=[
                f"filter {Field.DATABASE} = '{name}' and ispresent({Field.FAULTS}.0)",
                f"display @timestamp, {Field.KIND}, {Field.FAULTS}.0, {Field.FAULTS}.1",
                "sort @timestamp desc",
                "limit 50",
            ],
            width=WHOLE,
        ),
    ]
