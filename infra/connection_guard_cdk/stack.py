"""The stack: it composes the constructs, and its outputs say what to do next."""

from collections.abc import Mapping

from aws_cdk import (
    Annotations,
    CfnOutput,
    CliCredentialsStackSynthesizer,
    DefaultStackSynthesizer,
    Environment,
    IStackSynthesizer,
    Stack,
)
from aws_cdk import aws_kms as kms
from constructs import Construct

from connection_guard.configuration.bootstrap_command import bootstrap_command
from connection_guard.configuration.guard.guard_configuration import Configuration, Synthesizer
from connection_guard.core.deployment.stack_output import StackOutput, responder_description
from connection_guard_cdk.database.guarded_database import GuardedDatabase
from connection_guard_cdk.shared.dashboard import Dashboard
from connection_guard_cdk.shared.messaging import Messaging
from connection_guard_cdk.shared.records import Records
from connection_guard_cdk.shared.reporter_function import ReporterFunction


class ConnectionGuardStack(Stack):
    """Everything that guards the databases of one guard.toml."""

    def __init__(self, scope: Construct, configuration: Configuration) -> None:
        target = configuration.target
        super().__init__(
            scope,
            target.stack_name,
            description="Connection Guard: keeps RDS and Aurora PostgreSQL reachable when "
            "connections run out",
            env=Environment(account=target.account, region=target.region),
            synthesizer=_synthesizer(target.synthesizer),
            tags=_tags(target.tags),
        )
        key = None if target.kms_key is None else kms.Key.from_key_arn(self, "Key", target.kms_key)
        messaging = Messaging(self, "Messaging")
        messaging.notify_by_email(configuration.notifications.emails)
        records = Records(self, "Records", key)
        dashboard = Dashboard(self, "Dashboard", configuration.databases)
        CfnOutput(
            self,
            StackOutput.INCIDENTS_TOPIC,
            value=messaging.incidents.topic_arn,
            description="Subscribe the people who are on duty, and machines",
        )
        CfnOutput(
            self,
            StackOutput.REPORTER_ALARMS_TOPIC,
            value=messaging.reporter_alarms.topic_arn,
            description="Subscribe the people who are on duty: the reporter itself fails",
        )
        CfnOutput(
            self, "DashboardAddress", value=dashboard.url, description="How full the databases are"
        )
        CfnOutput(
            self,
            StackOutput.INCIDENTS_TABLE,
            value=records.table.table_name,
            description="The incidents; kept on removal",
        )
        CfnOutput(
            self,
            StackOutput.EVIDENCE_BUCKET,
            value=records.bucket.bucket_name,
            description="The evidence; kept on removal",
        )
        guarded = []
        for database in configuration.databases:
            guarded.append(GuardedDatabase(self, database, target, key, messaging))
            _output_next_steps(guarded[-1])
        reporter = ReporterFunction(
            self,
            "Reporter",
            configuration,
            [each.watched for each in guarded],
            dashboard,
            key,
            messaging,
            records,
        )
        CfnOutput(
            self,
            StackOutput.REPORTER,
            value=reporter.function.function_name,
            description="The function that notifies people; `make notify-test` invokes it",
        )
        for each in guarded:
            # The reporter reads what responders of its version and older ones send, and an update
            # changes it first: an older one would take a new kind of report for trouble.
            each.responder.node.add_dependency(reporter.function)
        if not configuration.notifications.emails:
            Annotations.of(self).add_warning_v2(
                "connection-guard:no-email",
                "Only the reporter notifies people: if it fails completely, nobody is notified. "
                "Name at least one e-mail address in guard.toml.",
            )


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags with the guard's own, unless its key is among them: to IAM a key in capitals
    is the same key.
    """
    own = {} if "application" in map(str.lower, tags) else {"application": "connection-guard"}
    return {**own, **tags}


def _synthesizer(synthesizer: Synthesizer) -> IStackSynthesizer:
    match synthesizer:
        case Synthesizer.BOOTSTRAP_ROLES:
            return DefaultStackSynthesizer()
        case Synthesizer.CLI_CREDENTIALS:
            return CliCredentialsStackSynthesizer()


def _output_next_steps(guarded: GuardedDatabase) -> None:
    name = guarded.database.identifier
    outputs = (
        (
            "BootstrapCommand",
            f"Run this once, before {name} is guarded",
            bootstrap_command(guarded.database),
        ),
        ("ResponderName", responder_description(name), guarded.responder.function_name),
        (
            "ResponderLogName",
            f"The log of every run on {name}",
            guarded.responder.log_group.log_group_name,
        ),
    )
    for output, description, value in outputs:
        CfnOutput(guarded, output, value=value, description=description)
