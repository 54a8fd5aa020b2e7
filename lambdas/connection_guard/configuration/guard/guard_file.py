"""Reads guard.toml: the keys of its tables, and every mistake at once, each with its place and what
would be right.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connection_guard.configuration.guard import guard_values as values
from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    Configuration,
    Database,
    ExistingProxy,
    Network,
    NewProxy,
    Notifications,
    ProxyAuthentication,
    Synthesizer,
    Target,
)
from connection_guard.configuration.max_connections.estimate import (
    DEFAULT_EXPRESSION,
    Estimate,
    estimate,
    estimate_serverless,
)
from connection_guard.configuration.policy.consistency import target_not_below_warning
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.configuration.policy.values import (
    MistakeError,
    list_of,
    one_of,
    percent,
    shown,
    truth,
)
from connection_guard.configuration.toml.tables import (
    Key,
    parse_document,
    read_fields,
    read_whole,
    unknown,
)
from connection_guard.core.policy import Policy
from connection_guard.errors import ConfigurationError


def read_configuration(path: Path, first: Path | None = None) -> Configuration:
    """Return what the file says, with the policies that it names.

    `first` is the file whose stack may go by the default name. Any other has to name its own, since
    it would replace that one. Raises ConfigurationError with one line for every mistake in any of
    these files.
    """
    source = path.name
    try:
        text = _text_of(path)
    except MistakeError as mistake:
        raise ConfigurationError(f"{source}: {mistake}") from None
    document = parse_document(text, source, "each database begins with [[databases]]")
    mistakes = [
        f"{source}: {unknown(table, _TABLES, _HOMES)}" for table in document if table not in _TABLES
    ]
    first = first or path
    is_first = path.resolve() == first.resolve()
    deploy = _read_deploy(document, f"{source}: deploy", mistakes, is_first=is_first)
    if not is_first and "stack_name" in deploy and _stack_of(deploy) == _stack_in(first):
        mistakes.append(
            f"{source}: deploy: stack_name: {shown(deploy['stack_name'])} is the stack of "
            f"{first.name}, which this file would replace; write another"
        )
    notifications = _read_notifications(document, f"{source}: notifications", mistakes)
    tables = _tables_by_place(document.get("databases", []), source, mistakes)
    databases = {
        place: _read_database(table, place, deploy, path.parent, mistakes)
        for place, table in tables.items()
    }
    readable = {place: database for place, database in databases.items() if database}
    mistakes += _used_twice(readable)
    if mistakes:
        # Databases that share a policy share its mistakes.
        raise ConfigurationError(
            "\n".join(map(values.without_slack_secrets, dict.fromkeys(mistakes)))
        )
    return Configuration(Target(**deploy), Notifications(**notifications), tuple(readable.values()))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MistakeError(f"{path} does not exist; write it, or correct its path") from None
    except IsADirectoryError:
        raise MistakeError(f"{path} is a folder; name the file in it") from None
    except UnicodeDecodeError as wrong:
        raise MistakeError(
            f"{path} is not UTF-8 text (byte {wrong.start}); save it as UTF-8"
        ) from None
    except OSError as wrong:
        raise MistakeError(
            f"{path} cannot be read: {wrong.strerror}; correct its path or its permissions"
        ) from None


_TABLES = ("deploy", "notifications", "databases")
_KINDS = ("instance", "cluster")
_SERVERLESS = "db.serverless"

_DEPLOY = {
    "account": Key("account", values.account, '"123456789012"'),
    "region": Key("region", values.region, f'"{values.EXAMPLE_REGION}"'),
    "stack_name": Key("stack_name", values.stack_name, default="ConnectionGuard"),
    "architecture": Key("architecture", one_of(Architecture), default=Architecture.ARM64),
    "synthesizer": Key("synthesizer", one_of(Synthesizer), default=Synthesizer.BOOTSTRAP_ROLES),
    "tags": Key("tags", values.tags, default={}),
}


def _read_deploy(
    document: Mapping[str, object], place: str, mistakes: list[str], *, is_first: bool
) -> dict[str, Any]:
    table = document.get("deploy", {})
    region = table.get("region") if isinstance(table, dict) else None
    keys = {
        **_DEPLOY,
        "kms_key": Key("kms_key", values.key_arn(region if isinstance(region, str) else None)),
    }
    if not is_first:
        example = (
            '"ConnectionGuard-2": without a name of its own this stack would replace that of '
            "guard.toml"
        )
        keys["stack_name"] = Key("stack_name", values.stack_name, example)
    return read_fields(table, keys, place, mistakes, _HOMES)


def _stack_in(path: Path) -> tuple[str, ...] | None:
    """Return the stack of the file, None where it cannot be read."""
    try:
        document = parse_document(_text_of(path), path.name, "")
    except (MistakeError, ConfigurationError):
        return None
    return _stack_of(_read_deploy(document, "", [], is_first=True))


def _stack_of(deploy: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what CloudFormation knows the stack by, as far as it is written rightly."""
    return tuple(deploy[key] for key in ("account", "region", "stack_name") if key in deploy)


