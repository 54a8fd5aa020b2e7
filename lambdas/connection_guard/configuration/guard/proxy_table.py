"""Read [databases.proxy]: a proxy that exists, or one for the stack to create, either of which logs
in to the database with IAM or with a secret.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from connection_guard.configuration.guard import aws_identifiers
from connection_guard.configuration.guard.endpoint import endpoint
from connection_guard.configuration.guard.guard_configuration import (
    ExistingProxy,
    NewProxy,
    ProxyAuthentication,
)
from connection_guard.configuration.guard.names_of_database import other_role, role, same_role
from connection_guard.configuration.toml.readers import misplaced, one_of, truth
from connection_guard.configuration.toml.tables import Key, read_whole

_ZONES_OF_A_PROXY = 2  # Amazon RDS User Guide, "Setting up network prerequisites for RDS Proxy"


def proxy_keys(
    table: Mapping[str, object], deploy: Mapping[str, Any], database_role: str | None
) -> dict[str, Key]:
    """Return the keys of the table: how some are read depends on others, and on the database."""
    return {
        "create": Key("create", truth, default=False),
        "authentication": Key("authentication", one_of(ProxyAuthentication), '"iam"'),
        "role": role_key(table.get("authentication"), database_role),
        **_keys_of_existing_proxy(table.get("create") is True, deploy),
        **_keys_of_new_proxy(
            table.get("create") is True, table.get("authentication"), deploy.get("region")
        ),
    }


def read_proxy(
    database: Mapping[str, Any],
    deploy: Mapping[str, Any],
    place: str,
    mistakes: list[str],
    homes: Mapping[str, str],
) -> ExistingProxy | NewProxy | None:
    """Return the proxy of a database with these fields, None where it has none or where the table
    has mistakes, which are added to `mistakes`.
    """
    table = database.get("proxy")
    if table is None:
        return None
    place = f"{place}: proxy"
    written = table if isinstance(table, dict) else {}
    if written.get("create") is True:
        mistakes += [f"{place}: create: {why}" for why in _obstacles_to_a_new_proxy(database)]
    keys = proxy_keys(written, deploy, database.get("role"))
    fields = read_whole(table, keys, place, mistakes, homes)
    if fields is None:
        return None
    if fields["create"]:
        return NewProxy(
            fields["authentication"], fields["role"], fields["secret"], fields["secret_key"]
        )
    host, port = fields["endpoint"]
    return ExistingProxy(
        host=host,
        port=port,
        resource_id=fields["resource_id"],
        security_groups=fields["security_groups"],
        authentication=fields["authentication"],
        role=fields["role"],
    )


def _obstacles_to_a_new_proxy(database: Mapping[str, Any]) -> Iterator[str]:
    zones = database.get("availability_zones", ())
    if zones and len(set(zones)) < _ZONES_OF_A_PROXY:
        yield "RDS Proxy needs subnets in two availability zones; add a subnet in another zone"
    is_of_cluster = str(database.get("resource_id")).startswith("cluster-")
    if is_of_cluster and database.get("instance") is not None:
        yield (
            "RDS Proxy serves an Aurora cluster as a whole; write cluster instead of instance, or "
            "name a proxy that exists"
        )


def role_key(authentication: object, database_role: str | None) -> Key:
    """Return the key of the role: with end-to-end IAM both doors have one, with a secret they have
    two.
    """
    match authentication:
        case ProxyAuthentication.IAM:
            return Key("role", same_role(database_role), default=database_role)
        case ProxyAuthentication.SECRETS:
            return Key("role", other_role(database_role), '"connection_guard_proxy"')
        case _:
            return Key("role", role)


def _keys_of_existing_proxy(is_new: bool, deploy: Mapping[str, Any]) -> dict[str, Key]:
    if is_new:
        refuse = misplaced(
            "applies to a proxy that exists, but create = true makes a new one (write the "
            "database's own above [databases.proxy])"
        )
        return {key: Key(key, refuse) for key in ("endpoint", "resource_id", "security_groups")}
    return {
        "endpoint": Key(
            "endpoint",
            endpoint("proxy", None, deploy),
            '"orders.proxy-c1abcdefghij.eu-central-1.rds.amazonaws.com", or create = true for a '
            "new one",
        ),
        "resource_id": Key(
            "resource_id", aws_identifiers.proxy_resource_id, '"prx-0123456789abcdef0"'
        ),
        "security_groups": Key(
            "security_groups", aws_identifiers.security_groups, '["sg-0123456789abcdef0"]'
        ),
    }


def _keys_of_new_proxy(is_new: bool, authentication: object, region: str | None) -> dict[str, Key]:
    if is_new and authentication == ProxyAuthentication.SECRETS:
        example = f'"{aws_identifiers.example_secret(region)}"'
        return {
            "secret": Key("secret", aws_identifiers.secret_arn(region), example),
            "secret_key": Key("secret_key", aws_identifiers.key_arn(region)),
        }
    refuse = misplaced('applies only to a proxy with create = true and authentication = "secrets"')
    return {key: Key(key, refuse) for key in ("secret", "secret_key")}
