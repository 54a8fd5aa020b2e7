"""The stack behind a released template: the guard of one database, which parameters describe."""

from collections.abc import Mapping

from aws_cdk import (
    Acknowledgment,
    CfnCondition,
    CfnParameter,
    DefaultStackSynthesizer,
    Fn,
    Stack,
    Token,
    Validations,
)
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    Database,
    ExistingProxy,
    Network,
    ProxyAuthentication,
)
from connection_guard.configuration.guard.policy_of_database import PolicyFile
from connection_guard.configuration.max_connections.estimate import Estimate
from connection_guard_cdk.connection_guard import ConnectionGuard
from connection_guard_cdk.release.release_parameters import Variant, create_parameters

# The CDK takes no token for the name of a stack: the template gets AWS::StackName in its place.
STACK_NAME = "NAME-OF-THE-STACK"
NAME_OF_DATABASE = "Database"


class ReleaseStack(Stack):
    """The guard of one database, whose functions' packages are in a bucket of the deployer's."""

    def __init__(
        self, scope: Construct, variant: Variant, policy: PolicyFile, architecture: Architecture
    ) -> None:
        super().__init__(
            scope,
            # The same for all variants: it is part of some logical IDs, so that a stack can change
            # from one template to another.
            "ConnectionGuard",
            stack_name=STACK_NAME,
            description="Connection Guard: keeps a database of RDS or Aurora PostgreSQL reachable "
            "when connections run out",
            synthesizer=DefaultStackSynthesizer(
                file_assets_bucket_name="${CodeBucket}",
                bucket_prefix="${CodePrefix}",
                generate_bootstrap_version_rule=False,
            ),
        )
        parameters = create_parameters(self, variant, policy.policy)
        guard = ConnectionGuard(
            self,
            "Default",
            emails=[parameters["Email"].value_as_string],
            slack_secret=parameters["SlackSecret"].value_as_string,
            architecture=architecture,
        )
        guard.add(self._database(parameters, variant, policy), NAME_OF_DATABASE)
        Validations.of(self).acknowledge(
            Acknowledgment(
                id="CloudFormation-Validate::W2509",
                reason="SlackSecret is the name of a secret, not its value.",
            )
        )

    def _database(
        self, parameters: Mapping[str, CfnParameter], variant: Variant, policy: PolicyFile
    ) -> Database:
        """Return the database that the parameters describe."""

        def text(name: str) -> str:
            return parameters[name].value_as_string

        def number(name: str) -> int:
            return int(parameters[name].value_as_number)

        is_given = CfnCondition(
            self,
            "WatchFromIsGiven",
            expression=Fn.condition_not(Fn.condition_equals(text("WatchFromPercent"), "")),
        )
        watch_from = Fn.condition_if(
            is_given.logical_id, text("WatchFromPercent"), number("WarningPercent")
        )
        subnets = tuple(parameters["Subnets"].value_as_list)
        usable = number("UsableConnections")
        return Database(
            identifier=text("DatabaseIdentifier"),
            is_cluster=variant.is_cluster,
            database_name=text("DatabaseName"),
            host=text("Endpoint"),
            port=number("Port"),
            resource_id=text("ResourceId"),
            max_connections=Estimate(usable, "It is a parameter of the stack.", usable),
            network=Network(text("Vpc"), subnets, ("any",) * len(subnets)),
            security_groups=(text("DatabaseSecurityGroup"),),
            proxy=ExistingProxy(
                host=text("ProxyEndpoint"),
                port=number("ProxyPort"),
                resource_id=text("ProxyResourceId"),
                security_groups=(text("ProxySecurityGroup"),),
                authentication=ProxyAuthentication.IAM,
                role=text("ProxyRole"),
            )
            if variant.has_proxy
            else None,
            role=text("Role"),
            policy_file=policy.file,
            policy=policy.policy,
            warning_percent=number("WarningPercent"),
            critical_percent=number("CriticalPercent"),
            watch_from_percent=Token.as_number(watch_from),
            owner=None,
            runbook=None,
            environment=None,
            slack_channel=None,
        )