_NOTIFICATIONS = {
    "slack_secret": Key("slack_secret", values.slack_secret),
    "emails": Key("emails", values.unique(values.email), default=()),
}


def _read_notifications(
    document: Mapping[str, object], place: str, mistakes: list[str]
) -> dict[str, Any]:
    fields = read_fields(document.get("notifications", {}), _NOTIFICATIONS, place, mistakes, _HOMES)
    if fields == {"slack_secret": None, "emails": ()}:
        mistakes.append(
            f"{place}: nobody would be notified, not even that the guard is locked out; write "
            f'emails = ["you@..."], '
            "slack_secret, or both"
        )
    return fields


def _tables_by_place(tables: object, source: str, mistakes: list[str]) -> dict[str, object]:
    """Each database's table by its place, in order."""
    hint = "write [[databases]], in two brackets, above each database"
    if not isinstance(tables, list):
        mistakes.append(f"{source}: databases: {shown(tables)} is not a list of tables; {hint}")
        return {}
    if not tables:
        mistakes.append(f"{source}: databases: there is none to guard; {hint}")
    return {
        f"{source}: databases[{index}] {_shown_identifier(table)}": table
        for index, table in enumerate(tables)
    }


def _shown_identifier(table: object) -> str:
    written = [table[kind] for kind in _KINDS if kind in table] if isinstance(table, dict) else []
    return shown(written[0]) if written and isinstance(written[0], str) else "(counted from 0)"


def _used_twice(databases: Mapping[str, Database]) -> Iterator[str]:
    """Say what two databases cannot share. `databases` maps the place of each, in order."""
    one_server = "so both are the same server; correct either, or remove one"
    places: dict[tuple[str, object], str] = {}
    for place, database in databases.items():
        kind = "cluster" if database.is_cluster else "instance"
        of_database = [
            (kind, "identifier", database.identifier, "and alarms are named after it; remove one"),
            ("endpoint", "endpoint", (database.host, database.port), one_server),
            ("resource_id", "resource_id", database.resource_id, one_server),
        ]
        if isinstance(proxy := database.proxy, ExistingProxy):
            one_target = "and a proxy serves one database; correct either"
            of_database += [
                ("proxy: endpoint", "proxy", (proxy.host, proxy.port), one_target),
                ("proxy: resource_id", "proxy resource_id", proxy.resource_id, one_target),
            ]
        for key, what, value, consequence in of_database:
            if (first := places.setdefault((what, value), place)) != place:
                yield f"{place}: {key}: {first.partition(': ')[2]} has it as well, {consequence}"


# One database. What a key may say can depend on another key, on which its reader is then made to
# depend.


def _kind_and_identifier(table: object) -> tuple[str, str] | tuple[None, None]:
    """The one kind that the table names, and its identifier; None for both where that cannot be
    told.
    """
    written = (
        [(kind, table[kind]) for kind in _KINDS if kind in table] if isinstance(table, dict) else []
    )
    try:
        ((kind, identifier),) = written
        return kind, values.identifier(identifier)
    except (ValueError, MistakeError):
        return None, None


def _database_keys(table: Mapping[str, object], deploy: Mapping[str, Any]) -> dict[str, Key]:
    kind, identifier = _kind_and_identifier(table)
    region = deploy.get("region")
    zone = f'["{region or values.EXAMPLE_REGION}a"]'
    return {
        **{kind: Key(kind, values.identifier) for kind in _KINDS},
        "database_name": Key("database_name", values.database_name, default="postgres"),
        "endpoint": Key(
            "endpoint",
            values.endpoint(kind, identifier, deploy) if kind else values.anything,
            '"orders.c1abcdefghij.eu-central-1.rds.amazonaws.com"',
        ),
        "resource_id": Key(
            "resource_id",
            values.resource_id("cluster")
            if kind == "cluster"
            else values.resource_id("db", "cluster"),
            f'"{"cluster" if kind == "cluster" else "db"}-ABCDEFGHIJKLMNOPQRSTUVWXYZ"',
        ),
        "instance_class": Key("instance_class", values.instance_class, '"db.r6g.large"'),
        "max_connections": Key("max_connections", values.expression, default=DEFAULT_EXPRESSION),
        **(_SERVERLESS_KEYS if table.get("instance_class") == _SERVERLESS else _PROVISIONED_KEYS),
        "vpc": Key("vpc", values.vpc, '"vpc-0123456789abcdef0"'),
        "subnets": Key("subnets", values.subnets, '["subnet-0123456789abcdef0"]'),
        "availability_zones": Key(
            "availability_zones", list_of(values.availability_zone(region)), zone
        ),
        "security_groups": Key(
            "security_groups", values.security_groups, '["sg-0123456789abcdef0"]'
        ),
        "role": Key("role", values.role, default="connection_guard"),
        "policy": Key("policy", values.path, default="policy.toml"),
        "warning": Key("warning", percent, default=75.0),
        "critical": Key("critical", percent, default=90.0),
        "reserve_concurrency": Key("reserve_concurrency", truth, default=False),
        "proxy": Key("proxy", values.anything),
    }


