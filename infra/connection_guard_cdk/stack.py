"""The stack of one guard.toml."""

from collections.abc import Mapping

from aws_cdk import (
    Annotations,
    CliCredentialsStackSynthesizer,
    DefaultStackSynthesizer,
    Environment,
    IStackSynthesizer,
    Stack,
)
from aws_cdk import aws_kms as kms
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Configuration, Synthesizer
from connection_guard_cdk.connection_guard import ConnectionGuard


class ConnectionGuardStack(Stack):
    """Everything that guards the databases of one guard.toml."""

    def __init__(
        self, scope: Construct, configuration: Configuration, identifier: str | None = None
    ) -> None:
        """`identifier` is what the CDK calls it, where the stack's name is not unique."""
        target, notifications = configuration.target, configuration.notifications
        super().__init__(
            scope,
            identifier or target.stack_name,
            stack_name=target.stack_name,
            description="Connection Guard: keeps RDS and Aurora PostgreSQL reachable when "
            "connections run out",
            env=Environment(account=target.account, region=target.region),
            synthesizer=_synthesizer(target.synthesizer),
            tags=_tags(target.tags),
        )
        key = None if target.kms_key is None else kms.Key.from_key_arn(self, "Key", target.kms_key)
        guard = ConnectionGuard(
            self,
            # The CDK leaves this name out of the names of resources: those that were created before
            # there was a construct keep theirs.
            "Default",
            emails=notifications.emails,
            incident_accounts=notifications.incident_accounts,
            slack_secret=notifications.slack_secret,
            pagerduty_secret=notifications.pagerduty_secret,
            teams_secret=notifications.teams_secret,
            event_bus=notifications.event_bus,
            deployments=notifications.deployments,
            application_owners=configuration.application_owners,
            architecture=target.architecture,
            key=key,
            nested_stacks=True,
        )
        for database in configuration.databases:
            guard.add(database)
        if not notifications.emails:
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
