"""The keys of TOML tables: each is read, and every mistake is told with its place and what would be right."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connection_guard.core import policy_values as values
from connection_guard.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table: the field that it fills and how it is read. It is required where it has an example."""

    field: str
    read: values.Reader[object]
    example: str = ""
    default: object = None


def parse_document(text: str, source: str, hint: str) -> dict[str, Any]:
    """The tables of the text; raises ConfigurationError with one line, which ends in the hint, where it is no TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as wrong:
        advice = f'a key stands once, before "="; text stands in double quotes, a list in [ ], and {hint}'
        raise ConfigurationError(f"{source}: not valid TOML: {wrong}; {advice}") from None


def read_fields(table: object, keys: Mapping[str, Key], place: str, mistakes: list[str]) -> dict[Any, Any]:
    """The fields that the table fills, without those that have mistakes, which are added to `mistakes`."""
    if not isinstance(table, dict):
        mistakes.append(f"{place}: {values.shown(table)} is not a table; its keys are {', '.join(keys)}")
        return {}
    fields: dict[str, object] = {}
    for name, key in keys.items():
        if name in table:
            try:
                fields[key.field] = key.read(table[name])
            except values.MistakeError as mistake:
                mistakes += [f"{place}: {name}: {line}" for line in mistake.args]
        elif key.example:
            mistakes.append(f"{place}: {name}: is missing; write, for example, {name} = {key.example}")
        else:
            fields[key.field] = key.default
    mistakes += [f"{place}: {unknown(name, keys)}" for name in table if name not in keys]
    return fields


def read_whole(table: object, keys: Mapping[str, Key], place: str, mistakes: list[str]) -> dict[Any, Any] | None:
    """Every field of the table, or None where it has mistakes, which are added to `mistakes`."""
    known_before = len(mistakes)
    fields = read_fields(table, keys, place, mistakes)
    return fields if len(mistakes) == known_before else None


def unknown(name: str, known: Iterable[str]) -> str:
    """What is wrong with a key that is none of the known ones."""
    hint = values.did_you_mean(name, known) or f"; the keys here are {', '.join(known)}"
    return f"unknown key {values.shown(name)}{hint}"
