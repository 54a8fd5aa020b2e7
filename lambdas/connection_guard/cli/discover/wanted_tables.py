"""What guard.toml has to say of a database, as far as AWS knows it. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from connection_guard.cli.discover.account.discovered import (
    FoundDatabase,
    FoundProxy,
    FoundSubnet,
    Surroundings,
)
from connection_guard.configuration.guard.aws_identifiers import MOST_SUBNETS
from connection_guard.configuration.guard.guard_configuration import ProxyAuthentication
from connection_guard.configuration.max_connections.classes import KNOWN_CLASSES
from connection_guard.core.words import printable

DEFAULT_PORT = 5432
PROXY_ROLE = "connection_guard_proxy"

Fact = str | int | float | tuple[str, ...] | None
"""A value of a key; None where the key has to be absent."""


@dataclass(frozen=True, slots=True)
class ProxyTable:
    """What [databases.proxy] says of one proxy. `role` is None where both doors have the same, and
    `is_guess` says that nothing that AWS shows names it.
    """

    name: str
    facts: Mapping[str, Fact]
    role: str | None
    is_guess: bool


@dataclass(frozen=True, slots=True)
class WantedTable:
    """What [[databases]] says of one database. A key that is not among the facts is unknown.

    `proxies` begins with the one to write where none is chosen yet, and is None where they could
    not be read. `comments` go above keys.
    """

    kind: str
    identifier: str
    facts: Mapping[str, Fact]
    proxies: tuple[ProxyTable, ...] | None
    comments: Mapping[str, str] = field(default_factory=dict)


def wanted_table(database: FoundDatabase, surroundings: Surroundings) -> WantedTable:
    """Return the table of a database."""
    subnets, are_private = usable_subnets(database, surroundings)
    is_serverless = database.minimum_acu is not None
    facts: dict[str, Fact] = {
        database.kind: database.identifier,
        "endpoint": _endpoint(database.host, database.port),
        "resource_id": database.resource_id,
        "instance_class": database.instance_class,
        "minimum_acu": _number(database.minimum_acu),
        "maximum_acu": _number(database.maximum_acu),
    }
    memory = surroundings.memory_gib.get(database.instance_class)
    is_known = is_serverless or database.instance_class in KNOWN_CLASSES
    if is_known or memory is not None:
        facts["memory_gib"] = None if is_known else _number(memory)
    setting = parameter_of(database, surroundings, "max_connections")
    if setting is not None:
        facts["max_connections"] = _whole(setting)
    elif "memory_gib" in facts and _are_readable(database, surroundings):
        # A person may have written the number where the memory that the default needs is unknown.
        facts["max_connections"] = None
    facts |= {
        "vpc": database.vpc,
        "subnets": tuple(subnet.identifier for subnet in subnets),
        "availability_zones": tuple(subnet.zone for subnet in subnets),
        "security_groups": database.security_groups,
    }
    proxies = proxies_of(database, surroundings)
    return WantedTable(
        database.kind,
        database.identifier,
        facts,
        None if surroundings.proxies is None else tuple(map(_proxy_table, proxies)),
        _comments(are_private, proxies),
    )


def usable_subnets(
    database: FoundDatabase, surroundings: Surroundings
) -> tuple[list[FoundSubnet], bool | None]:
    """Return the subnets of the subnet group for the guard to run in, and whether they are private,
    None where that is not known.

    Lambda runs in availability zones, not in local zones.
    """
    region = database.arn.split(":")[3]
    zoned = [
        each for each in database.subnets if re.fullmatch(rf"{re.escape(region)}[a-z]", each.zone)
    ]
    zoned.sort(key=lambda each: (each.zone, each.identifier))
    public = surroundings.public_subnets
    if public is None:
        return zoned[:MOST_SUBNETS], None
    private = [each for each in zoned if each.identifier not in public]
    return (private or zoned)[:MOST_SUBNETS], bool(private)


def parameter_of(database: FoundDatabase, surroundings: Surroundings, name: str) -> str | None:
    """Return what the parameter groups set a parameter to, None where they leave the default."""
    for group in database.groups:
        for parameter in surroundings.parameters.get(group, ()):
            if parameter.name == name:
                return parameter.value
    return None


def proxies_of(database: FoundDatabase, surroundings: Surroundings) -> list[FoundProxy]:
    """Return the proxies that have the database as target; end-to-end IAM comes first, because it
    needs no second role.
    """
    target = (database.kind, database.identifier)
    return sorted(
        (each for each in surroundings.proxies or () if target in each.targets),
        key=lambda each: (not each.is_iam_end_to_end, each.name),
    )


def guard_login(proxy: FoundProxy) -> tuple[str, bool]:
    """Return the role by which the guard comes through a proxy that logs in with secrets, and
    whether something that AWS shows of these names it.
    """
    for login in proxy.logins:
        for text in [login.user] if login.user else login.texts:
            if match := re.search(r"(?<![\w-])connection_guard_\w+", text, re.ASCII):
                return match[0], True
    return PROXY_ROLE, False


def _are_readable(database: FoundDatabase, surroundings: Surroundings) -> bool:
    return all(group in surroundings.parameters for group in database.groups)


def _proxy_table(proxy: FoundProxy) -> ProxyTable:
    authentication = (
        ProxyAuthentication.IAM if proxy.is_iam_end_to_end else ProxyAuthentication.SECRETS
    )
    role, is_named = (None, True) if proxy.is_iam_end_to_end else guard_login(proxy)
    facts: dict[str, Fact] = {
        "endpoint": _endpoint(proxy.host, DEFAULT_PORT),
        "resource_id": proxy.resource_id,
        "security_groups": proxy.security_groups,
        "authentication": str(authentication),
    }
    return ProxyTable(proxy.name, facts, role, not is_named)


def _comments(are_private: bool | None, proxies: list[FoundProxy]) -> dict[str, str]:
    comments = {}
    if are_private is None:
        comments["subnets"] = "Whether these are private could not be read."
    elif not are_private:
        comments["subnets"] = "None of these is private: write private subnets of the VPC."
    if len(proxies) > 1:
        others = ", ".join(printable(each.name) for each in proxies[1:])
        comments["proxy"] = f"It has other proxies, which could be written instead: {others}."
    return comments


def _endpoint(host: str, port: int) -> str:
    return host if port == DEFAULT_PORT else f"{host}:{port}"


def _number(value: float | None) -> int | float | None:
    return int(value) if value is not None and value == int(value) else value


def _whole(setting: str) -> int | str:
    return int(setting) if re.fullmatch("[0-9]{1,9}", setting) else setting
