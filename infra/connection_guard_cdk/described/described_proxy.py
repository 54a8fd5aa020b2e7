"""The RDS Proxy of which somebody has a construct."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_rds as rds

from connection_guard.configuration.guard.guard_configuration import (
    ExistingProxy,
    ProxyAuthentication,
)
from connection_guard.configuration.guard.proxy_table import role_key
from connection_guard.configuration.toml.readers import MistakeError
from connection_guard_cdk.described.cloudformation_properties import literal, properties_of

PORT = 5432  # a proxy listens on its engine's default port, even if the database does not


def described_proxy(
    proxy: rds.IDatabaseProxy | ExistingProxy,
    role: str | None,
    database_role: str | None,
    place: str,
    mistakes: list[str],
) -> ExistingProxy | None:
    """Return the proxy as guard.toml describes one, or None where it has mistakes, which are added
    to `mistakes`.

    `role` is the one that the guard logs in to the proxy as, None for the database's own.
    """
    if isinstance(proxy, ExistingProxy):
        return proxy
    resource = proxy.node.default_child
    if not isinstance(resource, rds.CfnDBProxy) or not isinstance(proxy, rds.DatabaseProxy):
        mistakes.append(
            f"{place}: proxy: {proxy.node.path} exists already, and the CDK does not know its "
            'security groups; pass an ExistingProxy(host=..., port=5432, resource_id="prx-...", '
            "security_groups=(...,), authentication=..., role=...)"
        )
        return None
    properties = properties_of(resource)
    if not _takes_tokens(properties):
        mistakes.append(
            f"{place}: proxy: {proxy.node.path} does not take IAM tokens, with which the guard "
            "logs in; set iam_auth=True on the proxy"
        )
        return None
    with_iam = properties.get("defaultAuthScheme") == "IAM_AUTH"
    authentication = ProxyAuthentication.IAM if with_iam else ProxyAuthentication.SECRETS
    key = role_key(authentication, database_role)
    if role is None and not with_iam:
        mistakes.append(
            f"{place}: proxy_role: is missing; {proxy.node.path} logs in with passwords, so pass "
            'proxy_role="connection_guard_proxy", a second role whose secret the proxy has'
        )
        return None
    try:
        its_role = key.default if role is None else literal("proxy_role", key.read)(role)
    except MistakeError as mistake:
        mistakes += [f"{place}: proxy_role: {line}" for line in mistake.args]
        return None
    return ExistingProxy(
        host=proxy.endpoint,
        port=PORT,
        resource_id=_resource_id(proxy),
        security_groups=tuple(each.security_group_id for each in proxy.connections.security_groups),
        authentication=authentication,
        role=str(its_role),
    )


def _takes_tokens(properties: Mapping[str, Any]) -> bool:
    """Return whether clients may log in to the proxy with IAM tokens."""
    schemes = properties.get("auth") or []
    return properties.get("defaultAuthScheme") == "IAM_AUTH" or any(
        each.get("iamAuth") in ("REQUIRED", "ENABLED") for each in schemes
    )


def _resource_id(proxy: rds.DatabaseProxy) -> str:
    """Return the last part of its ARN."""
    arn = Stack.of(proxy).split_arn(proxy.db_proxy_arn, ArnFormat.COLON_RESOURCE_NAME)
    assert arn.resource_name is not None
    return arn.resource_name
