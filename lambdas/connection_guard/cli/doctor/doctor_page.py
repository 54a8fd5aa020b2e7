"""The doctor's page: JSON for a program, and for a person the checks in their groups."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.text import Text

from connection_guard.cli.doctor.facts.check import Check, CheckResult, closing_line, has_finding
from connection_guard.cli.terminal.output import is_json, terminal_console, write
from connection_guard.core.words import printable

_MARKS = {
    CheckResult.OK: ("ok", "green"),
    CheckResult.FINDING: ("FINDING", "bold red"),
    CheckResult.UNCHECKED: ("?", "yellow"),
}
_MARK_WIDTH = max(len(mark) for mark, _style in _MARKS.values())
_INDENT = 2 + _MARK_WIDTH + 2
_NARROWEST = 30

Groups = Mapping[str, Sequence[Check]]
"""The checks by the titles of the page's parts, in their order."""


def show_checks(database: str, groups: Groups) -> None:
    """Write the checks of a database."""
    checks = [_document(group, check) for group in groups for check in groups[group]]
    write({"database": database, "checks": checks})
    if not is_json():
        _show(terminal_console(), database, groups)


def _document(group: str, check: Check) -> dict[str, Any]:
    """Return a check as JSON has it."""
    return {"group": group, **asdict(check), "remedy": "\n".join(check.remedy) or None}


def _show(console: Console, database: str, groups: Groups) -> None:
    """Print the page. A remedy is never wrapped, so that it can be copied."""
    _print(console, Text(printable(database), "bold"))
    for group, checks in groups.items():
        if checks:
            _print(console, Text(), Text(group, "bold"))
        for check in checks:
            _print(console, *_lines(check, console.width))
    everything = [check for checks in groups.values() for check in checks]
    style = "red" if has_finding(everything) else "green"
    _print(console, Text(), Text(closing_line(everything), f"bold {style}"))


def _lines(check: Check, width: int) -> list[Text]:
    mark, style = _MARKS[check.result]
    text = f"{printable(check.check)}: {printable(check.detail)}"
    first, *more = wrap(text, max(width - _INDENT, _NARROWEST), break_on_hyphens=False)
    return [
        Text.assemble("  ", (f"{mark:<{_MARK_WIDTH}}", style), f"  {first}"),
        *(Text(" " * _INDENT + each) for each in more),
        *(Text(f"    {printable(each)}", "cyan") for each in check.remedy),
    ]


def _print(console: Console, *lines: Text) -> None:
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)
