"""Texts and lists cut to what a Report has room for, in bytes of its JSON."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Any

from connection_guard.core.words import printable

LINE_BYTES = 1_000
# No name of the database's is ever cut: at most 63 bytes, each a control character that JSON spells
# in six.
NAME_BYTES = 400


def rows_that_fit(rows: Sequence[Any], most_bytes: int) -> list[Any]:
    """Return the first rows, as many as fit."""
    sizes = accumulate(size_of(row) + len(", ") for row in rows)
    fits = takewhile(lambda size: size <= most_bytes, sizes)
    return [row for row, _ in zip(rows, fits, strict=False)]


def sentence(text: str, most_bytes: int = LINE_BYTES) -> str:
    """Return what people read on one line; names in it may hold anything that a client sent."""
    return fitted(printable(text[: 2 * most_bytes]), most_bytes)


def fitted(text: str, most_bytes: int = LINE_BYTES) -> str:
    """Return the text, cut to what JSON spells in that many bytes.

    Half a character (JSON can spell that) becomes a `?`.
    """
    text = text[: most_bytes + 1].encode(errors="replace").decode()
    if size_of(text) <= most_bytes:
        return text
    sizes = list(accumulate(size_of(character) - len('""') for character in text[:most_bytes]))
    return text[: bisect_right(sizes, most_bytes - size_of("…"))] + "…"


def size_of(value: object) -> int:
    """Return the bytes of JSON where every character beyond ASCII is escaped.

    They are never fewer than in UTF-8.
    """
    return len(json.dumps(value))
