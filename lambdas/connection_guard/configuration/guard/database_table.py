"""Read [[databases]]: one guarded database per table. How a key is read can depend on another
key.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connection_guard.configuration.guard import aws_identifiers
from connection_guard.configuration.guard.database_size import estimate_max_connections, size_keys
from connection_guard.configuration.guard.endpoint import endpoint
from connection_guard.configuration.guard.guard_configuration import Database, Network
from connection_guard.configuration.guard.names_of_database import (
    database_identifier,
    database_name,
    role,
)
from connection_guard.configuration.guard.policy_of_database import policy_path, read_policy
from connection_guard.configuration.guard.proxy_table import read_proxy
from connection_guard.configuration.guard.recipients import (
    environment,
    owner,
    runbook,
    slack_channel,
)
from connection_guard.configuration.toml.readers import (
    MistakeError,
    anything,
    given,
    list_of,
    percent,
    percent_from_0,
)
from connection_guard.configuration.toml.tables import Key, read_fields

_KINDS = ("instance", "cluster")

# The keys that say which server it is, and where. The others say how it is guarded.
SERVER_KEYS = frozenset(
    {
        *_KINDS,
        "endpoint",
        "resource_id",
        "vpc",
        "subnets",
        "availability_zones",
        "security_groups",
        "proxy",
    }
)


def shown_identifier(table: object) -> str:
    """Return the identifier that the table names, as a message shows it."""
    written = [table[kind] for kind in _KINDS if kind in table] if isinstance(table, dict) else []
    return given(written[0]) if written and isinstance(written[0], str) else "(counted from 0)"


def database_keys(table: Mapping[str, object], deploy: Mapping[str, Any]) -> dict[str, Key]:
    """Return the keys of the table, which is in the account and the region of `deploy`."""
    kind, name = _kind_and_identifier(table)
    region = deploy.get("region")
    prefixes = ("cluster",) if kind == "cluster" else ("db", "cluster")
    return {
        **{kind: Key(kind, database_identifier) for kind in _KINDS},
        "database_name": Key("database_name", database_name, default="postgres"),
        "endpoint": Key(
            "endpoint",
            endpoint(kind, name, deploy) if kind else anything,
            '"orders.c1abcdefghij.eu-central-1.rds.amazonaws.com"',
        ),
        "resource_id": Key(
            "resource_id",
            aws_identifiers.resource_id(*prefixes),
            f'"{prefixes[0]}-ABCDEFGHIJKLMNOPQRSTUVWXYZ"',
        ),
        **size_keys(table),
        "vpc": Key("vpc", aws_identifiers.vpc, '"vpc-0123456789abcdef0"'),
        "subnets": Key("subnets", aws_identifiers.subnets, '["subnet-0123456789abcdef0"]'),
        "availability_zones": Key(
            "availability_zones",
            list_of(aws_identifiers.availability_zone(region)),
            f'["{region or aws_identifiers.EXAMPLE_REGION}a"]',
        ),
        "security_groups": Key(
            "security_groups", aws_identifiers.security_groups, '["sg-0123456789abcdef0"]'
        ),
        "role": Key("role", role, default="connection_guard"),
        "policy": Key("policy", policy_path),
        "warning": Key("warning", percent, default=75.0),
        "critical": Key("critical", percent, default=90.0),
        "watch_from": Key("watch_from", percent_from_0),
        "owner": Key("owner", owner),
        "runbook": Key("runbook", runbook),
        "environment": Key("environment", environment),
        "slack_channel": Key("slack_channel", slack_channel),
        "proxy": Key("proxy", anything),
    }


def read_database(
    table: object,
    place: str,
    deploy: Mapping[str, Any],
    folder: Path,
    mistakes: list[str],
    homes: Mapping[str, str],
) -> Database | None:
    """Return the database, or None where the table, or a file that it names, has mistakes, which
    are added to `mistakes`.
    """
    known_before = len(mistakes)
    written = table if isinstance(table, dict) else {}
    fields = read_fields(table, database_keys(written, deploy), place, mistakes, homes)
    guarded = read_how_it_is_guarded(fields, folder, place, mistakes)
    proxy = read_proxy(fields, deploy, place, mistakes, homes)
    if len(mistakes) > known_before:
        return None
    host, port = fields["endpoint"]
    return Database(
        identifier=fields["instance"] or fields["cluster"],
        is_cluster=fields["cluster"] is not None,
        host=host,
        port=port,
        resource_id=fields["resource_id"],
        network=Network(fields["vpc"], fields["subnets"], fields["availability_zones"]),
        security_groups=fields["security_groups"],
        proxy=proxy,
        **guarded,
    )


def read_how_it_is_guarded(
    fields: Mapping[str, Any], folder: Path, place: str, mistakes: list[str]
) -> dict[str, Any]:
    """Return the fields of a Database that do not say which server it is, None for those that have
    mistakes, which are added to `mistakes`.
    """
    mistakes += [f"{place}: {contradiction}" for contradiction in _contradictions(fields)]
    max_connections = estimate_max_connections(fields, place, mistakes)
    policy = read_policy(fields, folder, place, mistakes)
    return {
        "database_name": fields.get("database_name"),
        "max_connections": max_connections,
        "role": fields.get("role"),
        "policy_file": policy and policy.file,
        "policy": policy and policy.policy,
        "warning_percent": fields.get("warning"),
        "critical_percent": fields.get("critical"),
        "watch_from_percent": fields.get("warning")
        if fields.get("watch_from") is None
        else fields["watch_from"],
        "owner": fields.get("owner"),
        "runbook": fields.get("runbook"),
        "environment": fields.get("environment"),
        "slack_channel": fields.get("slack_channel"),
    }


def _kind_and_identifier(table: Mapping[str, object]) -> tuple[str, str] | tuple[None, None]:
    """Return the one kind that the table names, and its identifier, None for both where it does not
    name exactly one.
    """
    try:
        ((kind, written),) = [(kind, table[kind]) for kind in _KINDS if kind in table]
        return kind, database_identifier(written)
    except (ValueError, MistakeError):
        return None, None


def _contradictions(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between values that are right by themselves."""
    match fields:
        case {"instance": None, "cluster": None}:
            yield (
                'instance: is missing; write, for example, instance = "orders", or '
                'cluster = "orders" for Aurora'
            )
        case {"instance": str(), "cluster": str()}:
            yield "cluster: instance is given as well; leave one of them out"
    match fields:
        case {"warning": warning, "critical": critical} if warning >= critical:
            yield (
                f"warning: {warning:g} is not below critical, {critical:g}; lower it, or raise "
                "critical"
            )
    match fields:
        case {"subnets": subnets, "availability_zones": zones} if len(subnets) != len(zones):
            yield (
                f"availability_zones: {len(zones)} listed for {len(subnets)} subnets; write the "
                "zone of each subnet, in the same order"
            )
