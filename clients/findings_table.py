"""How rows are shown: a table on a terminal, JSON in a pipe, and the page "What your pool sees"."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import fill

from rich.console import Console
from rich.table import Table

from clients.lab.libraries import LIBRARIES
from clients.lab.truth import Row

PAGE = Path(__file__).parent.parent / "docs" / "clients.md"
BEGIN = "<!-- written by make clients ARGS=--readme -->"
END = "<!-- until here -->"
LONGEST_LINE = 98
# A pool that pauses ever longer between its tries lets a use wait for this long; a busy machine
# does not.
BACK_OFF_SECONDS = 3.0


def show_row(row: Row) -> None:
    """Show a row as soon as it is measured: on standard error, and in a pipe as a line of JSON."""
    mark = "not installed" if row.is_unavailable else "holds" if row.holds else "FAILS"
    print(
        f"{mark:13} {row.scenario}, {row.client}, PostgreSQL {row.version}",
        file=sys.stderr,
        flush=True,
    )
    if not sys.stdout.isatty():
        print(json.dumps({"holds": row.holds, **asdict(row)}), flush=True)


def show(rows: Sequence[Row], seconds: float) -> None:
    """Show all rows on a terminal, and what did not hold."""
    console = Console(highlight=False)
    columns = (
        "scenario",
        "client",
        "PG",
        "ended",
        "errors",
        "healthy",
        "new client",
        "first cause",
        "untrue",
    )
    shown = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        shown.add_row(
            row.scenario,
            row.client,
            str(row.version),
            *_cells(row),
            style=None if row.holds else "red",
        )
    console.print(shown)
    failing = sum(not row.holds for row in rows)
    absent = sum(row.is_unavailable for row in rows)
    console.print(
        f"\n{len(rows)} rows in {seconds:.0f} s: {len(rows) - failing - absent} hold, {failing} "
        "do not"
        + (f", {absent} could not be measured: something is not installed" if absent else "")
    )


def _cells(row: Row) -> Iterator[str]:
    found = row.findings
    if found is None:
        yield from ("", "", "", "", "", row.problem or "")
        return
    yield ", ".join(f"{count} {name}" for name, count in sorted(found.ended.items())) or "none"
    errors = f"{found.first.failed} first, {found.later.failed} later"
    yield errors + (f", crashed: {', '.join(found.crashed)}" if found.crashed else "")
    yield f"{found.seconds:.0f} s" if found.seconds is not None else "never"
    yield "served" if found.served else "refused"
    said = found.runs[0].diagnoses
    yield f"{said[0].cause} ({said[0].owner})" if said else "none"
    yield "; ".join(f"{claim.claim}: {claim.found}" for claim in row.broken)


def write_page(rows: Iterable[Row]) -> None:
    """Replace the text between the two markers."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text("\n".join([f"{before}{BEGIN}\n", *page_lines(rows), f"\n{END}{after}"]))


def page_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the table in Markdown, one line per library that was measured."""
    measured = [row for row in rows if row.findings is not None]
    yield (
        "| client | checks before lending | errors at 16 ended sessions | after a leak | what to "
        "set |"
    )
    yield "|---|---|---|---|---|"
    for library in LIBRARIES:
        own = [row for row in measured if row.client == library.name]
        idle = [row for row in own if row.scenario == "idle pool"]
        light = [row for row in own if row.scenario == "pool refills itself"]
        leaks = [row for row in own if row.scenario.startswith("leak")]
        if idle:
            cells = (
                library.name,
                library.check,
                _errors(idle, light),
                _after_leak(leaks),
                library.advice,
            )
            yield f"| {' | '.join(cells)} |"
    versions = {
        version for row in measured if row.findings for version in row.findings.versions.values()
    }
    measured_with = f"Measured with {', '.join(sorted(versions, key=str.lower))}."
    yield f"\n{fill(measured_with, LONGEST_LINE)}"


def _errors(idle: Sequence[Row], light: Sequence[Row]) -> str:
    """Return the errors of a pool that is all used at once, and the longest wait of any use."""
    found = [row.findings for row in idle if row.findings is not None]
    if any(each.crashed for each in found):
        return "**the process crashes**"
    errors = max(each.first.failed + each.later.failed for each in found)
    lightly = [row.findings for row in light if row.findings is not None]
    slowest = max(each.first.seconds for each in (*found, *lightly))
    waits = f", but a use waits up to {slowest:.0f} s" if slowest >= BACK_OFF_SECONDS else ""
    return ("none" if errors == 0 else f"{errors} on first use") + waits


def _after_leak(rows: Sequence[Row]) -> str:
    if any(row.findings.crashed for row in rows if row.findings is not None):
        return "**the process crashes**"
    restarts = [row.findings.restart for row in rows if row.findings is not None]
    if not restarts:
        return "not measured"
    if any(restarts):
        return "restart: its pool still counts the lost sessions as in use"
    return "goes on"
