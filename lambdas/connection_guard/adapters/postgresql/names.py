"""Names as PostgreSQL stores them, and as its SQL spells them."""

import re

LONGEST_NAME = 63
"""Bytes. PostgreSQL cuts longer names (PostgreSQL manual, identifiers and application_name)."""

BEYOND_PRINTABLE_ASCII = re.compile("[^ -~]+")
"""The characters that PostgreSQL does not store of an application_name: each of their bytes becomes
"?" or, from PostgreSQL 16 on, "\\xNN" (PostgreSQL manual, application_name).
"""


def identifier(name: str) -> str:
    """Return a name as SQL requires it, in characters that every terminal shows and none obeys.

    Others are written by their numbers (PostgreSQL manual, 4.1.1, U&"..." identifiers).
    """
    quoted = name.replace('"', '""')
    if name.isprintable():
        return f'"{quoted}"'
    escaped = (_by_number(character) for character in quoted.replace("\\", "\\\\"))
    return f'U&"{"".join(escaped)}"'


def _by_number(character: str) -> str:
    return character if character.isprintable() else f"\\+{ord(character):06X}"
