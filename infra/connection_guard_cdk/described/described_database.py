"""Describe a database of which somebody has a construct, as guard.toml describes one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds

from connection_guard.configuration.guard import aws_identifiers
from connection_guard.configuration.guard.database_table import (
    SERVER_KEYS,
    database_keys,
    read_how_it_is_guarded,
)
from connection_guard.configuration.guard.guard_configuration import (
    Database,
    Network,
)
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from connection_guard.configuration.toml.readers import did_you_mean
from connection_guard.configuration.toml.tables import Key, read_fields
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.described.cloudformation_properties import is_known, literal
from connection_guard_cdk.described.described_proxy import described_proxy
from connection_guard_cdk.described.known_server import server_of
from connection_guard_cdk.described.watch_options import GuardKeys, WatchOptions

_EXAMPLES = {
    "vpc": "vpc, the ec2.IVpc that it is in",
    "resource_id": 'resource_id="db-...", or "cluster-..." of Aurora: the console shows it under '
    "Configuration",
    "security_groups": "security_groups, its own, which are to let the guard in",
    "endpoint": "cluster_endpoint_address and port where the cluster is imported",
}


def described(
    database: rds.IDatabaseInstance | rds.IDatabaseCluster,
    stack: Stack,
    options: WatchOptions,
) -> Database:
    """Return the database for a guard in `stack`; `options` count more than what the construct
    knows. Raise ConfigurationError with one line for every mistake.
    """
    written = {name: each for name, each in options.items() if name in GuardKeys.__annotations__}
    server = server_of(database)
    place = database.node.path
    mistakes = [
        f"{place}: {problem}"
        for problem in (*server.problems, *_elsewhere(database, stack), *_unknown(options))
    ]
    if "max_connections" not in written:
        mistakes += [f"{place}: {problem}" for problem in server.size_problems]
    table = {"policy": SHIPPED_POLICY, **server.size, **written}
    if isinstance(table["policy"], Path):
        table["policy"] = str(table["policy"])
    fields = read_fields(table, _keys(table), place, mistakes)
    guarded = read_how_it_is_guarded(fields, Path.cwd(), place, mistakes)
    proxy = options.get("proxy")
    its_proxy = (
        None
        if proxy is None
        else described_proxy(proxy, options.get("proxy_role"), guarded["role"], place, mistakes)
    )
    groups = options.get("security_groups") or database.connections.security_groups
    vpc = options.get("vpc") or server.vpc
    resource_id = options.get("resource_id") or server.resource_id
    known = {
        "vpc": vpc,
        "resource_id": resource_id,
        "security_groups": groups,
        "endpoint": server.endpoint,
    }
    mistakes += [
        f"{place}: {name}: is not known of a database that exists already; pass {_EXAMPLES[name]}"
        for name, value in known.items()
        if not value
    ]
    network = None if vpc is None else _network(vpc, options.get("vpc_subnets"), place, mistakes)
    if mistakes:
        raise ConfigurationError(*dict.fromkeys(mistakes))
    assert server.endpoint is not None
    assert resource_id is not None
    assert network is not None
    assert server.port is not None
    return Database(
        identifier=server.identifier,
        is_cluster=server.is_cluster,
        host=server.endpoint.hostname,
        port=server.port,
        resource_id=resource_id,
        network=network,
        security_groups=tuple(each.security_group_id for each in groups),
        proxy=its_proxy,
        **guarded,
    )


def _keys(table: Mapping[str, object]) -> dict[str, Key]:
    """Return the keys that are not the server's own; none of them takes a token."""
    return {
        name: replace(key, read=literal(name, key.read))
        for name, key in database_keys(table, {}).items()
        if name not in SERVER_KEYS
    }


def _elsewhere(database: Any, stack: Stack) -> Iterator[str]:
    """Yield why a guard in the stack could not reach the database."""
    region, its_region = stack.region, database.env.region
    if is_known(region) and is_known(its_region) and region != its_region:
        yield (
            f"is in {its_region}, but the guard is in {region}; let a guard in a stack of "
            f"{its_region} watch it"
        )
        return
    its_stack = Stack.of(database)
    if its_stack.environment != stack.environment:
        yield (
            f"is in a stack of {_shown(its_stack)}, but the guard is in one of {_shown(stack)}; "
            "give both stacks the same env, or let a guard in its own stack watch it"
        )


def _shown(stack: Stack) -> str:
    """Return the account and the region of the stack."""
    account = f"account {stack.account}" if is_known(stack.account) else "any account"
    region = stack.region if is_known(stack.region) else "any region"
    return f"{account} in {region}"


def _unknown(options: WatchOptions) -> Iterator[str]:
    """Yield what Python does not notice: the options have types only for type checkers."""
    known = WatchOptions.__annotations__
    for name in options:
        if name not in known:
            yield f"{name}: is no option of watch{did_you_mean(name, known) or '; remove it'}"


def _network(
    vpc: ec2.IVpc, chosen: ec2.SubnetSelection | None, place: str, mistakes: list[str]
) -> Network | None:
    """Return the subnets for the guard to run in: any in the VPC reaches the database."""
    selection = {} if chosen is None else chosen._values  # noqa: SLF001
    try:
        selected = vpc.select_subnets(**selection)
    except RuntimeError:
        mistakes.append(
            f"{place}: vpc_subnets: the VPC does not have the chosen subnets; pass others as "
            "vpc_subnets, such as ec2.SubnetSelection("
            "subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)"
        )
        return None
    if len(selected.subnet_ids) > aws_identifiers.MOST_SUBNETS:
        mistakes.append(
            f"{place}: vpc_subnets: {len(selected.subnet_ids)} subnets are more than the "
            f"{aws_identifiers.MOST_SUBNETS} that Lambda takes; pass vpc_subnets with two or three"
        )
    return Network(vpc.vpc_id, tuple(selected.subnet_ids), tuple(selected.availability_zones))
