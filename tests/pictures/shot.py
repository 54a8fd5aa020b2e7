"""A picture of one call of the command, whose title is the call."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.pictures.picture import picture_of
from tests.support.cli.live_terminal import LiveTerminal, running_at_terminal
from tests.support.cli.running import raw_terminal

COLUMNS, LINES = 116, 40


def picture_of_call(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> str:
    """Return what the terminal shows once the verb has ended. Raise AssertionError where it could
    not do what it was asked for.
    """
    status, written = raw_terminal(
        *arguments, folder=folder, environment=environment, columns=COLUMNS, lines=LINES
    )
    assert status in (0, 1), written.decode()
    return _picture(written, arguments)


def picture_of_dialogue(
    *arguments: str,
    folder: Path,
    person: Callable[[LiveTerminal], None],
    environment: Mapping[str, str] | None = None,
    lines: int = LINES,
) -> str:
    """Return what the terminal shows when the person at it has seen enough."""
    with running_at_terminal(
        *arguments, folder=folder, environment=environment, columns=COLUMNS, lines=lines
    ) as terminal:
        person(terminal)
        return _picture(terminal.written, arguments, lines)


def _picture(written: bytes, arguments: tuple[str, ...], lines: int = LINES) -> str:
    return picture_of(written, f"$ connection-guard {shlex.join(arguments)}", COLUMNS, lines)
