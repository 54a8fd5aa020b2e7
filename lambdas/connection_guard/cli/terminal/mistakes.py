"""What a person can do wrong with the command, in one line each: what, where, what to do."""

import sys
from collections.abc import Iterable
from difflib import get_close_matches

import click

from connection_guard.core.words import quoted

NAME = "connection-guard"
"""The command, as people call it."""

MISTAKE_STATUS = 2
FINDING_STATUS = 1


class UserMistakeError(click.ClickException):
    """The command cannot do what it was asked for; the message says why, and what to do."""

    exit_code = MISTAKE_STATUS


def write_problem(problem: str) -> None:
    """Write a line to standard error, where the verb can still do the rest."""
    print(f"{NAME}: {problem}", file=sys.stderr)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return what a message about an unknown name ends with: the name that was probably meant, or
    all that there are.
    """
    known = sorted(names)
    if meant := get_close_matches(name, known, n=1):
        return f"did you mean {quoted(meant[0])}?"
    return f"there is {', '.join(map(quoted, known))}" if known else "there is none"
