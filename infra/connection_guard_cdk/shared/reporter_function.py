"""The reporter: the function outside the VPC that stores every report and notifies people."""

from collections.abc import Sequence

from aws_cdk import Acknowledgment, ArnFormat, Duration, Names, RemovalPolicy, Stack, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard.core.deployment.reporter_settings import (
    WATCHED_FILE,
    ReporterSettings,
    Watched,
    WatchedDatabase,
    write_watched,
)
from connection_guard.core.report.kind import Kind
from connection_guard_cdk.shared.dashboard import Dashboard
from connection_guard_cdk.shared.messaging import Messaging
from connection_guard_cdk.shared.packages import PYTHON, build_package
from connection_guard_cdk.shared.records import Records

# `responsePayload` is Lambda's name in the message to a destination, `kind` the report's own.
EVERY_KIND_BUT_HEARTBEAT = {
    "responsePayload": sns.FilterOrPolicy.policy(
        {
            "kind": sns.FilterOrPolicy.filter(
                sns.SubscriptionFilter([{"anything-but": [Kind.HEARTBEAT]}, {"exists": False}])
            )
        }
    )
}

# The reporter's own messages to that topic have no such key.
ALARMS_ONLY = {"AlarmArn": sns.FilterOrPolicy.filter(sns.SubscriptionFilter([{"exists": True}]))}

# The customer's key encrypts the reporter's environment, the table and the bucket.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
KEY_ACTIONS = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)


class ReporterFunction(Construct):
    """One function for all databases, subscribed to their reports, except heartbeats, and to their
    failures.

    Where Slack is notified, it is also notified of the guard's own alarms. `key` is the customer's,
    None where AWS's own keys are used.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        architecture: Architecture,
        databases: Sequence[WatchedDatabase],
        dashboard: Dashboard,
        slack_secret: str | None,
        key: kms.IKey | None,
        messaging: Messaging,
        records: Records,
    ) -> None:
        super().__init__(scope, identifier)
        name = Names.unique_resource_name(
            self, max_length=64, separator="-", allowed_special_characters="-"
        )
        watched = write_watched(Watched(tuple(databases)))
        package = build_package("reporter", architecture, {WATCHED_FILE: watched.encode()})
        undelivered = messaging.dead_letter_queue(
            self,
            "Undelivered",
            alarm_name=f"{Stack.of(self).stack_name}-undelivered-reports",
            problem="The reporter could not handle a report or an alarm: an incident may be "
            "incomplete, and people may not have been notified of it.",
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description="Connection Guard: stores the responders' reports and notifies people",
            runtime=lambda_.Runtime(f"python{PYTHON}", lambda_.RuntimeFamily.PYTHON),
            architecture=lambda_.Architecture.custom(architecture.value),
            code=lambda_.Code.from_asset(str(package)),
            handler="reporter.handler.lambda_handler",
            environment=ReporterSettings(
                table=records.table.table_name,
                bucket=records.bucket.bucket_name,
                incidents_topic=messaging.incidents.topic_arn,
                unreadable_queue=undelivered.queue_url,
                slack_secret=slack_secret,
                dashboard=dashboard.name,
            ).to_environment(),
            environment_encryption=key,
            # Storing takes a second. The rest is for Slack, which may be slow or ask for a pause.
            timeout=Duration.seconds(60),
            memory_size=256,
            role=self._role(slack_secret, key, messaging, records),
            log_group=logs.LogGroup(
                self,
                "Log",
                log_group_name=f"/aws/lambda/{name}",
                encryption_key=key,
                retention=logs.RetentionDays.THREE_MONTHS,
                # The table and the bucket keep the reports themselves.
                removal_policy=RemovalPolicy.DESTROY,
            ),
            # Unlike the responder's, its work is useful late: an old report still says what was
            # done.
            retry_attempts=2,
            max_event_age=Duration.hours(6),
            on_failure=destinations.SqsDestination(undelivered),
        )
        self.function.log_group.grant_write(self.function)
        Validations.of(self.function).acknowledge(
            Acknowledgment(
                id="AwsSolutions-L1",
                reason="The libraries are pinned and tested for one Python version, which "
                "packages.py names.",
            )
        )
        for topic, content in (
            (messaging.reports, EVERY_KIND_BUT_HEARTBEAT),
            (messaging.failures, None),
        ):
            topic.add_subscription(
                subscriptions.LambdaSubscription(
                    self.function,
                    dead_letter_queue=undelivered,
                    filter_policy_with_message_body=content,
                )
            )
        if slack_secret is not None:
            messaging.incidents.add_subscription(
                subscriptions.LambdaSubscription(
                    self.function,
                    dead_letter_queue=undelivered,
                    filter_policy_with_message_body=ALARMS_ONLY,
                )
            )
        messaging.notify_people_of(self._failed(), self._lost_a_report())

    def _role(
        self, slack_secret: str | None, key: kms.IKey | None, messaging: Messaging, records: Records
    ) -> iam.Role:
        """Return a role that may write the evidence, which names people's sessions, but not read
        it; an incident is read to be continued.

        https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html
        https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
        """
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        records.table.grant(role, "dynamodb:GetItem", "dynamodb:UpdateItem")
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["rds:DescribeEvents", "cloudwatch:GetMetricData"], resources=["*"]
            )
        )
        evidence = records.bucket.arn_for_objects("*")
        role.add_to_policy(iam.PolicyStatement(actions=["s3:PutObject"], resources=[evidence]))
        bucket = Stack.of(self).resolve(records.bucket.bucket_arn)["Fn::GetAtt"][0]
        Validations.of(role).acknowledge(
            Acknowledgment(
                id=f"AwsSolutions-IAM5[Resource::<{bucket}.Arn>/*]",
                reason="A report's key is known only when the report arrives; the bucket holds "
                "nothing else, and keeps every version.",
            ),
            Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="Neither rds:DescribeEvents nor cloudwatch:GetMetricData supports "
                "resource-level permissions; both only read events and figures.",
            ),
        )
        messaging.incidents.grant_publish(role)
        if key is not None:
            key.grant(role, *KEY_ACTIONS)
        if slack_secret is not None:
            role.add_to_policy(self._read(slack_secret))
        return role

    def _read(self, secret: str) -> iam.PolicyStatement:
        """Return the permission to read the secret, whose ARN Secrets Manager ends with six
        characters of its own.
        """
        arn = Stack.of(self).format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{secret}-??????",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[arn])

    def _failed(self) -> cloudwatch.Alarm:
        return self._alarm(
            "Errors",
            name="failed",
            description="The reporter failed: people may not have been notified of an incident. "
            "Lambda tries again twice; see the reporter's log for the error.",
        )

    def _lost_a_report(self) -> cloudwatch.Alarm:
        return self._alarm(
            "DestinationDeliveryFailures",
            name="lost-a-report",
            description="The reporter could not handle a report, and Lambda could not put it into "
            "the dead-letter queue: nobody was notified of that run. Check that the reporter's "
            "role may send to the queue; the responder's log still has the run.",
        )

    def _alarm(self, metric: str, *, name: str, description: str) -> cloudwatch.Alarm:
        return self.function.metric(metric, statistic="Sum").create_alarm(
            self,
            metric,
            alarm_name=f"{Stack.of(self).stack_name}-reporter-{name}",
            alarm_description=f"{description} The reporter's log: "
            f"{self.function.log_group.log_group_name}",
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # it did not run
        )
