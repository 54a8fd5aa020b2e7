"""The verb `audit`: what should be changed before connections run out again?"""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from rich.markdown import Markdown

from connection_guard.adapters.postgresql.administration.server_settings import read_server_settings
from connection_guard.adapters.postgresql.grants import grant_statement
from connection_guard.adapters.postgresql.observe import take_snapshot
from connection_guard.cli.access.database_access import (
    DatabaseAccess,
    database_access_options,
    enter,
)
from connection_guard.cli.audit.audit_facts import AuditFacts
from connection_guard.cli.audit.audit_markdown import code_span, page_of_sections
from connection_guard.cli.audit.audit_section import AuditSection
from connection_guard.cli.audit.budget_section import services_above_budget
from connection_guard.cli.audit.limits_page import limits_document, limits_page
from connection_guard.cli.audit.session_sections import (
    long_idle_sessions,
    unnamed_sessions,
    unused_pools,
)
from connection_guard.cli.audit.setting_sections import (
    missing_timeouts,
    pending_parameters,
    unlimited_roles,
    unused_reserve,
)
from connection_guard.cli.terminal.durations import DurationType
from connection_guard.cli.terminal.mistakes import FINDING_STATUS, UserMistakeError
from connection_guard.cli.terminal.output import json_text, terminal_console
from connection_guard.core.budget.service import declared
from connection_guard.core.words import connections_in_use, shown

SECTIONS: tuple[Callable[[AuditFacts], AuditSection], ...] = (
    long_idle_sessions,
    unused_pools,
    services_above_budget,
    unlimited_roles,
    missing_timeouts,
    pending_parameters,
    unused_reserve,
    unnamed_sessions,
)
"""What is audited, in the order of the page."""


@click.command("audit")
@database_access_options
@click.option(
    "--idle-for",
    type=DurationType("1s", "365d"),
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="From when on a session is long idle: 30m, 2h or 1d.",
)
@click.option(
    "--limits-page",
    "is_limits_page",
    is_flag=True,
    help="Write the page about the database's connection limits, for your documentation.",
)
@click.option(
    "--output",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, and not to the screen.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, and not Markdown.")
def audit(
    access: DatabaseAccess,
    idle_for: timedelta,
    is_limits_page: bool,
    file: Path | None,
    as_json: bool,
) -> None:
    """Report what should be changed before connections run out again, as Markdown.

    It looks once at the live database: for sessions and pools that nobody uses, sessions without a
    name, services above the budget that guard.toml gives them, roles without a limit or without
    timeouts, a reserve that nobody can use, and parameters that wait for a reboot. It changes
    nothing, and shows each statement that would.

    With --limits-page it writes a page for your documentation: how many connections there are,
    whose limits hold, what the policy does, and whom to ask.

    At a terminal the page is shown; in a pipe it is Markdown. The exit status is 1 where something
    was found.

    \b
    Examples:
      connection-guard audit orders
      connection-guard audit orders --output audit-orders.md
      connection-guard audit orders --limits-page > connection-limits.md
      connection-guard audit orders --json
    """
    facts = gather(access, idle_for)
    if is_limits_page:
        document, page, is_well = limits_document(access, facts), limits_page(access, facts), True
    else:
        sections = [section(facts) for section in SECTIONS]
        document, page = _document(access, facts, sections), _page(access, facts, sections)
        is_well = not any(section.rows for section in sections)
    _publish(f"{json_text(document)}\n" if as_json else page, file, is_markdown=not as_json)
    sys.exit(0 if is_well else FINDING_STATUS)


def gather(access: DatabaseAccess, idle_for: timedelta) -> AuditFacts:
    """Look once at the database, and return what the audit decides by.

    Raise UserMistakeError where the role does not see the sessions of others, and DatabaseError
    where the database cannot be reached.
    """
    session, measurement = enter(access)
    try:
        if not measurement.privileges.reads_all_stats:
            raise UserMistakeError(
                f"role {shown(measurement.role)} does not see the sessions of others: log in as "
                "the guard's role, or run, as the master user: "
                f"{grant_statement('pg_read_all_stats', measurement.role)}"
            )
        snapshot = take_snapshot(session, measurement)
        settings = read_server_settings(session, access.guard_roles)
    finally:
        session.close()
    written = access.configuration.services if access.configuration else ()
    services = tuple(declared(each) for each in written if each.database == access.name)
    return AuditFacts(snapshot, settings, access.guard_roles, idle_for, services)


def _document(
    access: DatabaseAccess, facts: AuditFacts, sections: list[AuditSection]
) -> dict[str, Any]:
    snapshot = facts.snapshot
    return {
        "database": access.name,
        "taken_at": snapshot.taken_at,
        "version": snapshot.measurement.server.version,
        "used": snapshot.used,
        "usable": snapshot.measurement.capacity.usable,
        "findings": sum(len(section.rows) for section in sections),
        "sections": [section.document() for section in sections],
    }


def _page(access: DatabaseAccess, facts: AuditFacts, sections: list[AuditSection]) -> str:
    snapshot, capacity = facts.snapshot, facts.snapshot.measurement.capacity
    intro = (
        f"Looked at on {snapshot.taken_at:%Y-%m-%d %H:%M} UTC: PostgreSQL "
        f"{snapshot.measurement.server.version}, "
        f"{connections_in_use(snapshot.used, capacity.usable)}."
    )
    return page_of_sections(f"Connections of {code_span(access.name)}", intro, sections)


def _publish(text: str, file: Path | None, *, is_markdown: bool) -> None:
    """Write to the file, or to where the command's output goes. Raise UserMistakeError where the
    file cannot be written.
    """
    if file is not None:
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserMistakeError(f"{file} cannot be written: {error.strerror}") from error
    elif is_markdown and sys.stdout.isatty():
        terminal_console().print(Markdown(text, hyperlinks=False))
    else:
        print(text, end="")
