"""The guard watches itself: what keeps it from its work goes straight to people."""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.report.metric_names import Metric
from connection_guard_cdk.database.usage_alarms import alarm_name
from connection_guard_cdk.shared.alarm_metrics import MINUTE, guard_metric
from connection_guard_cdk.shared.messaging import Messaging

AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD

# Where the guard comes in through a proxy it looks behind the second door once in 15 minutes,
# sometimes a minute late, and only then sees what is missing there.
MINUTES_OF_A_LOST_PRIVILEGE = 16


class SelfWatch(Construct):
    """Alarms on the guard of one database, to `incidents`."""

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        database: Database,
        responder: lambda_.Function,
        messaging: Messaging,
    ) -> None:
        super().__init__(scope, identifier)
        self._database = database
        log = f"Its log: {responder.log_group.log_group_name}"
        messaging.tell_people(
            self._no_heartbeat(log),
            self._failure(
                "errors",
                responder.metric_errors(statistic="Sum", period=MINUTE),
                "The responder failed or ran out of time, and what it left undone is not known. "
                f"{log}",
            ),
            self._failure(
                "losses",
                responder.metric("DestinationDeliveryFailures", statistic="Sum", period=MINUTE),
                "A report was lost: Lambda could not publish it. See whether the responder's role "
                f"may still publish to the topics and use their key. {log}",
            ),
            self._measured(
                "direct-door-shut",
                guard_metric(database, Metric.DIRECT_DOOR_OPEN, "Minimum"),
                BELOW,
                1,
                f"The guard could not log in to {database.host}:{database.port} as "
                f"{database.role}: its way in is shut when the server is full. See that it is the "
                "writer's endpoint, that the role has rds_iam, that IAM authentication is on, and "
                f"that the security groups let the responder in. {log}",
            ),
            *self._proxy_door(log),
            self._measured(
                "locked-out",
                guard_metric(database, Metric.LOCKED_OUT),
                AT_LEAST,
                1,
                "No door opened: nobody frees slots. Log in as the master user, for whom Amazon "
                f"RDS reserves connections, and end idle sessions by hand. {log}",
            ),
            self._measured(
                "privilege-lost",
                guard_metric(database, Metric.PREFLIGHT_FAILED),
                AT_LEAST,
                1,
                "The guard's role lacks a privilege and terminates nothing. Run "
                "bootstrap/bootstrap.sql again, as the master user; the reports name the GRANT. "
                f"{log}",
                minutes=MINUTES_OF_A_LOST_PRIVILEGE,
            ),
            self._limit(
                "role-limit",
                Metric.HIGHEST_ROLE_LIMIT_UTILISATION,
                'A role is about to hit its own CONNECTION LIMIT ("too many connections for '
                'role"), '
                "whatever the server has left. Raise it with ALTER ROLE, or make its pools "
                "smaller.",
            ),
            self._limit(
                "database-limit",
                Metric.HIGHEST_DATABASE_LIMIT_UTILISATION,
                'A PostgreSQL database is about to hit its own CONNECTION LIMIT ("too many '
                'connections for database"), '
                "whatever the server has left. Raise it with ALTER DATABASE, or make pools "
                "smaller.",
            ),
        )

    def _proxy_door(self, log: str) -> list[cloudwatch.Alarm]:
        """5 of 5: on a full database it is shut while the responder frees slots, and that is no
        news.
        """
        if self._database.proxy is None:
            return []
        return [
            self._measured(
                "proxy-door-shut",
                guard_metric(self._database, Metric.PROXY_DOOR_OPEN, "Minimum"),
                BELOW,
                1,
                "For 5 minutes the guard could not log in through RDS Proxy, so it keeps no seat "
                "there: on a full database the direct door alone is left. See that the proxy's "
                "targets are available, that it may log in as the guard's role, or has that role's "
                f"secret, and that the responder may connect to it. {log}",
                minutes=5,
                to_alarm=5,
            )
        ]

    def _no_heartbeat(self, log: str) -> cloudwatch.Alarm:
        """3 of 3: a remediation may take a minute and hold up the heartbeat behind it, and the
        newest datapoint be late.
        """
        return self._alarm(
            "no-heartbeat",
            # Missing datapoints alone make an alarm wait until the last real one has left all that
            # it retrieves.
            cloudwatch.MathExpression(
                expression="FILL(heartbeat, 0)",
                using_metrics={"heartbeat": guard_metric(self._database, Metric.HEARTBEAT)},
                label="heartbeat",
                period=MINUTE,
            ),
            BELOW,
            1,
            "For 3 minutes nobody has looked at this database: the responder does not run, or does "
            f"not get in. The alarm is also on for the first minutes after it is deployed. {log}",
            missing=cloudwatch.TreatMissingData.BREACHING,
            minutes=3,
            to_alarm=3,
        )

    def _failure(self, what: str, metric: cloudwatch.IMetric, description: str) -> cloudwatch.Alarm:
        return self._alarm(
            # Lambda counts nothing while nothing runs, which the missing heartbeat tells.
            *(what, metric, AT_LEAST, 1, description),
            missing=cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    def _measured(
        self,
        what: str,
        metric: cloudwatch.IMetric,
        operator: cloudwatch.ComparisonOperator,
        threshold: float,
        description: str,
        *,
        minutes: int = 1,
        to_alarm: int = 1,
    ) -> cloudwatch.Alarm:
        """On what the guard sees only when it looks: what it did not look at is as it was."""
        return self._alarm(
            *(what, metric, operator, threshold, description),
            missing=cloudwatch.TreatMissingData.IGNORE,
            minutes=minutes,
            to_alarm=to_alarm,
        )

    def _limit(self, what: str, metric: Metric, description: str) -> cloudwatch.Alarm:
        """2 of 3, as the warning: nothing is done about it, and a pool may touch its limit for a
        moment.
        """
        return self._alarm(
            *(
                what,
                guard_metric(self._database, metric),
                AT_LEAST,
                self._database.critical_percent,
                description,
            ),
            # Without any limit there is no datapoint: an alarm that held its state would never end.
            missing=cloudwatch.TreatMissingData.MISSING,
            minutes=3,
            to_alarm=2,
        )

    def _alarm(
        self,
        what: str,
        metric: cloudwatch.IMetric,
        operator: cloudwatch.ComparisonOperator,
        threshold: float,
        description: str,
        *,
        missing: cloudwatch.TreatMissingData,
        minutes: int = 1,
        to_alarm: int = 1,
    ) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            what,
            alarm_name=alarm_name(self._database, what),
            alarm_description=f"{self._database.identifier}: {description}",
            metric=metric,
            comparison_operator=operator,
            threshold=threshold,
            treat_missing_data=missing,
            evaluation_periods=minutes,
            datapoints_to_alarm=to_alarm,
        )
