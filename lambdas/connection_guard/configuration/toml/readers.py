"""Read one value of a TOML file: each reader returns it typed, or says what is wrong with it and
what to write instead.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from json import dumps
from typing import TypeVar

T = TypeVar("T")
Reader = Callable[[object], T]


class MistakeError(Exception):
    """What is wrong with a value, and what to write instead: one argument per mistake."""


# Text


def matching(shape: str, what: str, advice: str) -> Reader[str]:
    """Return a reader of text that matches the pattern `shape`; `what` names such text in messages,
    `advice` says what to write.
    """

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(shape, value, re.ASCII):
            raise MistakeError(f"{given(value)} is not {what}; write {advice}")
        return value

    return read


def name(value: object) -> str:
    """Read a name that a report can show on one line."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise MistakeError(f"{given(value)} is not a name; write one line of printable text")
    return value


def one_of(choices: Iterable[T]) -> Reader[T]:
    """Return a reader of the text of one of the choices."""
    by_name = {str(choice): choice for choice in choices}

    def read(value: object) -> T:
        if not isinstance(value, str) or value not in by_name:
            raise MistakeError(
                f"{given(value)} is not one of "
                f"{', '.join(map(given, by_name))}{did_you_mean(value, by_name)}"
            )
        return by_name[value]

    return read


# Lists


def list_of(read_one: Reader[T], *, if_empty: str = "") -> Reader[tuple[T, ...]]:
    """Return a reader of a list, which reports the mistakes of every item.

    An empty list is a mistake where `if_empty` says why, and what to do.
    """

    def read(value: object) -> tuple[T, ...]:
        if isinstance(value, str):
            raise MistakeError(f"{given(value)} is not a list; write [{given(value)}]")
        if not isinstance(value, list):
            raise MistakeError(f"{given(value)} is not a list; write one in [ ]")
        if not value and if_empty:
            raise MistakeError(f"[] {if_empty}")
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
    """Return a reader of a list whose order has no meaning."""
    read_list = list_of(read_one, if_empty=if_empty)
    return lambda value: frozenset(read_list(value))


def unique(read_one: Reader[T], *, if_empty: str = "") -> Reader[tuple[T, ...]]:
    """Return a reader of a list in which no item occurs twice."""
    read_list = list_of(read_one, if_empty=if_empty)

    def read(value: object) -> tuple[T, ...]:
        items = read_list(value)
        repeated = dict.fromkeys(item for place, item in enumerate(items) if item in items[:place])
        if repeated:
            raise MistakeError(*(f"{given(item)} is listed twice; remove one" for item in repeated))
        return items

    return read


def one_to(most: int, read_one: Reader[T], advice: str) -> Reader[tuple[T, ...]]:
    """Return a reader of a list of different items, of which there is at least one; `advice` says
    what to do where there are more than `most`.
    """
    read_list = unique(read_one, if_empty="is empty; list at least one")

    def read(value: object) -> tuple[T, ...]:
        items = read_list(value)
        if len(items) > most:
            raise MistakeError(f"{len(items)} are listed, {advice}")
        return items

    return read


# Numbers, durations and truths


_DURATION = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|d|w)")
_UNITS = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}


def duration(value: object) -> timedelta:
    """Read a number and a unit; what no timedelta can hold becomes the longest or the shortest."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise MistakeError(
            f'{given(value)} is not a duration; write a number and a unit, such as "90s", "10m" '
            'or "2h"'
        )
    try:
        return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        return timedelta.min if match[1].startswith("-") else timedelta.max


def duration_between(least: str, most: str) -> Reader[timedelta]:
    """Return a reader of durations from `least` to `most`, both of which are allowed."""
    shortest, longest = duration(least), duration(most)

    def read(value: object) -> timedelta:
        length = duration(value)
        if not shortest <= length <= longest:
            raise MistakeError(
                f'{given(value)} is out of range; write a duration from "{least}" to "{most}"'
            )
        return length

    return read


def whole_number(least: int, most: int) -> Reader[int]:
    """Return a reader of integers from `least` to `most`, both of which are allowed."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise MistakeError(f"{given(value)} is not a whole number from {least} to {most}")
        return value

    return read


def percent(value: object) -> float:
    """Read a percentage from 1 to 100."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= 100:
        raise MistakeError(
            f"{given(value)} is not a percentage; write a number from 1 to 100, such as 70"
        )
    return float(value)


def percent_from_0(value: object) -> float:
    """Read a percentage from 0 to 100."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
        raise MistakeError(
            f"{given(value)} is not a percentage; write a number from 0 to 100, such as 70"
        )
    return float(value)


def percent_below_100(value: object) -> float:
    """Read a percentage from 1 to below 100."""
    share = percent(value)
    if share == 100:
        raise MistakeError(f"{given(value)} is not below 100; write a number from 1 to below 100")
    return share


def truth(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise MistakeError(
            f"{given(value)} is neither true nor false; write one of them, without quotes"
        )
    return value


# Keys whose value is not read here


def misplaced(why: str) -> Reader[None]:
    """Return a reader that refuses a key which has no meaning beside another."""

    def read(_: object) -> None:
        raise MistakeError(f"{why}; leave it out")

    return read


def anything(value: object) -> object:
    """Return the value unread."""
    return value


# Messages


def given(value: object) -> str:
    """Return the value as the file has it, on one line and cut to 80 characters."""
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
    """Return a question that names the known word most like the written one, "" where none is."""
    # Imported here, so that only a mistake waits for it and not every cold start.
    from difflib import get_close_matches

    nearest = (
        get_close_matches(written.lower(), tuple(known), n=1, cutoff=0.7)
        if isinstance(written, str)
        else []
    )
    return f"; did you mean {given(nearest[0])}?" if nearest else ""
