"""Alarms on the guard itself: the reporter adds what keeps it from its work to the database's
incident.
"""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.deployment.alarm_names import (
    LOCKED_OUT,
    MISSING_PRIVILEGE,
    NO_HEARTBEAT,
    database_alarm_name,
)
from connection_guard.core.report.metric_names import Metric
from connection_guard_cdk.shared.alarm_metrics import MINUTE, guard_metric
from connection_guard_cdk.shared.shared_parts import SharedParts

AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD

# Lambda counts nothing while nothing runs, which the missing heartbeat reports.
IDLE = cloudwatch.TreatMissingData.NOT_BREACHING
# The guard measures only when it looks; between two looks nothing is known to have changed.
AS_LAST_SEEN = cloudwatch.TreatMissingData.IGNORE

# A guard that logs in through a proxy tests the direct door once in 15 minutes, sometimes a minute
# late, and sees only then what is missing there.
MINUTES_OF_A_MISSING_PRIVILEGE = 16


class SelfWatch(Construct):
    """Alarms on the guard of one database, which the reporter notifies people of.

    Each description says what happened, what it means, and what to do. Some identifiers differ from
    the names: a changed identifier would be another resource to CloudFormation.
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
        self._database = database
        self._prefix = shared.alarm_prefix
        self._responder = responder
        self._log = f"The responder's log: {responder.log_group.log_group_name}"
        alarms = [
            self._no_heartbeat(),
            self._responder_failed(),
            self._report_lost(),
            self._direct_login_failed(),
            self._locked_out(),
            self._missing_privilege(),
            self._role_limit(),
            self._database_limit(),
        ]
        if database.proxy is not None:
            alarms.append(self._proxy_login_failed())
        shared.messaging.notify_reporter_of(*alarms)
        self.alarms = tuple(alarms)

    def _no_heartbeat(self) -> cloudwatch.Alarm:
        """3 of 3: a remediation may take a minute and delay the heartbeat behind it, and the newest
        datapoint may be late.
        """
        return self._alarm(
            "no-heartbeat",
            name=NO_HEARTBEAT,
            # Without FILL, missing datapoints would keep the alarm waiting until the last real one
            # has left the range that it retrieves.
            metric=cloudwatch.MathExpression(
                expression="FILL(heartbeat, 0)",
                using_metrics={"heartbeat": guard_metric(self._database, Metric.HEARTBEAT)},
                label="heartbeat",
                period=MINUTE,
            ),
            comparison=BELOW,
            threshold=1,
            description="No heartbeat for 3 minutes: the responder is not running or cannot log "
            "in. See the responder's log for the error. (The alarm is also on for the first "
            f"minutes after a deployment.) {self._log}",
            missing=cloudwatch.TreatMissingData.BREACHING,
            minutes=3,
            to_alarm=3,
        )

    def _responder_failed(self) -> cloudwatch.Alarm:
        return self._alarm(
            "errors",
            name="responder-failed",
            metric=self._responder.metric_errors(statistic="Sum", period=MINUTE),
            comparison=AT_LEAST,
            threshold=1,
            description="The responder failed or ran out of time: it may have left its work "
            "unfinished. See the responder's log for the error, and check that the next heartbeats "
            f"arrive. {self._log}",
            missing=IDLE,
        )

    def _report_lost(self) -> cloudwatch.Alarm:
        return self._alarm(
            "losses",
            name="report-lost",
            metric=self._responder.metric(
                "DestinationDeliveryFailures", statistic="Sum", period=MINUTE
            ),
            comparison=AT_LEAST,
            threshold=1,
            description="A report of the responder was lost: Lambda could not publish it, and "
            "nobody was notified of that run. Check that the responder's role may publish to the "
            f"topics and use their key. {self._log}",
            missing=IDLE,
        )

    def _direct_login_failed(self) -> cloudwatch.Alarm:
        database = self._database
        return self._alarm(
            "direct-door-shut",
            name="direct-login-failed",
            metric=guard_metric(database, Metric.DIRECT_DOOR_OPEN, "Minimum"),
            comparison=BELOW,
            threshold=1,
            description=f"The guard could not log in directly to {database.host}:{database.port} "
            f"as {database.role}: the guard has no way in when the server is full. Check that "
            "this is the writer's endpoint, that the role has rds_iam, that IAM authentication is "
            f"enabled, and that the security groups admit the responder. {self._log}",
            missing=AS_LAST_SEEN,
        )

    def _proxy_login_failed(self) -> cloudwatch.Alarm:
        """5 of 5: it is expected that the proxy of a full database refuses logins while the
        responder frees slots.
        """
        return self._alarm(
            "proxy-door-shut",
            name="proxy-login-failed",
            metric=guard_metric(self._database, Metric.PROXY_DOOR_OPEN, "Minimum"),
            comparison=BELOW,
            threshold=1,
            description="For 5 minutes the guard could not log in through RDS Proxy, so it keeps "
            "no seat there: when the database is full, only the direct door is left. Check that "
            "the proxy's targets are available, that the proxy may log in as the guard's role or "
            "has that role's secret, and that the responder may connect to the proxy. "
            f"{self._log}",
            missing=AS_LAST_SEEN,
            minutes=5,
            to_alarm=5,
        )

    def _locked_out(self) -> cloudwatch.Alarm:
        return self._alarm(
            "locked-out",
            name=LOCKED_OUT,
            metric=guard_metric(self._database, Metric.LOCKED_OUT),
            comparison=AT_LEAST,
            threshold=1,
            description="The guard could not log in through any door: it cannot free slots. Log in "
            "as the master user, for whom Amazon RDS reserves connections, and terminate idle "
            f"sessions by hand. {self._log}",
            missing=AS_LAST_SEEN,
        )

    def _missing_privilege(self) -> cloudwatch.Alarm:
        return self._alarm(
            "privilege-lost",
            name=MISSING_PRIVILEGE,
            metric=guard_metric(self._database, Metric.PREFLIGHT_FAILED),
            comparison=AT_LEAST,
            threshold=1,
            description="The guard's role lacks a privilege: the guard cannot terminate sessions. "
            "Run bootstrap/bootstrap.sql again as the master user; the reports name the missing "
            f"GRANT. {self._log}",
            missing=AS_LAST_SEEN,
            minutes=MINUTES_OF_A_MISSING_PRIVILEGE,
        )

    def _role_limit(self) -> cloudwatch.Alarm:
        return self._limit(
            "role-limit",
            Metric.HIGHEST_ROLE_LIMIT_UTILISATION,
            "A role has nearly reached its own CONNECTION LIMIT: its clients will be refused "
            '("too many connections for role") although the server has connections left. Raise the '
            "limit with ALTER ROLE, or make the role's pools smaller.",
        )

    def _database_limit(self) -> cloudwatch.Alarm:
        return self._limit(
            "database-limit",
            Metric.HIGHEST_DATABASE_LIMIT_UTILISATION,
            "A PostgreSQL database has nearly reached its own CONNECTION LIMIT: its clients will "
            'be refused ("too many connections for database") although the server has connections '
            "left. Raise the limit with ALTER DATABASE, or make the pools smaller.",
        )

    def _limit(self, name: str, metric: Metric, description: str) -> cloudwatch.Alarm:
        """2 of 3, as the warning: the guard does not act on it, and a pool may touch its limit for
        a moment.
        """
        return self._alarm(
            name,
            name=name,
            metric=guard_metric(self._database, metric),
            comparison=AT_LEAST,
            threshold=self._database.critical_percent,
            description=description,
            # Without any limit there is no datapoint, and the incident ends only with an OK.
            missing=cloudwatch.TreatMissingData.NOT_BREACHING,
            minutes=3,
            to_alarm=2,
        )

    def _alarm(
        self,
        identifier: str,
        *,
        name: str,
        metric: cloudwatch.IMetric,
        comparison: cloudwatch.ComparisonOperator,
        threshold: float,
        description: str,
        missing: cloudwatch.TreatMissingData,
        minutes: int = 1,
        to_alarm: int = 1,
    ) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            identifier,
            alarm_name=database_alarm_name(self._prefix, self._database.identifier, name),
            alarm_description=f"{self._database.identifier}: {description}",
            metric=metric,
            comparison_operator=comparison,
            threshold=threshold,
            treat_missing_data=missing,
            evaluation_periods=minutes,
            datapoints_to_alarm=to_alarm,
        )
