"""The verb `pause`: for a while, or until it is resumed, the guard only observes."""

import getpass
from datetime import timedelta

import click
from rich.text import Text

from connection_guard.adapters.postgresql.administration.pausing import pause_guard, paused_roles
from connection_guard.adapters.postgresql.observe import measure
from connection_guard.cli.access.database_access import (
    DatabaseAccess,
    database_access_options,
    enter,
)
from connection_guard.cli.pause.called_for import require_named_database
from connection_guard.cli.terminal.durations import DurationType
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.cli.terminal.output import json_option, write
from connection_guard.core.report.wording import pause_in_words
from connection_guard.core.words import printable, shown

LONGEST = "30d"
LONGEST_NAME = 60
LONGEST_WHY = 200


@click.command("pause")
@database_access_options
@click.option(
    "--for",
    "lasts",
    metavar="DURATION",
    type=DurationType("1m", LONGEST),
    help=f"When the pause ends by itself: 30m, 2h or 1d, {LONGEST} at most. Without it, the pause "
    "lasts until `resume`.",
)
@click.option("--why", default="", metavar="TEXT", help="The reason, which reports show.")
@click.option("--by", metavar="NAME", help="Who pauses it. The default is your name here.")
@json_option
def pause(access: DatabaseAccess, lasts: timedelta | None, why: str, by: str | None) -> None:
    """Let the guard of a database only observe, for a while or until it is resumed.

    It goes on looking and reporting, and shows in each report that it is paused, by whom, why and
    until when; it terminates nothing. The pause takes effect with its next run, within a minute,
    and needs no deployment. It ends by itself, by the database's clock. A pause that lasts already
    is replaced.

    The database itself keeps it: role connection_guard_paused is granted to the guard's role. Roles
    belong to a whole server, so it holds for each of its databases. The guard's own role may not
    grant it: log in with --user as the one that ran bootstrap.sql, usually the master user.

    \b
    Examples:
      connection-guard pause orders --user postgres --for 2h --why "load test"
      connection-guard pause orders --user postgres --host localhost:15432
    """
    require_named_database()
    who = shown(by if by is not None else _own_name(access), LONGEST_NAME)
    if not who:
        raise UserMistakeError("--by is empty: write who pauses the guard")
    if len(why) > LONGEST_WHY:
        raise UserMistakeError(
            f"--why has {len(why)} characters: write {LONGEST_WHY} at most, as in a message"
        )
    note = ": ".join(filter(None, (who, printable(why))))
    session, before = enter(access)
    try:
        pause_guard(session, access.guard_roles, lasts, note)
        after = measure(session, access.guard_roles).pause
        roles = paused_roles(session)
    finally:
        session.close()
    if after is None:
        raise UserMistakeError(
            "the server's clock says that the pause has ended already: pause it for longer"
        )
    resume = access.command("resume")
    lead = f"{shown(access.name)} is {pause_in_words(after)}."
    meaning = (
        "Until then the guard looks and reports, but terminates nothing."
        if after.until
        else "Until it is resumed the guard looks and reports, but terminates nothing."
    )
    write(
        {
            "database": access.name,
            "paused": True,
            "until": after.until,
            "note": after.note,
            "was_paused": before.pause is not None,
            "roles": list(roles),
            "resume": resume,
        },
        Text(lead),
        Text(
            f"{meaning} It holds for every database of this server whose guard logs in as "
            f"{' or '.join(map(shown, roles))}."
        ),
        Text(f"To end the pause: {resume}"),
    )


def _own_name(access: DatabaseAccess) -> str:
    """Return the operator's name on this machine, else the role that logs in."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container's user may have a number only. Before Python 3.13 that is a KeyError.
        return access.door.role