_PROVISIONED_KEYS = {
    "memory_gib": Key("memory_gib", values.memory),
    "minimum_acu": Key(
        "minimum_acu", values.misplaced(f'belongs to instance_class = "{_SERVERLESS}"')
    ),
    "maximum_acu": Key(
        "maximum_acu", values.misplaced(f'belongs to instance_class = "{_SERVERLESS}"')
    ),
}
_SERVERLESS_KEYS = {
    "memory_gib": Key(
        "memory_gib",
        values.misplaced(f'follows from maximum_acu where the class is "{_SERVERLESS}"'),
    ),
    "minimum_acu": Key("minimum_acu", values.capacity, "0.5"),
    "maximum_acu": Key("maximum_acu", values.capacity, "16"),
}


def _read_database(
    table: object, place: str, deploy: Mapping[str, Any], folder: Path, mistakes: list[str]
) -> Database | None:
    """The database, or None where the table, or what it names, has mistakes, which are added to
    `mistakes`.
    """
    known_before = len(mistakes)
    written = table if isinstance(table, dict) else {}
    fields = read_fields(table, _database_keys(written, deploy), place, mistakes, _HOMES)
    mistakes += [f"{place}: {contradiction}" for contradiction in _contradictions(fields)]
    max_connections = _max_connections(fields, place, mistakes)
    policy = _read_policy(fields, folder, place, mistakes)
    proxy = _read_proxy(fields, deploy, place, mistakes)
    if max_connections is None or policy is None or len(mistakes) > known_before:
        return None
    host, port = fields["endpoint"]
    return Database(
        identifier=fields["instance"] or fields["cluster"],
        is_cluster=fields["cluster"] is not None,
        database_name=fields["database_name"],
        host=host,
        port=port,
        resource_id=fields["resource_id"],
        max_connections=max_connections,
        network=Network(fields["vpc"], fields["subnets"], fields["availability_zones"]),
        security_groups=fields["security_groups"],
        proxy=proxy,
        role=fields["role"],
        policy_file=folder / fields["policy"],
        policy=policy,
        warning_percent=fields["warning"],
        critical_percent=fields["critical"],
        reserve_concurrency=fields["reserve_concurrency"],
    )


