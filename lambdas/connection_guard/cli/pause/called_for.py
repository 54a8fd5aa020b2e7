"""What `pause` and `resume` share: which database they were called for."""

import shlex

import click

from connection_guard.cli.terminal.mistakes import UserMistakeError


def require_named_database() -> None:
    """Raise UserMistakeError where the command line names no database: whose guard stops must not
    be a matter of which file is in the folder.
    """
    given = click.get_current_context().params
    if given["database"] is None and given["host"] is None:
        raise UserMistakeError("name the database, also where guard.toml has only one")


def command_again(verb: str) -> str:
    """Return the command line of another verb for the same database, as the same role."""
    given = click.get_current_context().params
    options = [
        part
        for name in ("host", "user", "dbname", "profile", "region")
        if given[name]
        for part in (f"--{name}", str(given[name]))
    ]
    database = [str(given["database"])] if given["database"] else []
    return shlex.join(["connection-guard", verb, *database, *options])
