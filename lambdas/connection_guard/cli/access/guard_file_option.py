"""guard.toml as a verb finds it: the file, and one of its databases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from connection_guard.cli.terminal.mistakes import UserMistakeError, nearest
from connection_guard.configuration.guard.guard_configuration import Configuration, Database
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.core.words import quoted
from connection_guard.errors import ConfigurationError

DEFAULT_FILE = "guard.toml"

Verb = TypeVar("Verb", bound=Callable[..., Any])


def guard_file_option(verb: Verb) -> Verb:
    """Add `--guard`, the path of a guard.toml, as the argument `guard_file`."""
    return click.option(
        "--guard",
        "guard_file",
        type=click.Path(path_type=Path),
        default=DEFAULT_FILE,
        show_default=True,
        help="The file that describes the databases.",
    )(verb)


def is_described(file: Path) -> bool:
    """Return whether a guard.toml is to be read: it is there, or a person named it."""
    return file.exists() or str(file) != DEFAULT_FILE


def database_argument(verb: Verb) -> Verb:
    """Add the argument `database`, a name of guard.toml that a shell can complete."""
    return click.argument("database", required=False, shell_complete=_completed)(verb)


def chosen_database(configuration: Configuration, name: str | None, file: Path) -> Database:
    """Return the database of that name, or the only one.

    Raise UserMistakeError where there is none, or more than one.
    """
    databases = {each.identifier: each for each in configuration.databases}
    if name is None:
        if len(databases) == 1:
            return next(iter(databases.values()))
        raise UserMistakeError(
            f"{file} describes {len(databases)} databases: name one of "
            f"{', '.join(map(quoted, sorted(databases)))}"
        )
    if name not in databases:
        raise UserMistakeError(
            f"{quoted(name)} is not a database of {file}: {nearest(name, databases)}"
        )
    return databases[name]


def _completed(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    try:
        configuration = read_configuration(Path(context.params.get("guard_file") or DEFAULT_FILE))
    except ConfigurationError:
        return []
    return [
        CompletionItem(each.identifier)
        for each in configuration.databases
        if each.identifier.startswith(begun)
    ]
