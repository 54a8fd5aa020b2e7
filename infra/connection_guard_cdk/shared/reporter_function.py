"""The reporter: the function outside the VPC that stores every report and tells people."""

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
    DATABASES_FILE,
    ReporterSettings,
    WatchedDatabase,
    write_databases,
)
from connection_guard.core.report.kind import Kind
from connection_guard_cdk.shared.dashboard import Dashboard
from connection_guard_cdk.shared.messaging import Messaging
from connection_guard_cdk.shared.packages import PYTHON, build_package
from connection_guard_cdk.shared.records import Records

# The names that Lambda gives in the message to a destination, and the Report its own.
EVERY_KIND_BUT_HEARTBEAT = {
    "responsePayload": sns.FilterOrPolicy.policy(
        {
            "kind": sns.FilterOrPolicy.filter(
                sns.SubscriptionFilter([{"anything-but": [Kind.HEARTBEAT]}, {"exists": False}])
            )
        }
    )
}


# Not what the reporter itself publishes there.
ALARMS_ONLY = {"AlarmArn": sns.FilterOrPolicy.filter(sns.SubscriptionFilter([{"exists": True}]))}

# What the customer's key is used for on the reporter's behalf: its environment, the table, the
# bucket.
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


class Reporter(Construct):
    """One function for all databases, subscribed to their reports, except heartbeats, and to their
    failures.

    Slack, where it is notified, hears of the guard's own alarms, too. `key` is the customer's, None
    where AWS's serve.
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
        package = build_package(
            "reporter", architecture, {DATABASES_FILE: write_databases(databases).encode()}
        )
        undelivered = messaging.dead_letter_queue(self, "Undelivered")
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description="Connection Guard: stores the responders' reports and tells people of them",
            runtime=lambda_.Runtime(f"python{PYTHON}", lambda_.RuntimeFamily.PYTHON),
            architecture=lambda_.Architecture.custom(architecture.value),
            code=lambda_.Code.from_asset(str(package)),
            handler="reporter.handler.lambda_handler",
            environment=ReporterSettings(
                table=records.table.table_name,
                bucket=records.bucket.bucket_name,
                incidents_topic=messaging.incidents.topic_arn,
                slack_secret=slack_secret,
                dashboard=dashboard.name,
            ).to_environment(),
            environment_encryption=key,
            # Storing takes a second. The rest is for a slow Slack, which may ask for a pause, too.
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
            # Unlike the responder's, its work is worth doing late: a report tells what was done,
            # however old it is.
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
        messaging.tell_people(*self._alarms())

    def _role(
        self, slack_secret: str | None, key: kms.IKey | None, messaging: Messaging, records: Records
    ) -> iam.Role:
        """May write, not read, the evidence, which names people's sessions; incidents are read to
        go on with them.

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
                reason="A report's key is known when it comes; the bucket holds nothing else, and "
                "keeps every version.",
            ),
            Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="Neither rds:DescribeEvents nor cloudwatch:GetMetricData knows "
                "resource-level permissions; both only read, events and figures.",
            ),
        )
        messaging.incidents.grant_publish(role)
        if key is not None:
            key.grant(role, *KEY_ACTIONS)
        if slack_secret is not None:
            role.add_to_policy(self._read(slack_secret))
        return role

    def _read(self, secret: str) -> iam.PolicyStatement:
        """Secrets Manager ends each ARN with six characters of its own choice."""
        arn = Stack.of(self).format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{secret}-??????",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[arn])

    def _alarms(self) -> list[cloudwatch.Alarm]:
        """That it failed, and that what it failed on could not be put into its dead-letter
        queue.
        """
        return [
            self.function.metric(metric, statistic="Sum").create_alarm(
                self,
                metric,
                alarm_name=f"{Stack.of(self).stack_name}-reporter-{wording}",
                alarm_description=f"{what} Its log: {self.function.log_group.log_group_name}",
                threshold=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                evaluation_periods=1,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # it did not run
            )
            for metric, wording, what in (
                (
                    "Errors",
                    "errors",
                    "The reporter failed: an incident may not have been told to people.",
                ),
                (
                    "DestinationDeliveryFailures",
                    "losses",
                    "A report was lost that the reporter could not handle.",
                ),
            )
        ]
