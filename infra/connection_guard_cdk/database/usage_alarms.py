"""The alarms that engage the responder: at 75 and 90 percent of the usable connections, or at the
percentages in guard.toml.
"""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.deployment.alarm_names import USAGE_TIERS, database_alarm_name
from connection_guard.core.policy import Mode, Tier
from connection_guard.core.report.metric_names import Metric
from connection_guard_cdk.shared.alarm_metrics import guard_metric, shown_number, utilisation
from connection_guard_cdk.shared.shared_parts import SharedParts

# The names are explicit: people see them, and they make the ARNs known before the alarms exist. The
# responder's settings name its alarms, and the alarms name the responder's topic.


def tiers_by_alarm(scope: Construct, prefix: str, database: Database) -> dict[str, Tier]:
    """Return the tier of each alarm that engages the responder, by the alarm's ARN."""
    stack = Stack.of(scope)
    return {
        stack.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=database_alarm_name(prefix, database.identifier, what),
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        ): tier
        for what, tier in USAGE_TIERS.items()
    }


class UtilisationAlarms(Construct):
    """The alarms on how many of the usable connections are in use, of which the topic for alarms
    brings the responder those of its own database.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        database: Database,
        responder: lambda_.IFunction,
        shared: SharedParts,
    ) -> None:
        super().__init__(scope, identifier)
        self._database = database
        self._prefix = shared.alarm_prefix
        self._topic = shared.messaging.alarms
        sns.Subscription(
            self,
            "Subscription",
            topic=self._topic,
            protocol=sns.SubscriptionProtocol.LAMBDA,
            endpoint=responder.function_arn,
            filter_policy_with_message_body={
                "AlarmName": sns.FilterOrPolicy.filter(
                    sns.SubscriptionFilter.string_filter(
                        allowlist=[self._name(what) for what in USAGE_TIERS]
                    )
                )
            },
            dead_letter_queue=shared.messaging.undelivered_alarms,
        )
        responder.add_permission(
            "Alarms",
            principal=iam.ServicePrincipal("sns.amazonaws.com"),
            source_arn=self._topic.topic_arn,
        )
        warning = self._of_database_connections(
            "warning", database.warning_percent, minutes=3, to_alarm=2
        )
        critical = self._of_database_connections(
            "critical", database.critical_percent, minutes=1, to_alarm=1
        )
        measured = self._alarm(
            "critical-measured",
            f"{shown_number(database.critical_percent)} % or more of the connections that "
            "applications can get are in use, as the guard counts them. If "
            f"{self._name('critical')} is not on, sessions whose "
            "clients are gone hold slots: DatabaseConnections does not count them.",
            guard_metric(database, Metric.UTILISATION),
            database.critical_percent,
        )
        self.alarms = (warning, critical, measured)

    def _name(self, what: str) -> str:
        return database_alarm_name(self._prefix, self._database.identifier, what)

    def _of_database_connections(
        self, what: str, percent: float, *, minutes: int, to_alarm: int
    ) -> cloudwatch.Alarm:
        limit = self._database.max_connections
        alarm = self._alarm(
            what,
            f"{shown_number(percent)} % or more of the connections that applications can get are "
            "in use. Without a recent heartbeat the alarm uses an estimate: "
            f"{shown_number(limit.usable)} connections. "
            f"{limit.explanation}",
            utilisation(self._database),
            percent,
            minutes=minutes,
            to_alarm=to_alarm,
        )
        # The CDK numbers the expression that an alarm returns; people read its name in the
        # notification.
        resource = alarm.node.default_child
        assert isinstance(resource, cloudwatch.CfnAlarm)
        resource.add_property_override("Metrics.0.Id", "utilisation")
        return alarm

    def _alarm(
        self,
        what: str,
        description: str,
        metric: cloudwatch.IMetric,
        percent: float,
        *,
        minutes: int = 1,
        to_alarm: int = 1,
    ) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            what,
            alarm_name=self._name(what),
            alarm_description=f"{self._database.identifier}: {description} "
            f"{self._what_the_guard_does(USAGE_TIERS[what])}",
            metric=metric,
            threshold=percent,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=minutes,
            datapoints_to_alarm=to_alarm,
            # A missing datapoint is neither a recovery nor an emergency: the state becomes
            # INSUFFICIENT_DATA, from which ALARM fires again.
            treat_missing_data=cloudwatch.TreatMissingData.MISSING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        alarm.add_ok_action(actions.SnsAction(self._topic))
        return alarm

    def _what_the_guard_does(self, tier: Tier) -> str:
        if self._database.policy.modes[tier] is Mode.OBSERVE:
            return (
                f"At the {tier} tier the policy makes Connection Guard observe and report, without "
                "terminating sessions."
            )
        return (
            "Connection Guard frees slots by itself, as its policy permits, and reports what it "
            "did. If this alarm stays on, the reports say why: genuine load, a limit of the "
            "policy, or no way in."
        )
