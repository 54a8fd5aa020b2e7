"""A TOML file cut above each header, and put together again without a byte of difference.

A whole document would not do: tomlkit moves the tables of a list together that others are between.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import tomlkit
from tomlkit.items import Array, Item

_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


def chunks_of(text: str) -> list[str]:
    """Return the parts of a valid document, each of which is one, too: what is before the first
    header, and each table with what follows it.
    """
    chunks, start = [], 0
    for header in _HEADER.finditer(text):
        part = text[start : header.start()]
        # Within a list or a text over several lines, a bracket is no header, and this is cut off.
        if is_toml(part):
            chunks.append(part)
            start = header.start()
    return [*chunks, text[start:]]


def editable(chunk: str) -> tomlkit.TOMLDocument:
    """Return a chunk to edit; raise ValueError where it would not come out as it went in."""
    document = tomlkit.parse(chunk)
    if document.as_string() != chunk:
        raise ValueError("tomlkit does not keep it as it is")
    return document


def written_value(value: object, newline: str = "\n", before: Any = None) -> Item:
    """Return a value as TOML. A list is on several lines where it was, and keeps the comments that
    were in it.
    """
    if not isinstance(value, tuple):
        return tomlkit.item(value)
    items = [tomlkit.item(each).as_string() for each in value]
    old = before.as_string() if isinstance(before, Array) else ""
    if "\n" not in old and len(line := ", ".join(items)) <= 80:
        return tomlkit.value(f"[{line}]")
    comments = [f"    {comment}" for comment in _comments(old)]
    lines = ["[", *comments, *(f"    {item}," for item in items), "]"]
    return tomlkit.value(newline.join(lines))


def tables_named(chunk: str, name: str) -> Mapping[str, Any] | list[Any] | None:
    """Return what a chunk has under a name, None where it has nothing."""
    value: Mapping[str, Any] | list[Any] | None = tomllib.loads(chunk).get(name)
    return value


def is_toml(text: str) -> bool:
    """Return whether the text is a TOML document."""
    try:
        tomllib.loads(text)
    except ValueError:
        return False
    return True


def _comments(array: str) -> Iterator[str]:
    """Yield the comments in a list of texts and numbers."""
    for match in re.finditer(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|(#[^\r\n]*)", array):
        if match[1]:
            yield match[1].rstrip()
