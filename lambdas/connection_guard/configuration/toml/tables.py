"""Read the tables of a TOML file: every mistake is reported, with its place and what to write
instead.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connection_guard.configuration.toml.readers import MistakeError, Reader, did_you_mean, given
from connection_guard.errors import ConfigurationError

NOWHERE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table: the field that it fills and how it is read. It is required where it has an
    example.
    """

    field: str
    read: Reader[object]
    example: str = ""
    default: object = None


def parse_document(text: str, source: str, hint: str) -> dict[str, Any]:
    """Return the tables of the text; raise ConfigurationError where it is not valid TOML.

    `hint` says of the file's own tables which header they need, such as "[[rules]] above each
    rule".
    """
    if text.startswith("\ufeff"):
        raise ConfigurationError(
            f"{source}: begins with a byte order mark (BOM); save it as UTF-8 without one"
        )
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        advice = (
            'write each key once, to the left of "=", text in double quotes, lists in [ ], and '
            f"{hint}"
        )
        raise ConfigurationError(f"{source}: not valid TOML: {error}; {advice}") from error


def read_fields(
    table: object,
    keys: Mapping[str, Key],
    place: str,
    mistakes: list[str],
    homes: Mapping[str, str] = NOWHERE,
) -> dict[Any, Any]:
    """Return the fields that the table fills, without those that have mistakes, which are added to
    `mistakes`.

    `homes` maps keys of other tables to a sentence that says where they belong.
    """
    if not isinstance(table, dict):
        mistakes.append(f"{place}: {given(table)} is not a table; its keys are {', '.join(keys)}")
        return {}
    fields: dict[str, object] = {}
    for name, key in keys.items():
        if name in table:
            try:
                fields[key.field] = key.read(table[name])
            except MistakeError as mistake:
                mistakes += [f"{place}: {name}: {line}" for line in mistake.args]
        elif key.example:
            mistakes.append(
                f"{place}: {name}: is missing; write, for example, {name} = {key.example}"
            )
        else:
            fields[key.field] = key.default
    mistakes += [f"{place}: {unknown(name, keys, homes)}" for name in table if name not in keys]
    return fields


def read_whole(
    table: object,
    keys: Mapping[str, Key],
    place: str,
    mistakes: list[str],
    homes: Mapping[str, str] = NOWHERE,
) -> dict[Any, Any] | None:
    """Return every field of the table, or None where it has mistakes, which are added to
    `mistakes`.
    """
    known_before = len(mistakes)
    fields = read_fields(table, keys, place, mistakes, homes)
    return fields if len(mistakes) == known_before else None


def unknown(name: str, known: Iterable[str], homes: Mapping[str, str] = NOWHERE) -> str:
    """Say that the key is not a known one, and where it belongs if `homes` has it."""
    if name in homes:
        return f"{given(name)} is not a key of this table; {homes[name]}"
    hint = did_you_mean(name, known) or f"; the keys here are {', '.join(known)}"
    return f"unknown key {given(name)}{hint}"
