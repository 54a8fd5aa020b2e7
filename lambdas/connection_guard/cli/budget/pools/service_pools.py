"""The service that a workload is: its pool, by its settings and what is known of libraries."""

import re
from collections.abc import Iterable, Iterator, Sequence

from connection_guard.cli.budget.files.workload import (
    Setting,
    Settings,
    Workload,
    canonical,
)
from connection_guard.cli.budget.pools.connection_url import ConnectionUrl, connection_url
from connection_guard.cli.budget.pools.library_table import (
    APPLICATION_PARAMETERS,
    APPLICATIONS,
    COMMON_SIZES,
    HOSTS,
    LIBRARIES,
    NPGSQL,
    URLS,
    Formula,
    Library,
)
from connection_guard.cli.budget.pools.pgbouncer_pools import is_pgbouncer, poolers_of
from connection_guard.cli.budget.pools.server_processes import (
    Processes,
    expand,
    processes_of,
)
from connection_guard.core.budget.service import Service

_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_NODE = frozenset({"node", "npm", "npx", "yarn", "pnpm", "next", "pm2", "pm2-runtime"})
_PROPERTY = re.compile(r"(?:--|-D)([A-Za-z][\w.-]*\.[\w.-]+)=(.+)")
_OPTIONS = ("JAVAOPTS", "JAVATOOLOPTIONS", "JDKJAVAOPTIONS", "JAVAARGS")
_OTHER_ENGINES = re.compile(
    r"(?:jdbc:)?(?:mysql|mariadb|sqlserver|oracle|mongodb|sqlite)", re.IGNORECASE
)
_ENGINES = ("DBCONNECTION", "DBENGINE", "DBTYPE")
_OTHER_PORTS = frozenset({"3306", "1433", "1521", "27017"})


def services_of(workloads: Iterable[Workload], cpus: int | None = None) -> list[Service]:
    """Return the services that use PostgreSQL. `cpus` are those of the machines that they run on,
    None where that is not known: some defaults depend on it.
    """
    everyone = list(workloads)
    sidecars = {each.group: each for each in everyone if each.group and is_pgbouncer(each)}
    services: list[Service] = []
    for each in everyone:
        if is_pgbouncer(each):
            services += poolers_of(each)
        else:
            services += _service(each, sidecars.get(each.group), cpus)
    return services


def _service(workload: Workload, sidecar: Workload | None, cpus: int | None) -> Iterator[Service]:
    settings = with_options(workload.settings, workload.words)
    urls = list(_urls(settings))
    host = _host(settings, urls)
    if not (urls or _uses_postgresql(settings)):
        return
    if sidecar is not None and host in _LOCAL:
        host = sidecar.name.lower()
    processes = processes_of(workload.words, settings, cpus)
    library = _library(workload.words, settings, urls)
    size, overflow, notes, missing = _pool(library, settings, urls, processes, cpus, workload.words)
    if workload.missing or processes.missing:
        size, missing = None, workload.missing or processes.missing
    parameters = [url.parameters.get(name) for url in urls for name in APPLICATION_PARAMETERS]
    named = [settings[name].value for name in APPLICATIONS if name in settings]
    yield Service(
        name=workload.name,
        place=workload.place,
        replicas=workload.replicas,
        surge=workload.surge,
        processes=processes.count or 1,
        pool_size=size,
        overflow=overflow,
        notes=(*workload.notes, *processes.notes, *notes),
        missing=missing,
        host=host if host not in _LOCAL else None,
        application=next((each for each in [*parameters, *named] if each), ""),
    )


def with_options(settings: Settings, words: Sequence[str]) -> Settings:
    """Return the settings with those that a command has as --name=value or -Dname=value."""
    options = [settings[name].value or "" for name in _OPTIONS if name in settings]
    found = {}
    for word in [*words, *" ".join(options).split()]:
        if match := _PROPERTY.fullmatch(word.strip("'\"")):
            found[canonical(match[1])] = Setting(match[2], "")
    return {**settings, **found}


def _urls(settings: Settings) -> Iterator[ConnectionUrl]:
    """Yield the connection strings, those with known names first."""
    names = [name for name in URLS if name in settings]
    for name in [*names, *(name for name in settings if name not in URLS)]:
        value = settings[name].value
        if value and (name in URLS or name.startswith(NPGSQL) or "://" in value):
            found = connection_url(expand(value, settings))
            # "Server=" can be that of another engine.
            if found and (name in URLS or found.scheme or "host" in found.parameters):
                yield found


