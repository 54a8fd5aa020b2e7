"""The construct: it guards databases, wherever they are described."""

from collections.abc import Sequence
from functools import cache

from aws_cdk import CfnOutput, NestedStack, RemovalPolicy, Stack, Token
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_sns as sns
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    Database,
    ExistingProxy,
    Notifications,
)
from connection_guard.core.deployment.reporter_settings import (
    ApplicationOwner,
    databases_path,
    responders_log_group,
)
from connection_guard.core.deployment.stack_output import StackOutput, responder_description
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.database.guarded_database import GuardedDatabase
from connection_guard_cdk.described.described_database import described
from connection_guard_cdk.nested_stacks import nested_stack_of
from connection_guard_cdk.network.network_access import NetworkAccess
from connection_guard_cdk.packages.build_package import build_package
from connection_guard_cdk.packages.function_code import packages_folder
from connection_guard_cdk.shared.dashboard import Dashboard, database_widgets
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
        alarm_prefix: str | None = None,
        nested_stacks: bool = False,
    ) -> None:
        """`key` is the customer's, for logs, incidents, evidence and the functions' environments;
        without it AWS's own keys are used. `alarm_prefix` begins the names of all alarms; without
        it the stack's name does. With `nested_stacks` a database's part is in one of some nested
        stacks, for more databases than one stack can hold. `incident_accounts` are other accounts
        that may subscribe to the incidents.
        """
        super().__init__(scope, identifier)
        prefix = alarm_prefix or Stack.of(self).stack_name
        _refuse_second_of_that_name(self, prefix)
        self.name = prefix
        self._nested_stacks = nested_stacks
        self._parts: dict[str, NestedStack] = {}
        self._guarded: list[GuardedDatabase] = []
        self._watched: dict[str, GuardedDatabase] = {}
        notifications = Notifications(
            tuple(emails), slack_secret, pagerduty_secret, teams_secret, event_bus, deployments
        )
        messaging = Messaging(self, "Messaging", prefix)
        messaging.notify_by_email(emails)
        messaging.let_subscribe(incident_accounts)
        records = Records(self, "Records", key)
        log = logs.LogGroup(
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

    def watch(
        self,
        database: rds.IDatabaseInstance | rds.IDatabaseCluster,
        *,
        proxy: rds.IDatabaseProxy | ExistingProxy | None = None,
        proxy_role: str | None = None,
        policy: str | None = None,
        warning: float | None = None,
        critical: float | None = None,
        watch_from: float | None = None,
        role: str | None = None,
        database_name: str | None = None,
        owner: str | None = None,
        runbook: str | None = None,
        environment: str | None = None,
        slack_channel: str | None = None,
        instance_class: str | None = None,
        memory_gib: float | None = None,
        minimum_acu: float | None = None,
        maximum_acu: float | None = None,
        max_connections: str | int | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        resource_id: str | None = None,
    ) -> GuardedDatabase:
        """Guard a database of the CDK. The arguments up to `max_connections` mean what they mean in
        guard.toml; `policy` is a path from the working directory, without which the shipped policy
        applies. `proxy_role` is the role for a proxy that logs in with passwords.

        What a construct does not know of a database that exists already has to be passed: its
        class, `vpc`, `resource_id`. Raise ConfigurationError with one line for every mistake.
        """
        written = {
            "policy": policy,
            "warning": warning,
            "critical": critical,
            "watch_from": watch_from,
            "role": role,
            "database_name": database_name,
            "owner": owner,
            "runbook": runbook,
            "environment": environment,
            "slack_channel": slack_channel,
            "instance_class": instance_class,
            "memory_gib": memory_gib,
            "minimum_acu": minimum_acu,
            "maximum_acu": maximum_acu,
            "max_connections": max_connections,
        }
        description = described(
            database,
            Stack.of(self),
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_groups=security_groups,
            resource_id=resource_id,
            proxy=proxy,
            proxy_role=proxy_role,
            written={key: value for key, value in written.items() if value is not None},
        )
        name = database.node.path.replace("/", "-")
        if name in self._watched:
            raise ConfigurationError(f"{database.node.path}: is watched already; remove one watch")
        self._watched[name] = self.add(description, name)
        return self._watched[name]

    def dashboard_widgets(
        self, database: rds.IDatabaseInstance | rds.IDatabaseCluster
    ) -> list[cloudwatch.ConcreteWidget]:
        """Return widgets on a watched database, for a dashboard of your own."""
        watched = self._watched[database.node.path.replace("/", "-")]
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
    """Raise ConfigurationError where another guard of the stack has the name: log, parameters and
    dashboard are named after it.
    """
    for each in Stack.of(guard).node.find_all():
        if isinstance(each, ConnectionGuard) and each is not guard and each.name == name:
            raise ConfigurationError(
                f"{guard.node.path}: {each.node.path} has the same name, {name}; let that one "
                "watch the databases, or give this one an alarm_prefix"
            )
