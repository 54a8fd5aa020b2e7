"""The values of a policy file: each reader gives one typed, or says what is wrong with it and what
would be right.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from fnmatch import translate
from ipaddress import IPv4Network, IPv6Network, ip_network
from json import dumps
from typing import TypeVar

from connection_guard.adapters.postgresql.names import BEYOND_PRINTABLE_ASCII, LONGEST_NAME
from connection_guard.core.database.session import SessionState
from connection_guard.core.decision.judge import NEVER_VICTIMS

T = TypeVar("T")
Reader = Callable[[object], T]

VICTIM_STATES = tuple(state for state in SessionState if state not in NEVER_VICTIMS)


class MistakeError(Exception):
    """What is wrong with a value, and what would be right: one argument a mistake."""


def one_of(choices: Iterable[T]) -> Reader[T]:
    by_name = {str(choice): choice for choice in choices}

    def read(value: object) -> T:
        if not isinstance(value, str) or value not in by_name:
            raise MistakeError(
                f"{shown(value)} is not one of "
                f"{', '.join(map(shown, by_name))}{did_you_mean(value, by_name)}"
            )
        return by_name[value]

    return read


def state(value: object) -> SessionState:
    if isinstance(value, str) and value in NEVER_VICTIMS:
        raise MistakeError(
            f"{shown(value)} sessions are never terminated: what they do cannot be told; leave it "
            "out"
        )
    return one_of(VICTIM_STATES)(value)


def list_of(read_one: Reader[T], *, if_empty: str = "") -> Reader[tuple[T, ...]]:
    """Reads a list; where `if_empty` says what to do instead, an empty one is a mistake."""

    def read(value: object) -> tuple[T, ...]:
        if isinstance(value, str):
            raise MistakeError(f"{shown(value)} is not a list; write [{shown(value)}]")
        if not isinstance(value, list):
            raise MistakeError(f"{shown(value)} is not a list; write one in [ ]")
        if not value and if_empty:
            raise MistakeError(f"[] is empty, so the rule could never match; {if_empty}")
        items: list[T] = []
        mistakes: list[str] = []
        for item in value:
            try:
                items.append(read_one(item))
            except MistakeError as mistake:
                mistakes += mistake.args
        if mistakes:
            raise MistakeError(*mistakes)
        return tuple(items)

    return read


def set_of(read_one: Reader[T], *, if_empty: str) -> Reader[frozenset[T]]:
    read_list = list_of(read_one, if_empty=if_empty)
    return lambda value: frozenset(read_list(value))


def name(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise MistakeError(
            f"{shown(value)} is not a name; write a line of text that reports can show"
        )
    return value


# A bracket expression as fnmatch reads it: a "]" that comes first is one of the characters.
BRACKETS = re.compile(r"\[!?+\]?+[^\]]*\]")


def glob(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise MistakeError(
            f'{shown(value)} is not a name or glob; write one such as "batch" or "batch_*"'
        )
    if "%" in value or ".*" in value:
        raise MistakeError(
            f'{shown(value)} looks like a LIKE pattern or a regular expression; a glob is "batch_*"'
        )
    if "[" in BRACKETS.sub("", value):
        raise MistakeError(
            f'{shown(value)} has a "[" that is never closed; write "[[]" for the character itself'
        )
    if "(?!)" in translate(value):  # what fnmatch makes of a range that runs backwards
        raise MistakeError(
            f"{shown(value)} has a range that runs backwards and can never match; turn it round"
        )
    if len(BRACKETS.sub("?", value).replace("*", "").encode(errors="replace")) > LONGEST_NAME:
        raise MistakeError(
            f"{shown(value)} can never match, since PostgreSQL cuts names to {LONGEST_NAME} bytes; "
            "write a "
            'shorter beginning and "*"'
        )
    return value


def application_glob(value: object) -> str:
    """Read a glob of names as PostgreSQL stores them of an application, which is not as it stores
    other names.

    Each byte of application_name beyond printable ASCII becomes "?" or "\\xNN" (PostgreSQL manual,
    application_name).
    """
    written = glob(value)
    stored = BEYOND_PRINTABLE_ASCII.sub("*", BRACKETS.sub(_any_text_if_beyond_ascii, written))
    if stored != written:
        raise MistakeError(
            f"{shown(value)} is not plain ASCII, and PostgreSQL stores other characters of an "
            "application_name as "
            f'"?" (14 and 15) or as "\\xNN" (16 and later); write '
            f"{shown(_STARS.sub('*', stored))}, which may match other names, too"
        )
    return written


_STARS = re.compile(r"\*+")


def _any_text_if_beyond_ascii(brackets: re.Match[str]) -> str:
    return "*" if BEYOND_PRINTABLE_ASCII.search(brackets[0]) else brackets[0]


def network(value: object) -> IPv4Network | IPv6Network:
    example = 'write one such as "10.1.2.3", "10.1.0.0/16" or "fd00::/8"'
    if not isinstance(value, str):
        raise MistakeError(f"{shown(value)} is not an address or network; {example}")
    try:
        lenient = ip_network(value, strict=False)
    except ValueError:
        raise MistakeError(f"{shown(value)} is not an address or network; {example}") from None
    try:
        return ip_network(value)
    except ValueError:
        address = value.partition("/")[0]
        raise MistakeError(
            f'{shown(value)} has host bits set; write "{lenient}", or "{address}" for that '
            f"client alone"
        ) from None


_DURATION = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|d)")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(value: object) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise MistakeError(
            f'{shown(value)} is not a duration; write a number and a unit, such as "90s", "10m" '
            f'or "2h"'
        )
    try:
        return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        return timedelta.min if match[1].startswith("-") else timedelta.max


def duration_between(least: str, most: str) -> Reader[timedelta]:
    shortest, longest = duration(least), duration(most)

    def read(value: object) -> timedelta:
        length = duration(value)
        if not shortest <= length <= longest:
            raise MistakeError(
                f'{shown(value)} is out of range; write a duration from "{least}" to "{most}"'
            )
        return length

    return read


def whole_number(least: int, most: int) -> Reader[int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise MistakeError(f"{shown(value)} is not a whole number from {least} to {most}")
        return value

    return read


def percent(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= 100:
        raise MistakeError(
            f"{shown(value)} is not a percentage; write a number from 1 to 100, such as 70"
        )
    return float(value)


def percent_below_100(value: object) -> float:
    share = percent(value)
    if share == 100:
        raise MistakeError(f"{shown(value)} is not below 100; write a number from 1 to below 100")
    return share


def truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise MistakeError(
            f"{shown(value)} is neither true nor false; write one of them, without quotes"
        )
    return value


def only_when_terminating(_: object) -> bool:
    raise MistakeError(
        'has no meaning where action is "spare", which spares such sessions as well; leave it out'
    )


def shown(value: object) -> str:
    """A value as it stands in the file, on one line and not too long."""
    match value:
        case str():
            text = dumps(value, ensure_ascii=False)
        case bool():
            text = str(value).lower()
        case list():
            text = "a list" if value else "[]"
        case dict():
            text = "a table"
        case _:
            try:
                text = str(value)
            except ValueError:  # Python refuses to write an integer of more than 4,300 digits
                text = "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def did_you_mean(written: object, known: Iterable[str]) -> str:
    from difflib import (
        get_close_matches,
    )  # only a mistake has to wait for this import, not every cold start

    nearest = (
        get_close_matches(written.lower(), tuple(known), n=1, cutoff=0.7)
        if isinstance(written, str)
        else []
    )
    return f"; did you mean {shown(nearest[0])}?" if nearest else ""
