"""What `pause` and `resume` share: which database they were called for."""

import click

from connection_guard.cli.terminal.mistakes import UserMistakeError


def require_named_database() -> None:
    """Raise UserMistakeError where the command line names no database: whose guard stops must not
    be a matter of which file is in the folder.
    """
    given = click.get_current_context().params
    if given["database"] is None and given["host"] is None:
        raise UserMistakeError("name the database, also where guard.toml has only one")
