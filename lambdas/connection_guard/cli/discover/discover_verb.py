"""The verb `discover`: from an account with databases to a guard.toml that can be deployed."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from connection_guard.cli.access.aws_session import aws_options, aws_session
from connection_guard.cli.access.guard_file_option import DEFAULT_FILE, guard_file_option
from connection_guard.cli.discover.account.choose_databases import chosen_databases
from connection_guard.cli.discover.account.discovered import FoundDatabase
from connection_guard.cli.discover.account.gather_databases import (
    gather_databases,
    gather_surroundings,
)
from connection_guard.cli.discover.account.read_answers import read_databases
from connection_guard.cli.discover.database_findings import findings_of_database
from connection_guard.cli.discover.file_findings import estimates_of, findings_of_file
from connection_guard.cli.discover.merge_tables import merge_tables
from connection_guard.cli.discover.show_discovery import (
    Discovery,
    discovery_document,
    last_line_of_discovery,
    shown_discovery,
)
from connection_guard.cli.discover.wanted_tables import proxies_of, wanted_table
from connection_guard.cli.discover.write_guard_file import read_guard_file, write_guard_file
from connection_guard.cli.terminal.mistakes import FINDING_STATUS, UserMistakeError
from connection_guard.cli.terminal.output import is_json, json_option, terminal_console, write
from connection_guard.configuration.guard.guard_file import parse_configuration
from connection_guard.configuration.toml.tables import parse_document
from connection_guard.core.words import quoted
from connection_guard.errors import ConfigurationError


@click.command()
@click.argument("names", metavar="[DATABASE]...", nargs=-1)
@click.option(
    "--tag",
    "tags",
    metavar="KEY=VALUE",
    multiple=True,
    help="Choose the databases with this tag. Of several, each has to be there.",
)
@click.option("--all", "is_all", is_flag=True, help="Choose every database with PostgreSQL.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@guard_file_option
@aws_options
@json_option
def discover(
    names: tuple[str, ...],
    tags: tuple[str, ...],
    is_all: bool,
    dry_run: bool,
    guard_file: Path,
    profile: str | None,
    region: str | None,
) -> None:
    """Describe databases of your AWS account in guard.toml.

    Asks RDS and EC2 about instances and Aurora clusters with PostgreSQL: endpoints, classes,
    parameter groups, networks and proxies. It only reads, and never reads the value of a secret.
    The databases that you choose are written into guard.toml, which is created where there is none.
    In one that exists, only what AWS knows is updated: comments, order, and what you decided stay.

    It shows what changes, which databases are left out and why, and what would stop a deployment,
    or leave the guard helpless. The exit status is 1 where there is any of the last. Without a
    choice it lists the databases, and writes nothing.

    \b
    Examples:
      connection-guard discover
      connection-guard discover orders payments --dry-run
      connection-guard discover --tag environment=production --tag team=shop
      connection-guard discover --all --region eu-central-1 --profile production
      connection-guard discover reports --guard second.toml
    """
    before = read_guard_file(guard_file)
    deploy = _deploy_of(before, guard_file)
    session = aws_session(profile, _region(region, deploy, guard_file))
    found, left_out = read_databases(*gather_databases(session))
    chosen = chosen_databases(found, left_out, names, tags, is_all)
    if not chosen:
        _show_and_write(
            Discovery(session.region_name, str(guard_file), found, left_out, is_list=True),
            lambda: None,
        )
        return
    account = _account(chosen, deploy, guard_file)
    surroundings = gather_surroundings(session, chosen)
    wanted = [wanted_table(each, surroundings) for each in chosen]
    existing = {
        *((each.kind, each.identifier) for each in found),
        *((each.kind, each.identifier) for each in left_out),
    }
    merged = merge_tables(before, guard_file.name, wanted, existing, account, session.region_name)
    added = [change for change in merged.changes if change.key is None]
    discovery = Discovery(
        region=session.region_name,
        file=str(guard_file),
        databases=chosen,
        left_out=left_out if is_all else [],  # who names databases does not ask about others
        usable=estimates_of(wanted),
        proxies={
            each.identifier: proxies[0].name
            for each in chosen
            if (proxies := proxies_of(each, surroundings))
        },
        findings=[
            *(finding for each in chosen for finding in findings_of_database(each, surroundings)),
            *findings_of_file(merged.tables, found, left_out),
        ],
        changes=merged.changes,
        notes=merged.notes,
        missing=surroundings.missing,
        mistakes=_mistakes(merged.text, guard_file),
        added=merged.text.removeprefix(before) if added and dry_run else "",
        is_written=merged.text != before and not dry_run,
    )
    _show_and_write(discovery, lambda: write_guard_file(guard_file, merged.text, before))
    if not discovery.is_well:
        sys.exit(FINDING_STATUS)


def _show_and_write(discovery: Discovery, save: Callable[[], None]) -> None:
    """Write the file when a person has seen what changes, and for a program before it reads so."""
    is_for_people = not is_json()
    if is_for_people:
        _print(shown_discovery(discovery))
    if discovery.is_written:
        save()
    if is_for_people:
        _print([Text(f"\n{last_line_of_discovery(discovery)}")])
    else:
        write(discovery_document(discovery))


def _print(shown: Iterable[RenderableType]) -> None:
    console = terminal_console()
    for each in shown:
        console.print(each, crop=False)  # a command that is cut cannot be copied


def _deploy_of(text: str, file: Path) -> dict[str, Any]:
    """Return [deploy] of the file as it is written, an empty table where there is none."""
    deploy = parse_document(text, file.name, "[[databases]] above each database").get("deploy")
    return deploy if isinstance(deploy, dict) else {}


def _region(asked: str | None, deploy: dict[str, Any], file: Path) -> str | None:
    """Return the region to ask in, None where that of the profile counts."""
    written = deploy.get("region")
    if not isinstance(written, str):
        return asked
    if asked is not None and asked != written:
        raise UserMistakeError(
            f"{file} is about {quoted(written)}, not {quoted(asked)}, and a stack is in one region:"
            " leave --region out, or name another file with --guard"
        )
    return written


def _account(chosen: list[FoundDatabase], deploy: dict[str, Any], file: Path) -> str:
    account, written = chosen[0].account, deploy.get("account")
    if written is not None and str(written) != account:
        raise UserMistakeError(
            f"{file} is about account {quoted(str(written))}, but your credentials are of "
            f"{account}: name another --profile, or another file with --guard"
        )
    return account


def _mistakes(text: str, file: Path) -> list[str]:
    """Return what would still stop a deployment of this text."""
    first = file.parent / DEFAULT_FILE
    try:
        parse_configuration(text, file, None if file.name == DEFAULT_FILE else first)
    except ConfigurationError as mistakes:
        return str(mistakes).splitlines()
    return []