def _host(settings: Settings, urls: Sequence[ConnectionUrl]) -> str | None:
    hosts = [expand(settings[name].value or "", settings) for name in HOSTS if name in settings]
    candidates = [*(url.host for url in urls), *hosts]
    found = next((each for each in candidates if each and "$" not in each), None)
    return found.lower() if found else None


def _uses_postgresql(settings: Settings) -> bool:
    """Return whether settings without a URL show a client of PostgreSQL."""
    engines = [settings[name].value or "" for name in (*URLS, *_ENGINES) if name in settings]
    port = settings.get("DBPORT") or settings.get("DATABASEPORT")
    if any(_OTHER_ENGINES.match(value) for value in engines) or (
        port is not None and port.value in _OTHER_PORTS
    ):
        return False
    known = {*URLS, *HOSTS, *COMMON_SIZES, *(size for each in LIBRARIES for size in each.sizes)}
    known.discard("RAILSMAXTHREADS")
    return bool(known & settings.keys())


def _library(
    words: Sequence[str], settings: Settings, urls: Sequence[ConnectionUrl]
) -> Library | None:
    programs = {word.rpartition("/")[2].partition(":")[0] for word in words}
    for each in LIBRARIES:
        if (
            any(name in each.overflows or name.startswith(each.signs) for name in settings)
            or any(url.scheme.startswith(each.schemes) for url in urls)
            or any(name in url.parameters for url in urls for name in each.url_signs)
            or any(word in programs for word in each.words)
        ):
            return each
    is_node = programs & _NODE or "NODEENV" in settings
    if is_node and "PGHOST" in settings:  # which only libpq and this library read
        return next(each for each in LIBRARIES if each.name == "node-postgres")
    return None


def _pool(
    library: Library | None,
    settings: Settings,
    urls: Sequence[ConnectionUrl],
    processes: Processes,
    cpus: int | None,
    words: Sequence[str],
) -> tuple[int | None, int, tuple[str, ...], str]:
    """Return the size, the overflow, how they were found, and what to write where one is not
    known.
    """
    names = (*(library.sizes if library else ()), *COMMON_SIZES)
    parameters = library.parameters if library else ()
    from_urls = [
        url.parameters[name] for url in urls for name in parameters if name in url.parameters
    ]
    from_settings = [settings[name].value or "a secret" for name in names if name in settings]
    written = [expand(each, settings) for each in [*from_urls, *from_settings]]
    overflow, unlimited = _overflow(library, settings)
    if written:
        if unlimited or not re.fullmatch("0*[1-9][0-9]{0,5}", written[0].strip()):
            return None, 0, (), "write a size as a number: it has no limit, or is not one here"
        return int(written[0]), overflow, (), ""
    if library is None:
        return None, 0, (), "write DB_POOL_SIZE in its settings, or pool_size in guard.toml"
    write = f"write {library.write}, or pool_size in guard.toml"
    match library.default:
        case int() if not unlimited:
            whole = f"{library.default}"
            if library.default_overflow:
                whole += f" + {library.default_overflow}"
            return library.default, overflow, (f"{library.name}'s default of {whole}",), ""
        case Formula.TWICE_THE_CPUS_AND_ONE | Formula.FOUR_OR_THE_CPUS if cpus is not None:
            is_twice = library.default is Formula.TWICE_THE_CPUS_AND_ONE
            size = 2 * cpus + 1 if is_twice else max(4, cpus)
            return size, 0, (f"{library.name}'s default of {size} on {cpus} CPUs",), ""
        case Formula.TWICE_THE_CPUS_AND_ONE | Formula.FOUR_OR_THE_CPUS:
            return None, 0, (), f"{write}: the default depends on the CPUs (or add --cpus)"
        case Formula.ONE_PER_THREAD if not any(
            "uvicorn" in word or "daphne" in word for word in words
        ):
            note = f"{library.name}: one connection per thread, without a pool"
            return processes.threads, 0, (note,), ""
        case _:
            return None, 0, (), f"{write}: {library.name} has no limit here"


def _overflow(library: Library | None, settings: Settings) -> tuple[int, bool]:
    """Return the overflow, and whether it has no limit."""
    if library is None or not library.overflows:
        return 0, False
    written = [settings[name].value or "?" for name in library.overflows if name in settings]
    if not written:
        return library.default_overflow, False
    value = expand(written[0], settings).strip()
    is_number = re.fullmatch("[0-9]{1,6}", value) is not None
    return (int(value), False) if is_number else (0, True)
