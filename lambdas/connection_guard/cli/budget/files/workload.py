"""What readers of files return: workloads with their settings, the same of each kind of file.

A reader takes all documents of its kind, because a deployment, its autoscaler and its settings may
be in different files.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connection_guard.cli.budget.files.located_yaml import is_template, place_of
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.toml.readers import given

MOST_REPLICAS = 1_000_000


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a setting, None where it is a secret that is elsewhere, and where it was read.

    It may hold a password, so that it is never shown.
    """

    value: str | None
    place: str


Settings = Mapping[str, Setting]
"""Settings by their canonical names: see `canonical`."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file; `beside` returns the text of a file beside it, None where there is
    none.
    """

    source: str
    content: Any
    beside: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that runs: `words` are its image, command and arguments, `group` is what shares
    its network address, and `ini` a pgbouncer.ini that it reads.

    `missing` says what to write where the number of replicas is not known. `notes` say how figures
    were found.
    """

    name: str
    place: str
    replicas: int
    surge: int
    settings: Settings
    words: Sequence[str]
    notes: tuple[str, ...] = ()
    missing: str = ""
    group: str = ""
    ini: Setting | None = None
    names: frozenset[str] = frozenset()


Reader = Callable[[Sequence[Document]], Iterable[Workload]]


def canonical(name: str) -> str:
    """Return a setting's name without what differs between the ways to write it: an environment
    variable, a property, a key.
    """
    return re.sub("[^A-Z0-9]", "", name.upper())


def setting(value: object, place: str) -> Setting:
    """Return the setting with a value of YAML as text; a template of Helm is not known."""
    match value:
        case bool():
            return Setting(str(value).lower(), place)
        case str() if not is_template(value):
            return Setting(value, place)
        case int() | float():
            return Setting(str(value), place)
        case _:
            return Setting(None, place)


def as_map(value: object) -> Mapping[str, Any]:
    """Return the value where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> Sequence[Any]:
    """Return the value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def number(table: Mapping[str, Any], key: str, source: str, default: int, least: int = 0) -> int:
    """Return a whole number. Raise UserMistakeError where it is something else."""
    value = table.get(key)
    if value is None:
        return default
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value.strip(), re.ASCII):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_REPLICAS:
        return value
    hint = "; render the template first: helm template" if is_template(value) else ""
    raise UserMistakeError(
        f"{place_of(source, table, key)}: {key}: {given(value)} is not a whole number from {least} "
        f"to {MOST_REPLICAS}{hint}"
    )


def words_of(*values: object) -> list[str]:
    """Return the words of commands, each of which is text or a list of texts."""
    words: list[str] = []
    for value in values:
        for each in value if isinstance(value, list) else [value]:
            words += str(each).split() if isinstance(each, str | int) else []
    return words
