"""The construct: it guards databases, wherever they are described."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Unpack

from aws_cdk import CfnOutput, NestedStack, RemovalPolicy, Stack, Stage
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    Database,
)
from connection_guard.core.deployment.reporter_settings import (
    ApplicationOwner,
    databases_path,
    responders_log_group,
)
from connection_guard.core.deployment.stack_output import StackOutput
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.database.guarded_database import GuardedDatabase
from connection_guard_cdk.described.described_database import described
from connection_guard_cdk.described.guard_options import (
    checked_architecture,
    checked_notifications,
)
from connection_guard_cdk.described.watch_options import WatchOptions
from connection_guard_cdk.nested_stacks import nested_stack_of
from connection_guard_cdk.network.network_access import NetworkAccess
from connection_guard_cdk.packages.build_package import build_package
from connection_guard_cdk.packages.function_code import packages_folder
from connection_guard_cdk.shared.dashboard import Dashboard, database_widgets
from connection_guard_cdk.shared.key_policy import let_logs_use
from connection_guard_cdk.shared.messaging import Messaging
from connection_guard_cdk.shared.records import Records
from connection_guard_cdk.shared.reporter_function import ReporterFunction
from connection_guard_cdk.shared.shared_parts import SharedParts


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
        incident_accounts: Sequence[str] = (),
        slack_secret: str | None = None,
        pagerduty_secret: str | None = None,
        teams_secret: str | None = None,
        event_bus: str | None = None,
        deployments: bool = True,
        application_owners: Sequence[ApplicationOwner] = (),
        architecture: Architecture = Architecture.ARM64,
        key: kms.IKey | None = None,
        log_group: logs.ILogGroup | None = None,
        incidents_topic: sns.ITopic | None = None,
        table: dynamodb.ITable | None = None,
        bucket: s3.IBucket | None = None,
        alarm_prefix: str | None = None,
        nested_stacks: bool = False,
    ) -> None:
        """`key` is the customer's, for logs, incidents, evidence and the functions' environments;
        without it AWS's own keys are used. `alarm_prefix` begins the names of all alarms; without
        it the stack's name does. With `nested_stacks` a database's part is in one of some nested
        stacks, for more databases than one stack can hold. `incident_accounts` are other accounts
        that may subscribe to the incidents. `log_group` is the responders', `incidents_topic` where
        incidents are published, `table` and `bucket` are where incidents and evidence are stored;
        each is created where it is None.

        Raise ConfigurationError with one line for every mistake.
        """
        super().__init__(scope, identifier)
        prefix = alarm_prefix or Stack.of(self).stack_name
        architecture = checked_architecture(self, architecture, prefix)
        _refuse_second_of_that_name(self, prefix)
        self.name = prefix
        self._nested_stacks = nested_stacks
        self._parts: dict[str, NestedStack] = {}
        self._guarded: list[GuardedDatabase] = []
        self._watched: dict[str, GuardedDatabase] = {}
        self._notifications = notifications = checked_notifications(
            self.node.path,
            emails=list(emails) if isinstance(emails, tuple) else emails,
            incident_accounts=list(incident_accounts),
            slack_secret=slack_secret,
            pagerduty_secret=pagerduty_secret,
            teams_secret=teams_secret,
            event_bus=event_bus,
            deployments=deployments,
        )
        let_logs_use(key, Stack.of(self))
        messaging = Messaging(self, "Messaging", prefix, incidents_topic)
        messaging.notify_by_email(emails)
        messaging.let_subscribe(incident_accounts)
        records = Records(self, "Records", key, table, bucket)
        log = log_group or logs.LogGroup(
            self,
            "Log",
            log_group_name=responders_log_group(prefix),
            encryption_key=key,
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,  # the reporter keeps the reports themselves
        )
        packages = packages_folder(self)
        self._shared = SharedParts(
            messaging,
            NetworkAccess(self, "Network"),
            log,
            databases_path(prefix),
            architecture,
            prefix,
            cache(
                lambda policy: str(
                    build_package("responder", architecture, {"policy.toml": policy}, packages)
                )
            ),
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
        return guarded

    def watch(
        self,
        database: rds.IDatabaseInstance | rds.IDatabaseCluster,
        **options: Unpack[WatchOptions],
    ) -> GuardedDatabase:
        """Guard a database of the CDK. Raise ConfigurationError with one line for every mistake,
        and for everything that the construct does not know and has to be passed.
        """
        description = described(database, Stack.of(self), options)
        path = database.node.path
        if description.slack_channel and self._notifications.slack_secret is None:
            raise ConfigurationError(
                f"{path}: slack_channel: Slack is not notified; pass slack_secret to "
                f"{self.node.path}, or remove this"
            )
        for other, guarded in self._watched.items():
            if other == path:
                raise ConfigurationError(f"{path}: is watched already; remove one watch")
            if guarded.database.identifier == description.identifier:
                raise ConfigurationError(
                    f"{path}: has the identifier of {other}, {description.identifier}, after which "
                    "alarms are named; remove one watch"
                )
        # Also part of the name of a parameter of Systems Manager.
        self._watched[path] = self.add(description, re.sub(r"[^A-Za-z0-9_.-]+", "-", path))
        return self._watched[path]

    def dashboard_widgets(
        self, database: rds.IDatabaseInstance | rds.IDatabaseCluster
    ) -> list[cloudwatch.ConcreteWidget]:
        """Return widgets on a watched database, for a dashboard of your own. Raise
        ConfigurationError for one that is not watched.
        """
        path = database.node.path
        if path not in self._watched:
            raise ConfigurationError(
                f"{path}: is not watched by {self.node.path}; call watch before dashboard_widgets"
            )
        watched = self._watched[path]
        return database_widgets(watched.database, self._shared.log.log_group_name)

    def _place_of(self, name: str) -> Construct:
        """Return where a database's part belongs."""
        if not self._nested_stacks:
            return self
        part = nested_stack_of(name)
        if part not in self._parts:
            self._parts[part] = NestedStack(
                self, part, description="Connection Guard: responders and alarms of some databases"
            )
        return self._parts[part]


def _refuse_second_of_that_name(guard: ConnectionGuard, name: str) -> None:
    """Raise ConfigurationError where another guard of the account and region has the name: log,
    parameters, alarms and dashboard are named after it.
    """
    stage = Stage.of(guard)
    assert stage is not None
    for each in stage.node.find_all():
        if (
            isinstance(each, ConnectionGuard)
            and each is not guard
            and each.name == name
            and Stack.of(each).environment == Stack.of(guard).environment
        ):
            raise ConfigurationError(
                f"{guard.node.path}: {each.node.path} has the same name, {name}; let that one "
                "watch the databases, or give this one an alarm_prefix"
            )
