"""Alarms on the guard itself, and on limits that it can do nothing about: the reporter adds them to
the database's incident.
"""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.database.guard_faults import Fault
from connection_guard.core.deployment.alarm_names import LIMIT, UNGUARDED, database_alarm_name
from connection_guard.core.report.metric_names import Field, Metric
from connection_guard_cdk.shared.alarm_metrics import MINUTE, guard_metric
from connection_guard_cdk.shared.shared_parts import SharedParts


class SelfWatch(Construct):
    """Alarms that the reporter notifies people of. Each description says what happened, what it
    means, and what to do.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        database: Database,
        responder: lambda_.Function,
        shared: SharedParts,
    ) -> None:
        super().__init__(scope, identifier)
        self._prefix = shared.alarm_prefix
        self._database = database
        self.alarms = (self._unguarded(responder), self._limit())
        shared.messaging.notify_reporter_of(*self.alarms)

    def _unguarded(self, responder: lambda_.Function) -> cloudwatch.Alarm:
        """3 of 3: a remediation may take a minute and delay the heartbeat behind it, and the newest
        datapoint may be late.
        """
        metric = cloudwatch.MathExpression(
            # Without FILL, missing heartbeats would keep the alarm waiting until the last real one
            # has left the range that it retrieves. A lost report is a datapoint of one minute: the
            # running sum keeps it in sight for the three that the alarm needs. Lambda has no
            # datapoint where nothing was lost, which arithmetic takes for 0.
            expression="FILL(healthy, 0) - RUNNING_SUM(FILL(lost, 0))",
            using_metrics={
                "healthy": guard_metric(self._database, Metric.HEALTHY),
                "lost": responder.metric(
                    "DestinationDeliveryFailures", statistic="Sum", period=MINUTE
                ),
            },
            label="healthy",
            period=MINUTE,
        )
        return self._alarm(
            UNGUARDED,
            metric=metric,
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            threshold=1,
            to_alarm=3,
            missing=cloudwatch.TreatMissingData.BREACHING,
            description=self._what_to_do(responder.log_group.log_group_name),
        )

    def _what_to_do(self, log: str) -> str:
        """Return what people read, of 1,024 characters at most. A message shows only the first 260
        of what follows the first sentence: reports name the faults that come last themselves.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
        """
        name = self._database.identifier
        proxy = f"{Fault.PROXY_DOOR_SHUT}: see the proxy's targets and secrets. "
        return (
            "For 3 minutes the guard could not do all of its work, or a report was lost. "
            "Read which fault it is on the dashboard, or in "
            f"Logs Insights on {log}: filter {Field.DATABASE} = '{name}' | "
            f"sort @timestamp desc | display {Field.FAULTS}.0, {Field.FAULTS}.1. "
            "No lines: the responder does not run; see its errors there. "
            "No fault: a report was lost; may the responder publish to the topics and use their "
            f"key? {Fault.DIRECT_DOOR_SHUT}: no way in when the server is full; "
            "check the writer's endpoint, rds_iam, IAM authentication, security groups. "
            f"{proxy if self._database.proxy else ''}"
            f"{Fault.LOCKED_OUT}: no way in; end idle sessions as the master user, or check the "
            f"login as for {Fault.DIRECT_DOOR_SHUT}. "
            f"{Fault.SESSIONS_HIDDEN}, {Fault.MISSING_GRANT}: run bootstrap/bootstrap.sql again "
            "as the master user."
        )

    def _limit(self) -> cloudwatch.Alarm:
        """2 of 3, as the warning: the guard does not act on it, and a pool may touch its limit for
        a moment.
        """
        return self._alarm(
            LIMIT,
            metric=guard_metric(self._database, Metric.HIGHEST_LIMIT_UTILISATION),
            comparison=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            threshold=self._database.critical_percent,
            to_alarm=2,
            # Without any limit there is no datapoint, and the incident ends only with an OK.
            missing=cloudwatch.TreatMissingData.NOT_BREACHING,
            description="A role or a PostgreSQL database has nearly reached its own CONNECTION "
            "LIMIT. Run connection-guard audit, which names it; then raise the limit with ALTER "
            "ROLE or ALTER DATABASE, or make the pools smaller. At the limit its clients are "
            'refused ("too many connections for role" or "for database") although the server has '
            f"connections left. The fields {Field.HIGHEST_ROLE_LIMIT_UTILISATION} and "
            f"{Field.HIGHEST_DATABASE_LIMIT_UTILISATION} in the log say which of the two it is.",
        )

    def _alarm(
        self,
        what: str,
        *,
        metric: cloudwatch.IMetric,
        comparison: cloudwatch.ComparisonOperator,
        threshold: float,
        to_alarm: int,
        missing: cloudwatch.TreatMissingData,
        description: str,
    ) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            what,
            alarm_name=database_alarm_name(self._prefix, self._database.identifier, what),
            alarm_description=f"{self._database.identifier}: {description}",
            metric=metric,
            comparison_operator=comparison,
            threshold=threshold,
            treat_missing_data=missing,
            evaluation_periods=3,
            datapoints_to_alarm=to_alarm,
        )
