"""The permission to log in with IAM tokens."""

from collections.abc import Iterable

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct


def may_log_in(scope: Construct, roles: Iterable[tuple[str, str]]) -> iam.PolicyStatement:
    """Return the permission to log in as each of (resource ID of a DB instance, cluster or proxy,
    database role).

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
    """
    stack = Stack.of(scope)
    users = [
        stack.format_arn(
            service="rds-db",
            resource="dbuser",
            resource_name=f"{resource_id}/{role}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        for resource_id, role in roles
    ]
    return iam.PolicyStatement(actions=["rds-db:connect"], resources=users)
