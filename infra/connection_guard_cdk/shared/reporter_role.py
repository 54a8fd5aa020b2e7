"""What the reporter may do: each action that it needs, on the resource that it needs it on."""

from collections.abc import Iterator

from aws_cdk import Acknowledgment, ArnFormat, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Notifications
from connection_guard_cdk.shared.messaging import Messaging
from connection_guard_cdk.shared.records import Records
from connection_guard_cdk.shared.reporter_queue import ReporterQueue

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

# None of these supports resource-level permissions.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudtrail.html
LOOKS = ["rds:DescribeEvents", "cloudwatch:GetMetricData"]
LOOKS_AT_DEPLOYMENTS = ["cloudtrail:LookupEvents"]


def reporter_role(
    scope: Construct,
    notifications: Notifications,
    key: kms.IKey | None,
    messaging: Messaging,
    queue: ReporterQueue,
    records: Records,
    databases_path: str,
) -> iam.Role:
    """Return a role that may write the evidence, which names people's sessions, but not read it; an
    incident is read to be continued. `key` is the customer's, None where AWS's own keys are used.
    Below `databases_path` are the parameters of the databases.
    """
    role = iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))

    def allow(*actions: str, on: str) -> None:
        role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=[on]))

    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    allow(
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        on=queue.main.queue_arn,
    )
    allow("sqs:SendMessage", on=queue.unreadable.queue_arn)
    allow("dynamodb:GetItem", "dynamodb:UpdateItem", on=records.table.table_arn)
    allow("dynamodb:Query", on=records.pending_index)
    # To this action, a path is a resource as it is asked for: what is below it needs no permission.
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
    allow(
        "ssm:GetParametersByPath",
        on=Stack.of(scope).format_arn(
            service="ssm", resource="parameter", resource_name=databases_path.removeprefix("/")
        ),
    )
    allow("s3:PutObject", on=records.bucket.arn_for_objects("*"))
    allow(*LOOKS, *(LOOKS_AT_DEPLOYMENTS if notifications.deployments else ()), on="*")
    messaging.incidents.grant_publish(role)
    for each in (key, *records.own_keys):
        if each is not None:
            each.grant(role, *KEY_ACTIONS)
    for secret in secrets_of(notifications):
        allow("secretsmanager:GetSecretValue", on=_secret_arn(scope, secret))
    if notifications.event_bus is not None:
        allow("events:PutEvents", on=_event_bus_arn(scope, notifications.event_bus))

    bucket = Stack.of(scope).resolve(records.bucket.bucket_arn)
    if "Fn::GetAtt" in bucket:
        bucket = f"<{bucket['Fn::GetAtt'][0]}.Arn>"
    Validations.of(role).acknowledge(
        Acknowledgment(
            id=f"AwsSolutions-IAM5[Resource::{bucket}/*]",
            reason="A report's key is known only when the report arrives; the bucket holds "
            "nothing else, and keeps every version.",
        ),
        Acknowledgment(
            id="AwsSolutions-IAM5[Resource::*]",
            reason="None of rds:DescribeEvents, cloudwatch:GetMetricData and "
            "cloudtrail:LookupEvents supports resource-level permissions; they only read events "
            "and figures.",
        ),
    )
    return role


def secrets_of(notifications: Notifications) -> Iterator[str]:
    """Yield the name of each channel's secret."""
    for secret in (
        notifications.slack_secret,
        notifications.pagerduty_secret,
        notifications.teams_secret,
    ):
        if secret is not None:
            yield secret


def _secret_arn(scope: Construct, secret: str) -> str:
    """Return the pattern of the secret's ARN, which Secrets Manager ends with six characters of its
    own.
    """
    return Stack.of(scope).format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=f"{secret}-??????",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def _event_bus_arn(scope: Construct, event_bus: str) -> str:
    """Return the ARN of an event bus that is given by its name or its ARN."""
    if event_bus.startswith("arn:"):
        return event_bus
    return Stack.of(scope).format_arn(
        service="events", resource="event-bus", resource_name=event_bus
    )
