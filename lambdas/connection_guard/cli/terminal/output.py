"""What a verb writes: tables and colours for a person at a terminal, JSON for a program."""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click
from rich.console import Console, RenderableType

_KEY = "connection_guard.json"

Verb = TypeVar("Verb", bound=Callable[..., Any])


def json_option(verb: Verb) -> Verb:
    """Add the option `--json` to a verb, which then calls `write`."""

    def keep(context: click.Context, _option: click.Parameter, value: bool) -> None:
        context.meta[_KEY] = value

    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=keep,
        help="Write JSON, also to a terminal. It is the default in a pipe.",
    )(verb)


def is_json() -> bool:
    """Return whether the verb that runs writes JSON: by its option, or because nobody sees it."""
    return bool(click.get_current_context().meta.get(_KEY)) or not sys.stdout.isatty()


def write(document: Mapping[str, Any], *shown: RenderableType) -> None:
    """Write the document as JSON, or what shows the same to a person.

    Times are in ISO 8601, durations in seconds. Texts from outside that are shown have to be
    printable (core/words.py), and not be read as rich's markup (rich.text.Text).
    """
    if is_json():
        print(json_text(document))
        return
    console = terminal_console()
    for each in shown:
        console.print(each, crop=False)  # a link that is cut leads nowhere


def json_text(document: Mapping[str, Any]) -> str:
    """Return the document as JSON: times in ISO 8601, durations in seconds.

    It is ASCII, so that every terminal and every pipe takes it, also a name with half a character.
    """
    return json.dumps(document, indent=2, default=_json_value)


def terminal_console() -> Console:
    """Return rich's console on standard output, which colours only what it is asked to."""
    return Console(highlight=False)


def _json_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
