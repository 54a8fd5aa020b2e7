"""The construct: it guards databases, wherever they are described."""

from collections.abc import Sequence
from zlib import crc32

from aws_cdk import CfnOutput, NestedStack, RemovalPolicy, Stack, Token
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    Database,
    Notifications,
)
from connection_guard.core.deployment.reporter_settings import (
    ApplicationOwner,
    databases_path,
    responders_log_group,
)
from connection_guard.core.deployment.stack_output import StackOutput, responder_description
from connection_guard_cdk.database.guarded_database import GuardedDatabase
from connection_guard_cdk.network.network_access import NetworkAccess
from connection_guard_cdk.shared.dashboard import Dashboard, database_widgets
from connection_guard_cdk.shared.messaging import Messaging
from connection_guard_cdk.shared.records import Records
from connection_guard_cdk.shared.reporter_function import ReporterFunction
from connection_guard_cdk.shared.shared_parts import SharedParts

# A database stays in its nested stack as long as this number stays what it is: a change would move
# most databases to another one, and leave them unguarded meanwhile.
NESTED_STACKS = 8


class ConnectionGuard(Construct):
    """What guards databases: a responder and alarms for each, and what they share.

    `incidents` is the topic that people and machines subscribe to; `alarms` are all alarms on
    databases, in the order in which these were added.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        emails: Sequence[str] = (),
        slack_secret: str | None = None,
        pagerduty_secret: str | None = None,
        teams_secret: str | None = None,
        event_bus: str | None = None,
        deployments: bool = True,
        application_owners: Sequence[ApplicationOwner] = (),
        architecture: Architecture = Architecture.ARM64,
        key: kms.IKey | None = None,
        alarm_prefix: str | None = None,
        nested_stacks: bool = False,
    ) -> None:
        """`key` is the customer's, for logs, incidents, evidence and the functions' environments;
        without it AWS's own keys are used. `alarm_prefix` begins the names of all alarms; without
        it the stack's name does. With `nested_stacks` a database's part is in one of NESTED_STACKS
        nested stacks, for more databases than one stack can hold.
        """
        super().__init__(scope, identifier)
        prefix = alarm_prefix or Stack.of(self).stack_name
        self._nested_stacks = nested_stacks
        self._parts: dict[str, NestedStack] = {}
        self._guarded: list[GuardedDatabase] = []
        notifications = Notifications(
            tuple(emails), slack_secret, pagerduty_secret, teams_secret, event_bus, deployments
        )
        messaging = Messaging(self, "Messaging", prefix)
        messaging.notify_by_email(emails)
        records = Records(self, "Records", key)
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=responders_log_group(prefix),
            encryption_key=key,
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,  # the reporter keeps the reports themselves
        )
        self._shared = SharedParts(
            messaging,
            NetworkAccess(self, "Network"),
            log,
            databases_path(prefix),
            architecture,
            prefix,
            key,
        )
        dashboard = Dashboard(self, "Dashboard", prefix, log.log_group_name)
        self._reporter = ReporterFunction(
            self,
            "Reporter",
            notifications,
            tuple(application_owners),
            dashboard,
            records,
            self._shared,
        ).function
        for output, value, description in (
            ("DashboardAddress", dashboard.url, "How full the databases are"),
            (
                StackOutput.REPORTER,
                self._reporter.function_name,
                "The function that notifies people; `make notify-test` invokes it",
            ),
            (
                StackOutput.INCIDENTS_TOPIC,
                messaging.incidents.topic_arn,
                "Subscribe the people who are on duty, and machines",
            ),
            (
                StackOutput.REPORTER_ALARMS_TOPIC,
                messaging.reporter_alarms.topic_arn,
                "Subscribe the people who are on duty: the reporter itself fails",
            ),
            (
                StackOutput.INCIDENTS_TABLE,
                records.table.table_name,
                "The incidents; kept on removal",
            ),
            (
                StackOutput.EVIDENCE_BUCKET,
                records.bucket.bucket_name,
                "The evidence; kept on removal",
            ),
            (
                StackOutput.RESPONDERS_LOG,
                log.log_group_name,
                "The log of every run on every database",
            ),
        ):
            CfnOutput(self, output, value=value, description=description)

    @property
    def incidents(self) -> sns.ITopic:
        """Return the topic of the incidents."""
        return self._shared.messaging.incidents

    @property
    def alarms(self) -> tuple[cloudwatch.Alarm, ...]:
        """Return the alarms on all databases."""
        return tuple(alarm for each in self._guarded for alarm in each.alarms)

    def add(self, database: Database, name: str | None = None) -> GuardedDatabase:
        """Guard a database. `name` is that of its construct, for an identifier that is a token."""
        name = name or database.identifier
        guarded = GuardedDatabase(self._place_of(name), name, database, self._shared)
        # The reporter reads what responders of its version and older ones send, and an update
        # changes it first: an older one would take a new kind of report for trouble.
        guarded.responder.node.add_dependency(self._reporter)
        self._guarded.append(guarded)
        CfnOutput(
            self,
            f"{name}:ResponderName",
            value=guarded.watched.function_name,
            # CloudFormation takes only plain text for it.
            description=responder_description(
                name if Token.is_unresolved(database.identifier) else database.identifier
            ),
        )
        return guarded

    def dashboard_widgets(self, database: Database) -> list[cloudwatch.ConcreteWidget]:
        """Return the widgets of a guarded database, for a dashboard of somebody's own."""
        return database_widgets(database, self._shared.log.log_group_name)

    def _place_of(self, name: str) -> Construct:
        """Return where a database's part belongs: always the same nested stack, whichever other
        databases there are.
        """
        if not self._nested_stacks:
            return self
        part = f"Databases{crc32(name.encode()) % NESTED_STACKS + 1}"
        if part not in self._parts:
            self._parts[part] = NestedStack(
                self, part, description="Connection Guard: responders and alarms of some databases"
            )
        return self._parts[part]