def _contradictions(fields: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong between values that are right by themselves."""
    match fields:
        case {"instance": None, "cluster": None}:
            yield (
                'instance: is missing; write, for example, instance = "orders", or '
                'cluster = "orders" for Aurora'
            )
        case {"instance": str(), "cluster": str()}:
            yield "cluster: instance stands here as well; leave one of them out"
    match fields:
        case {"warning": warning, "critical": critical} if warning >= critical:
            yield (
                f"warning: {warning:g} is not below critical, {critical:g}; lower it, or raise "
                "critical"
            )
    match fields:
        case {"subnets": subnets, "availability_zones": zones} if len(subnets) != len(zones):
            yield (
                f"availability_zones: {len(zones)} for {len(subnets)} subnets; write the zone of "
                "each subnet, in the same order"
            )


def _max_connections(fields: Mapping[str, Any], place: str, mistakes: list[str]) -> Estimate | None:
    if any(key not in fields for key in ("instance_class", "max_connections", *_PROVISIONED_KEYS)):
        return None
    instance_class, expression = fields["instance_class"], fields["max_connections"]
    try:
        if instance_class == _SERVERLESS:
            return estimate_serverless(
                fields["minimum_acu"], fields["maximum_acu"], expression, place=place
            )
        return estimate(instance_class, expression, place=place, memory_gib=fields["memory_gib"])
    except ConfigurationError as wrong:
        mistakes.append(str(wrong))
        return None


def _read_policy(
    fields: Mapping[str, Any], folder: Path, place: str, mistakes: list[str]
) -> Policy | None:
    written = fields.get("policy")
    if written is None:
        return None
    try:
        policy = parse_policy(_text_of(folder / written), written)
    except MistakeError as mistake:
        mistakes.append(f"{place}: policy: {mistake}")
        return None
    except ConfigurationError as wrong:
        mistakes += str(wrong).split("\n")
        return None
    if "warning" in fields and (too_high := target_not_below_warning(policy, fields["warning"])):
        mistakes.append(f"{place}: policy: {written}: {too_high}")
    return policy


# Its proxy: an existing one, or one for the stack to create; which logs in with IAM, or with a
# secret.

_ZONES_OF_A_PROXY = 2  # Amazon RDS User Guide, "Setting up network prerequisites for RDS Proxy"


def _proxy_keys(
    table: Mapping[str, object], deploy: Mapping[str, Any], database_role: str | None
) -> dict[str, Key]:
    return {
        "create": Key("create", truth, default=False),
        "authentication": Key("authentication", one_of(ProxyAuthentication), '"iam"'),
        "role": _role_key(table.get("authentication"), database_role),
        **_keys_of_existing_proxy(table.get("create") is True, deploy),
        **_keys_of_new_proxy(
            table.get("create") is True, table.get("authentication"), deploy.get("region")
        ),
    }


def _role_key(authentication: object, database_role: str | None) -> Key:
    """With end-to-end IAM one role serves both doors; with a secret, two are needed."""
    match authentication:
        case ProxyAuthentication.IAM:
            return Key("role", values.same_role(database_role), default=database_role)
        case ProxyAuthentication.SECRETS:
            return Key("role", values.other_role(database_role), '"connection_guard_proxy"')
        case _:
            return Key("role", values.role)


def _keys_of_existing_proxy(is_new: bool, deploy: Mapping[str, Any]) -> dict[str, Key]:
    if is_new:
        refuse = values.misplaced(
            "belongs to a proxy that exists, and create = true makes a new one (the database's own "
            "is written above [databases.proxy])"
        )
        return {key: Key(key, refuse) for key in ("endpoint", "resource_id", "security_groups")}
    return {
        "endpoint": Key(
            "endpoint",
            values.endpoint("proxy", None, deploy),
            '"orders.proxy-c1abcdefghij.eu-central-1.rds.amazonaws.com", or create = true for a '
            "new one",
        ),
        "resource_id": Key("resource_id", values.proxy_resource_id, '"prx-0123456789abcdef0"'),
        "security_groups": Key(
            "security_groups", values.security_groups, '["sg-0123456789abcdef0"]'
        ),
    }


def _keys_of_new_proxy(is_new: bool, authentication: object, region: str | None) -> dict[str, Key]:
    if is_new and authentication == ProxyAuthentication.SECRETS:
        return {
            "secret": Key(
                "secret", values.secret_arn(region), f'"{values.example_secret(region)}"'
            ),
            "secret_key": Key("secret_key", values.key_arn(region)),
        }
    refuse = values.misplaced(
        'belongs to a proxy with create = true and authentication = "secrets"'
    )
    return {key: Key(key, refuse) for key in ("secret", "secret_key")}


def _read_proxy(
    database: Mapping[str, Any], deploy: Mapping[str, Any], place: str, mistakes: list[str]
) -> ExistingProxy | NewProxy | None:
    table = database.get("proxy")
    if table is None:
        return None
    place = f"{place}: proxy"
    written = table if isinstance(table, dict) else {}
    zones = database.get("availability_zones", ())
    if written.get("create") is True and zones and len(set(zones)) < _ZONES_OF_A_PROXY:
        mistakes.append(
            f"{place}: create: RDS Proxy needs subnets in two availability zones; add one to "
            "subnets"
        )
    is_of_cluster = str(database.get("resource_id")).startswith("cluster-")
    if written.get("create") is True and is_of_cluster and database.get("instance") is not None:
        mistakes.append(
            f"{place}: create: RDS Proxy serves an Aurora cluster as a whole; write cluster in "
            "place of instance, or name a proxy that exists"
        )
    fields = read_whole(
        table, _proxy_keys(written, deploy, database.get("role")), place, mistakes, _HOMES
    )
    if fields is None:
        return None
    authentication, role = fields["authentication"], fields["role"]
    if fields["create"]:
        return NewProxy(authentication, role, fields["secret"], fields["secret_key"])
    host, port = fields["endpoint"]
    return ExistingProxy(
        host, port, fields["resource_id"], fields["security_groups"], authentication, role
    )


# Where a key belongs, for whoever wrote it elsewhere: in TOML every key belongs to the header above
# it.

_HOMES = {
    **dict.fromkeys(_proxy_keys({}, {}, None), "it belongs under [databases.proxy]"),
    **dict.fromkeys(
        _database_keys({}, {}), "it belongs under [[databases]], above [databases.proxy]"
    ),
    **dict.fromkeys(_NOTIFICATIONS, "it belongs under [notifications]"),
    **dict.fromkeys((*_DEPLOY, "kms_key"), "it belongs under [deploy]"),
}
