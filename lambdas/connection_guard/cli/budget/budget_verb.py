"""The verb `budget`: do the pools of all services fit into their databases?"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from connection_guard.cli.access.database_access import database_access
from connection_guard.cli.access.guard_file_option import (
    chosen_database,
    guard_file_option,
    is_described,
)
from connection_guard.cli.access.login_options import Login, login_options
from connection_guard.cli.budget.budget_shown import gate_document, shown_gate
from connection_guard.cli.budget.gather_workloads import gather_workloads
from connection_guard.cli.budget.observed_services import Observation, observe
from connection_guard.cli.budget.pool_gate import DatabaseGate, Gate
from connection_guard.cli.budget.pools.service_pools import services_of
from connection_guard.cli.terminal.mistakes import FINDING_STATUS, UserMistakeError
from connection_guard.cli.terminal.output import json_option, write
from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    Database,
    ExistingProxy,
)
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.core.budget.observed import by_service
from connection_guard.core.budget.pool_budget import (
    DEFAULT_SHARE,
    PoolBudget,
    assigned,
    with_declarations,
)
from connection_guard.core.budget.service import Service
from connection_guard.core.words import quoted

UNNAMED = "the database"


@click.command("budget")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@guard_file_option
@click.option("--database", help="The database of every service whose host is not in guard.toml.")
@click.option(
    "--usable",
    type=click.IntRange(min=1),
    help="The connections that applications can get. The default is guard.toml's estimate.",
)
@click.option(
    "--share",
    type=click.IntRange(1, 100),
    default=DEFAULT_SHARE,
    show_default=True,
    help="The percentage of them that pools may open; the rest is for people and jobs.",
)
@click.option(
    "--cpus",
    type=click.IntRange(min=1),
    help="The CPUs of the machines that services run on, for defaults that depend on them.",
)
@click.option("--live", is_flag=True, help="Measure the databases, and compare with what is open.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0),
    default=0,
    help="With --live, look every second for so many seconds, and show the most that was open.",
)
@login_options
@json_option
def budget(
    files: Sequence[str],
    guard_file: Path,
    database: str | None,
    usable: int | None,
    share: int,
    cpus: int | None,
    live: bool,
    seconds: float,
    login: Login,
) -> None:
    """Add up the pools of all services, and compare with what their databases have to give.

    Each FILE is a Kubernetes manifest, the values of a Helm chart, a docker-compose file, an ECS
    task definition or service, a pgbouncer.ini, settings such as application.yaml, or a folder with
    such files; "-" is standard input. Services count with as many replicas as their autoscaler may
    start, with those that a rolling update adds, and with a pool per process. Services that
    guard.toml declares under [[services]] are added, and complete those of the same name.

    The exit status is 1 where pools do not fit or one is unknown: then it shows what each pool
    could be. It is 2 where a file cannot be read.

    \b
    Examples:
      connection-guard budget deploy/
      helm template charts/orders | connection-guard budget -
      connection-guard budget compose.yaml --usable 97
      connection-guard budget --live --for 60 --user postgres
    """
    configuration = read_configuration(guard_file) if is_described(guard_file) else None
    databases = configuration.databases if configuration else ()
    if configuration and database is not None:
        chosen_database(configuration, database, guard_file)
    services = _services(files, configuration, cpus, guard_file)
    placed = _placed(services, databases, database)
    used = [name for name in dict.fromkeys(each.database for each in placed) if name is not None]
    unplaced = tuple(each for each in placed if each.database is None and each.host is None)
    elsewhere = tuple(each for each in placed if each.database is None and each.host is not None)
    if not used and not unplaced:
        raise UserMistakeError(
            f"no service uses a database of {guard_file}, but {quoted(elsewhere[0].host or '')}: "
            "add --database NAME to count them all at that database"
        )
    for option, value in (("--usable", usable), ("--host", login.host)):
        if value is not None and len(used) > 1:
            raise UserMistakeError(
                f"{option} is for one database, but services use {', '.join(used)}: name the files "
                "of one"
            )
    if seconds and not live:
        raise UserMistakeError("--for is how long to look at a live database: add --live")
    by_name = {each.identifier: each for each in databases}
    gates = []
    for name in used:
        own = [each for each in placed if each.database == name]
        observation = None
        if live:
            described = name if name in by_name else None
            access = database_access(described, guard_file, login)
            observation = observe(access, seconds)
        gates.append(_gate(name, own, by_name.get(name), usable, share, observation))
    gate = Gate(tuple(gates), unplaced, elsewhere)
    write(gate_document(gate), *shown_gate(gate))
    sys.exit(0 if gate.fits else FINDING_STATUS)


def _services(
    files: Sequence[str], configuration: Configuration | None, cpus: int | None, guard_file: Path
) -> list[Service]:
    declarations = configuration.services if configuration else ()
    if not files and not declarations:
        raise UserMistakeError(
            "there is nothing to add up: name files, such as a folder with manifests, or declare "
            f"[[services]] in {guard_file}"
        )
    found = services_of(gather_workloads(files), cpus)
    services = with_declarations(found, declarations)
    if not services:
        raise UserMistakeError(
            f"{', '.join(files)}: no service has settings of a client of PostgreSQL, such as "
            "DATABASE_URL, PGHOST, DB_HOST, SPRING_DATASOURCE_URL or DB_POOL_SIZE; declare it in "
            "guard.toml under [[services]]"
        )
    return services


def _placed(
    services: Sequence[Service], databases: Sequence[Database], database: str | None
) -> list[Service]:
    hosts = {each.host.lower(): each.identifier for each in databases}
    proxies = {
        each.proxy.host.lower(): each.identifier
        for each in databases
        if isinstance(each.proxy, ExistingProxy)
    }
    return assigned(services, hosts, proxies, database or (None if databases else UNNAMED))


def _gate(
    name: str,
    services: Sequence[Service],
    configured: Database | None,
    usable: int | None,
    share: int,
    observation: Observation | None,
) -> DatabaseGate:
    if usable is not None:
        origin = "as --usable says"
    elif observation is not None:
        usable, origin = observation.usable, "measured now"
    elif configured is not None:
        estimate = configured.max_connections
        usable, origin = estimate.usable, f"less what is reserved; {estimate.explanation}"
    else:
        raise UserMistakeError(
            "how many connections applications can get is not known: add --usable N, or describe "
            "the database in guard.toml"
        )
    pool_budget = PoolBudget(name, usable, share, tuple(services))
    if observation is None:
        return DatabaseGate(pool_budget, origin)
    observed, undeclared = by_service(services, observation.applications)
    return DatabaseGate(pool_budget, origin, observed, undeclared)
