"""The pools of PgBouncer: those of a pgbouncer.ini, or of the settings of its images.

It has one pool per user and database (https://www.pgbouncer.org/config.html): one user is counted.
"""

import re
from collections.abc import Iterator, Mapping

from connection_guard.cli.budget.files.workload import Workload
from connection_guard.cli.budget.pools.connection_url import connection_url
from connection_guard.cli.budget.pools.library_table import (
    HOSTS,
    PGBOUNCER_DEFAULT_POOL_SIZE,
    PGBOUNCER_PREFIXES,
    URLS,
)
from connection_guard.core.budget.service import Service

_SECTION = re.compile(r"\[(\w+)\]")
_ENTRY = re.compile(r"(\w+)\s*=\s*('(?:[^']|'')*'|\S+)")
_SETTINGS = ("default_pool_size", "reserve_pool_size", "max_db_connections")

Entry = Mapping[str, str]


def is_pgbouncer(workload: Workload) -> bool:
    """Return whether the workload is PgBouncer."""
    return workload.ini is not None or any("pgbouncer" in word for word in workload.words[:1])


def poolers_of(workload: Workload) -> Iterator[Service]:
    """Yield one service per database that the PgBouncer has."""
    if workload.ini is not None and workload.ini.value is not None:
        settings, entries = read_ini(workload.ini.value)
        place = workload.ini.place
    else:
        settings, entries = _from_settings(workload)
        place = workload.place
    for name, entry in entries.items():
        size = _number(entry, "pool_size") or _number(settings, "default_pool_size")
        reserve = _number(entry, "reserve_pool_size") or _number(entry, "reserve_pool")
        reserve = reserve if reserve is not None else _number(settings, "reserve_pool_size") or 0
        most = _number(entry, "max_db_connections") or _number(settings, "max_db_connections")
        notes = list(workload.notes)
        if size is None:
            size = PGBOUNCER_DEFAULT_POOL_SIZE
            notes.append(f"PgBouncer's default of {size}")
        if most is not None and most <= size + reserve:
            size, reserve = most, 0
            notes.append(f"max_db_connections is {most}")
        elif "user" not in entry:
            notes.append("for one user: PgBouncer has a pool per user and database")
        yield Service(
            name=workload.name if len(entries) == 1 else f"{workload.name}/{name}",
            place=place,
            replicas=workload.replicas,
            surge=workload.surge,
            processes=1,
            pool_size=None if workload.missing else size,
            overflow=reserve,
            notes=tuple(notes),
            missing=workload.missing,
            host=entry.get("host", "").lower() or None,
            is_pooler=True,
            answers_to=frozenset(each.lower() for each in {workload.name, *workload.names}),
        )


def read_ini(text: str) -> tuple[Mapping[str, str], Mapping[str, Entry]]:
    """Return the settings of [pgbouncer], and the entries of [databases] by their names."""
    sections: dict[str, dict[str, str]] = {"databases": {}, "pgbouncer": {}}
    section = ""
    for line in map(str.strip, text.splitlines()):
        if match := _SECTION.fullmatch(line):
            section = match[1].lower()
        elif section in sections and line and line[0] not in ";#%":
            name, _, value = line.partition("=")
            sections[section][name.strip().strip('"')] = value.strip()
    entries = {
        name: {key.lower(): word.strip("'") for key, word in _ENTRY.findall(value)}
        for name, value in sections["databases"].items()
    }
    return sections["pgbouncer"], entries


def _from_settings(workload: Workload) -> tuple[Mapping[str, str], Mapping[str, Entry]]:
    settings = {}
    for name in _SETTINGS:
        for prefix in reversed(PGBOUNCER_PREFIXES):
            found = workload.settings.get(prefix + name.upper().replace("_", ""))
            if found is not None and found.value is not None:
                settings[name] = found.value
    values = [workload.settings[name].value for name in URLS if name in workload.settings]
    urls = [connection_url(value) for value in values if value]
    hosts = [url.host for url in urls if url is not None]
    hosts += [workload.settings[name].value for name in HOSTS if name in workload.settings]
    host = next((each for each in hosts if each), None)
    return settings, {"*": {"host": host} if host else {}}


def _number(table: Mapping[str, str], name: str) -> int | None:
    """Return the number, None where there is none, or 0 which has the meaning of none."""
    value = table.get(name, "").strip()
    return int(value) or None if re.fullmatch("[0-9]{1,6}", value) else None
