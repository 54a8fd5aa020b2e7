"""The reporter: the function outside the VPC that stores every report and notifies people."""

from aws_cdk import Acknowledgment, Duration, Names, RemovalPolicy, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Notifications
from connection_guard.core.deployment.reporter_settings import (
    APPLICATION_OWNERS_FILE,
    ApplicationOwner,
    ReporterSettings,
    write_application_owners,
)
from connection_guard_cdk.packages.build_package import PYTHON
from connection_guard_cdk.packages.function_code import function_code
from connection_guard_cdk.shared.dashboard import Dashboard
from connection_guard_cdk.shared.every_minute import EveryMinute
from connection_guard_cdk.shared.records import Records
from connection_guard_cdk.shared.reporter_queue import ReporterQueue
from connection_guard_cdk.shared.reporter_role import reporter_role
from connection_guard_cdk.shared.shared_parts import SharedParts

# Of the messages in the queue. An account has 1,000 concurrent executions, a new one 10, of which
# the responders need some.
MOST_AT_ONCE = 5


class ReporterFunction(Construct):
    """One function for all databases: it takes what waits in its queue, and notifies people every
    minute of what could not be notified before.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        notifications: Notifications,
        application_owners: tuple[ApplicationOwner, ...],
        dashboard: Dashboard,
        records: Records,
        shared: SharedParts,
    ) -> None:
        super().__init__(scope, identifier)
        architecture, key, messaging = shared.architecture, shared.key, shared.messaging
        self._alarm_prefix = shared.alarm_prefix
        name = Names.unique_resource_name(
            self, max_length=64, separator="-", allowed_special_characters="-"
        )
        owners = write_application_owners(application_owners).encode()
        queue = ReporterQueue(self, "Queue", shared)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description="Connection Guard: stores the responders' reports and notifies people",
            runtime=lambda_.Runtime(f"python{PYTHON}", lambda_.RuntimeFamily.PYTHON),
            architecture=lambda_.Architecture.custom(architecture.value),
            code=function_code(self, "reporter", architecture, {APPLICATION_OWNERS_FILE: owners}),
            handler="reporter.handler.lambda_handler",
            environment=ReporterSettings(
                table=records.table.table_name,
                bucket=records.bucket.bucket_name,
                incidents_topic=messaging.incidents.topic_arn,
                unreadable_queue=queue.unreadable.queue_url,
                dashboard=dashboard.name,
                databases_path=shared.databases_path,
                log_group=shared.log.log_group_name,
                slack_secret=notifications.slack_secret,
                pagerduty_secret=notifications.pagerduty_secret,
                teams_secret=notifications.teams_secret,
                event_bus=notifications.event_bus,
                reads_deployments=notifications.deployments,
            ).to_environment(),
            environment_encryption=key,
            # Storing takes a second. The rest is for channels, which may be slow or ask for a
            # pause; a run of the schedule lasts until that of the next minute takes over.
            timeout=Duration.seconds(85),
            memory_size=256,
            role=reporter_role(
                self, notifications, key, messaging, queue, records, shared.databases_path
            ),
            log_group=logs.LogGroup(
                self,
                "Log",
                log_group_name=f"/aws/lambda/{name}",
                encryption_key=key,
                retention=logs.RetentionDays.THREE_MONTHS,
                # The table and the bucket keep the reports themselves.
                removal_policy=RemovalPolicy.DESTROY,
            ),
            # Only the schedule invokes it asynchronously, and the next minute is the next try.
            retry_attempts=0,
            max_event_age=Duration.seconds(60),
        )
        self.function.log_group.grant_write(self.function)
        # What older versions delivered to the function directly is in the queue before an update
        # makes the function one that reads only from there.
        self.function.node.add_dependency(queue)
        Validations.of(self.function).acknowledge(
            Acknowledgment(
                id="AwsSolutions-L1",
                reason="The libraries are pinned and tested for one Python version, which "
                "build_package.py names.",
            )
        )
        lambda_.EventSourceMapping(
            self,
            "FromQueue",
            target=self.function,
            event_source_arn=queue.main.queue_arn,
            # A message that fails takes no other with it.
            batch_size=1,
            max_concurrency=MOST_AT_ONCE,
        )
        EveryMinute(self, "Schedule", self.function, "notifies people of what is pending")
        messaging.notify_people_of(self._failed())

    def _failed(self) -> cloudwatch.Alarm:
        """Return the alarm on its errors. A store that is down is one every two minutes, so that
        within five minutes the alarm does not clear between them.
        """
        return self.function.metric_errors(
            statistic="Sum", period=Duration.minutes(5)
        ).create_alarm(
            self,
            "Errors",
            alarm_name=f"{self._alarm_prefix}-reporter-failed",
            alarm_description="The reporter fails: people may not be notified of incidents. The "
            "table or the bucket may be down, a permission may be missing, or a channel has "
            "refused everything for ten minutes: the log names the error. Nothing is lost: what "
            "it could not handle comes back every two minutes, what a channel refused is sent "
            "again, and both are done as soon as that is possible. The reporter's log: "
            f"{self.function.log_group.log_group_name}",
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # it did not run
        )
