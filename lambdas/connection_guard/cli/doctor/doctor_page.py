"""The doctor's page: JSON for a program, and for a person the checks in their groups."""

from collections.abc import Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.text import Text

from connection_guard.cli.doctor.facts.check import (
    Check,
    CheckGroup,
    CheckResult,
    closing_line,
    has_finding,
)
from connection_guard.cli.terminal.output import is_json, terminal_console, write
from connection_guard.core.words import printable

_MARKS = {
    CheckResult.OK: ("ok", "green"),
    CheckResult.FINDING: ("FINDING", "bold red"),
    CheckResult.UNCHECKED: ("?", "yellow"),
}
_MARK_WIDTH = max(len(mark) for mark, _style in _MARKS.values())
_NARROWEST = 30


def show_checks(database: str, checks: Sequence[Check]) -> None:
    """Write the checks of a database."""
    write({"database": database, "checks": [_document(check) for check in checks]})
    if not is_json():
        _show(terminal_console(), database, checks)


def _document(check: Check) -> dict[str, Any]:
    """Return a check as JSON has it."""
    return asdict(check) | {"remedy": "\n".join(check.remedy) or None}


def _show(console: Console, database: str, checks: Sequence[Check]) -> None:
    """Print the page. A remedy is never wrapped, so that it can be copied."""
    longest = max((len(check.check) for check in checks), default=0)
    _print(console, Text(printable(database), "bold"))
    for group in CheckGroup:
        of_group = [check for check in checks if check.group is group]
        if not of_group:
            continue
        _print(console, Text(), Text(str(group), "bold"))
        for check in of_group:
            _print(console, *_lines(check, longest, console.width))
    style = "red" if has_finding(checks) else "green"
    _print(console, Text(), Text(closing_line(checks), f"bold {style}"))


def _lines(check: Check, longest: int, width: int) -> list[Text]:
    mark, style = _MARKS[check.result]
    indent = 2 + _MARK_WIDTH + 2 + longest + 2
    if width - indent < _NARROWEST:
        indent = 2 + _MARK_WIDTH + 2
    head = f"{mark:<{_MARK_WIDTH}}"
    name = printable(check.check)
    room = max(width - indent, _NARROWEST)
    details = wrap(printable(check.detail), room, break_on_hyphens=False) or [""]
    first = Text.assemble("  ", (head, style), f"  {name}".ljust(longest + 4))
    if indent > 2 + _MARK_WIDTH + 2:
        lines = [first.append(details[0]), *(Text(" " * indent + each) for each in details[1:])]
    else:
        lines = [first, *(Text(" " * indent + each) for each in details)]
    return [*lines, *(Text(f"    {printable(each)}", "cyan") for each in check.remedy)]


def _print(console: Console, *lines: Text) -> None:
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)
