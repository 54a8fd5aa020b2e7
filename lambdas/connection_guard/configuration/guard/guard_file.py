"""Read guard.toml: every mistake at once, each with its place and what to write instead."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from connection_guard.configuration.guard.database_table import (
    database_keys,
    read_database,
    shown_identifier,
)
from connection_guard.configuration.guard.deploy_table import deploy_keys, read_deploy
from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    Database,
    ExistingProxy,
    Notifications,
    Target,
)
from connection_guard.configuration.guard.proxy_table import proxy_keys
from connection_guard.configuration.guard.recipients import (
    notification_keys,
    read_application_owners,
    read_notifications,
    without_secrets,
)
from connection_guard.configuration.services.service_tables import read_services
from connection_guard.configuration.toml.readers import MistakeError, given
from connection_guard.configuration.toml.tables import parse_document, unknown
from connection_guard.configuration.toml.text_file import read_text
from connection_guard.errors import ConfigurationError

EXAMPLE = "examples/guard.toml"

_HOW_TO_BEGIN = (
    "let `connection-guard discover` write it, begin with a copy of the project's "
    f"{EXAMPLE}, or name the file where it is"
)


def read_configuration(path: Path, first: Path | None = None) -> Configuration:
    """Return what the file says, with the policies that it names.

    `first` is the file whose stack may have the default name. Every other file has to name its own
    stack, because it would replace that one. Raise ConfigurationError with one line for every
    mistake in any of these files.
    """
    is_first = first is None or path.resolve() == first.resolve()
    try:
        text = read_text(path, _HOW_TO_BEGIN) if is_first else read_text(path)
    except MistakeError as mistake:
        raise ConfigurationError(str(mistake)) from mistake
    return parse_configuration(text, path, None if is_first else first)


def parse_configuration(text: str, path: Path, first: Path | None) -> Configuration:
    """Return what the text says, as that of the file at `path`, which need not exist.

    `first` is the file whose stack this one must not replace, None where this is that file. Raise
    ConfigurationError with one line for every mistake.
    """
    source = path.name
    document = parse_document(text, source, "[[databases]] above each database")
    mistakes = [
        f"{source}: {unknown(table, _TABLES, _HOMES)}" for table in document if table not in _TABLES
    ]
    deploy = read_deploy(document, source, mistakes, _HOMES, first)
    notifications = read_notifications(
        document.get("notifications", {}),
        f"{source}: notifications",
        deploy.get("region"),
        mistakes,
        _HOMES,
    )
    owners = read_application_owners(document.get("applications", []), source, mistakes, _HOMES)
    tables = _tables_by_place(document.get("databases", []), source, mistakes)
    databases = {
        place: read_database(table, f"{source}: {place}", deploy, path.parent, mistakes, _HOMES)
        for place, table in tables.items()
    }
    readable = {place: database for place, database in databases.items() if database}
    mistakes += [f"{source}: {mistake}" for mistake in _used_twice(readable)]
    names = [database.identifier for database in readable.values()]
    services = read_services(
        document.get("services", []),
        source,
        names if len(readable) == len(tables) else None,
        mistakes,
        _HOMES,
    )
    if notifications.get("slack_secret", "") is None:
        mistakes += [
            f"{source}: {place}: slack_channel: Slack is not notified; write slack_secret under "
            "[notifications], or remove this"
            for place, database in readable.items()
            if database.slack_channel
        ]
    if mistakes:
        # Databases that share a policy share its mistakes.
        raise ConfigurationError(*map(without_secrets, dict.fromkeys(mistakes)))
    return Configuration(
        Target(**deploy), Notifications(**notifications), tuple(readable.values()), owners, services
    )


_TABLES = ("deploy", "notifications", "databases", "applications", "services")

# Where a key belongs that is written elsewhere: in TOML every key belongs to the header above it.
_HOMES = {
    **dict.fromkeys(proxy_keys({}, {}, None), "it belongs under [databases.proxy]"),
    **dict.fromkeys(
        database_keys({}, {}), "it belongs under [[databases]], above [databases.proxy]"
    ),
    **dict.fromkeys(notification_keys(None), "it belongs under [notifications]"),
    **dict.fromkeys(deploy_keys({}, is_first=True), "it belongs under [deploy]"),
    "reserve_concurrency": "remove it: runs exclude each other in the database, and while a "
    "heartbeat keeps looking an alarm needs a second execution environment",
}


def _tables_by_place(tables: object, source: str, mistakes: list[str]) -> dict[str, object]:
    """Return each database's table by its place in the file, in order."""
    hint = "write [[databases]], in double brackets, above each database"
    if not isinstance(tables, list):
        mistakes.append(f"{source}: databases: {given(tables)} is not a list of tables; {hint}")
        return {}
    if not tables:
        mistakes.append(f"{source}: databases: there is no database to guard; {hint}")
    return {
        f"databases[{index}] {shown_identifier(table)}": table for index, table in enumerate(tables)
    }


def _used_twice(databases: Mapping[str, Database]) -> Iterator[str]:
    """Yield a mistake for each value that two databases cannot share.

    `databases` maps the place of each to it, in order.
    """
    one_server = "so both are the same server; correct or remove one of them"
    one_target = "and a proxy serves only one database; correct one of them"
    places: dict[tuple[str, object], str] = {}
    for place, database in databases.items():
        kind = "cluster" if database.is_cluster else "instance"
        names = "and alarms are named after it; remove one of them"
        of_database = [
            (kind, "identifier", database.identifier, names),
            ("endpoint", "endpoint", (database.host, database.port), one_server),
            ("resource_id", "resource_id", database.resource_id, one_server),
        ]
        if isinstance(proxy := database.proxy, ExistingProxy):
            of_database += [
                ("proxy: endpoint", "proxy endpoint", (proxy.host, proxy.port), one_target),
                ("proxy: resource_id", "proxy resource_id", proxy.resource_id, one_target),
            ]
        for key, what, value, consequence in of_database:
            if (first := places.setdefault((what, value), place)) != place:
                yield f"{place}: {key}: {first} has the same {what}, {consequence}"
