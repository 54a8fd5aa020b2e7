"""The verb `resume`: ends a pause of the guard."""

import click
from rich.text import Text

from connection_guard.adapters.postgresql.administration.pausing import paused_roles, resume_guard
from connection_guard.adapters.postgresql.observe import measure
from connection_guard.cli.access.database_access import (
    DatabaseAccess,
    database_access_options,
    enter,
)
from connection_guard.cli.pause.called_for import require_named_database
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.cli.terminal.output import json_option, write
from connection_guard.core.words import shown


@click.command("resume")
@database_access_options
@json_option
def resume(access: DatabaseAccess) -> None:
    """End the pause of a database's guard, so that it acts again.

    It takes effect with the guard's next run, within a minute. A pause that has ended by itself
    needs no `resume`, which then only removes what is left of it. Where the guard is not paused,
    the output says so, and the exit status is 0.

    Log in with --user as the one that ran bootstrap.sql, usually the master user.

    \b
    Examples:
      connection-guard resume orders --user postgres
      connection-guard resume orders --user postgres --host localhost:15432
    """
    require_named_database()
    session, before = enter(access)
    try:
        resume_guard(session, access.guard_roles)
        after = measure(session, access.guard_roles).pause
        others = paused_roles(session)
    finally:
        session.close()
    if after is not None:
        raise UserMistakeError(
            f"{shown(access.name)} is still paused: the guard's role is a superuser, or a member "
            "of connection_guard_paused through another role, which pg_auth_members shows: revoke "
            "it from that role"
        )
    name = shown(access.name)
    if before.pause is None:
        lines = [f"{name} was not paused: its guard acts."]
    else:
        lines = [f"{name} is no longer paused: its guard acts from its next run on."]
    if others:
        lines.append(f"Other guards of this server may be: {', '.join(map(shown, others))}.")
    write(
        {
            "database": access.name,
            "paused": False,
            "was_paused": before.pause is not None,
            "roles_left": list(others),
        },
        *map(Text, lines),
    )
