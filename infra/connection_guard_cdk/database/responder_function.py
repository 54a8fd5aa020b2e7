"""The responder: the function inside the VPC that frees slots, with everything that it may do."""

from dataclasses import asdict

from aws_cdk import Acknowledgment, ArnFormat, Duration, Names, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Database, ExistingProxy
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.events import MAXIMUM_EVENT_AGE
from connection_guard.core.deployment.responder_settings import (
    ENVIRONMENT_VARIABLE,
    ResponderSettings,
)
from connection_guard_cdk.database.login_permission import may_log_in
from connection_guard_cdk.database.usage_alarms import tiers_by_alarm
from connection_guard_cdk.network.network_access import vpc_of
from connection_guard_cdk.packages.build_package import PYTHON
from connection_guard_cdk.shared.shared_parts import SharedParts

# Lambda's own work on network interfaces. The actions that describe have no resource-level
# permissions, and the interfaces have no names beforehand:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
NETWORK_INTERFACE_ACTIONS = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)


class ResponderFunction(Construct):
    """The responder of one database. `proxy` is the RDS Proxy in front of it, None without one.

    `name` is the function's name in plain text, whereas `function.function_name` is a reference.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        database: Database,
        proxy: ExistingProxy | None,
        shared: SharedParts,
    ) -> None:
        super().__init__(scope, identifier)
        key = shared.key
        self.security_group = group = shared.network.of_responder(database, proxy)
        # The name is known beforehand, so that the role can name the function that has it, and the
        # reporter the function that a failure is about.
        self.name = name = Names.unique_resource_name(
            self, max_length=64, separator="-", allowed_special_characters="-"
        )
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            # Inline, so that it is no resource of its own, and exists before the function does.
            inline_policies={
                "Responder": iam.PolicyDocument(
                    statements=[
                        *_may_log_and_publish(shared),
                        may_log_in(self, _logins(database, proxy)),
                        *_only_lambda_manages_network_interfaces(self, name),
                    ]
                )
            },
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=f"Connection Guard: frees slots of {database.identifier} before clients "
            "are refused",
            runtime=lambda_.Runtime(f"python{PYTHON}", lambda_.RuntimeFamily.PYTHON),
            architecture=lambda_.Architecture.custom(shared.architecture.value),
            code=lambda_.Code.from_asset(
                shared.responder_package(database.policy_file.read_bytes())
            ),
            handler="responder.handler.lambda_handler",
            environment=_environment(self, database, proxy, shared.alarm_prefix),
            environment_encryption=key,
            # A remediation ends before the heartbeat of the next minute, and does not delay it.
            timeout=Duration.seconds(55),
            # It needs 128 MB for 5,000 sessions. Lambda gives processor time in proportion to
            # memory: the rest shortens a cold start, signing and TLS.
            memory_size=512,
            role=role.without_policy_updates(),
            log_group=shared.log,
            vpc=vpc_of(self, "Vpc", database.network),
            security_groups=[group],
            # A late run would act on an old alarm, and a run that failed may have acted.
            retry_attempts=0,
            max_event_age=Duration.seconds(MAXIMUM_EVENT_AGE.total_seconds()),
            on_success=destinations.SnsDestination(shared.messaging.reports),
            on_failure=destinations.SnsDestination(shared.messaging.failures),
        )
        Validations.of(role).acknowledge(
            Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="Lambda's own work on network interfaces cannot be narrowed; the code is "
                "denied it.",
            )
        )
        Validations.of(self.function).acknowledge(
            Acknowledgment(
                id="AwsSolutions-L1",
                reason="The version is that of the package's compiled libraries, and changes with "
                "them.",
            )
        )


def _may_log_and_publish(shared: SharedParts) -> list[iam.PolicyStatement]:
    messaging = shared.messaging
    statements = [
        iam.PolicyStatement(
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[shared.log.log_group_arn],
        ),
        iam.PolicyStatement(
            actions=["sns:Publish"],
            resources=[messaging.reports.topic_arn, messaging.failures.topic_arn],
        ),
        iam.PolicyStatement(
            actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[messaging.key.key_arn]
        ),
    ]
    if shared.key is not None:
        statements.append(
            iam.PolicyStatement(actions=["kms:Decrypt"], resources=[shared.key.key_arn])
        )
    return statements


def _only_lambda_manages_network_interfaces(
    scope: Construct, function: str
) -> list[iam.PolicyStatement]:
    """Return what allows Lambda to manage network interfaces, and denies that to the function's
    code.

    The code has every permission of the role that is not denied to it. AWS advises this on the page
    above.
    """
    arn = Stack.of(scope).format_arn(
        service="lambda",
        resource="function",
        resource_name=function,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return [
        iam.PolicyStatement(actions=list(NETWORK_INTERFACE_ACTIONS), resources=["*"]),
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=[*NETWORK_INTERFACE_ACTIONS, "ec2:DetachNetworkInterface"],
            resources=["*"],
            conditions={"ArnEquals": {"lambda:SourceFunctionArn": arn}},
        ),
    ]


def _logins(database: Database, proxy: ExistingProxy | None) -> list[tuple[str, str]]:
    direct = (database.resource_id, database.role)
    return [direct] if proxy is None else [(proxy.resource_id, proxy.role), direct]


def _environment(
    scope: Construct, database: Database, proxy: ExistingProxy | None, alarm_prefix: str
) -> dict[str, str]:
    """Return the settings as the function reads them. They may contain tokens, also numbers, which
    only the CDK's own JSON keeps.
    """
    settings = ResponderSettings(
        database=database.identifier,
        database_name=database.database_name,
        region=Stack.of(scope).region,
        proxy=None if proxy is None else Door(DoorName.PROXY, proxy.host, proxy.port, proxy.role),
        direct=Door(DoorName.DIRECT, database.host, database.port, database.role),
        warning_percent=database.warning_percent,
        critical_percent=database.critical_percent,
        watch_from_percent=database.watch_from_percent,
        alarms=tiers_by_alarm(scope, alarm_prefix, database),
    )
    return {ENVIRONMENT_VARIABLE: Stack.of(scope).to_json_string(asdict(settings))}
