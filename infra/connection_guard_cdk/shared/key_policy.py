"""What the policy of somebody's own key has to allow."""

from aws_cdk import Annotations, ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

ACTIONS = (
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncrypt*",
    "kms:GenerateDataKey*",
    "kms:DescribeKey",
)


def let_logs_use(key: kms.IKey | None, stack: Stack) -> None:
    """Let CloudWatch Logs encrypt the stack's logs with the key. The policy of a key that exists
    already is somebody else's: then a warning says what it needs.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    if key is None:
        return
    logs_of_stack = stack.format_arn(
        service="logs",
        resource="log-group",
        resource_name="*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    added = key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="LogsOfThisAccountAreEncrypted",
            principals=[iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com")],
            actions=list(ACTIONS),
            resources=["*"],  # in a key policy that is the key
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs_of_stack}},
        )
    )
    if not added.statement_added:
        Annotations.of(stack).add_warning_v2(
            "connection-guard:key-policy",
            "The policy of the KMS key is not in this app: it has to let "
            f"logs.REGION.amazonaws.com use {', '.join(ACTIONS)} for the logs of this stack, or "
            "the deployment fails; see docs/deploying.md.",
        )
