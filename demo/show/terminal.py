"""How the demo looks: live and in colour on a terminal, plain lines in a pipe."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

WIDTH_IN_A_PIPE = 120
NUMBERS = frozenset({"sessions", "before", "after"})


class Terminal:
    """Numbered steps and what happens in each, on a handle of its own that `captured_output` does
    not touch.
    """

    def __init__(self) -> None:
        output = os.fdopen(
            os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors="replace"
        )
        width = None if output.isatty() else WIDTH_IN_A_PIPE
        self._console = Console(file=output, width=width, highlight=False)
        self._steps = 0

    def step(self, title: str) -> None:
        self._steps += 1
        self._console.print(f"\n[bold cyan]{self._steps}. {title}[/]")

    def say(self, line: str | Text) -> None:
        """Print the line; a string may hold rich's markup."""
        self._console.print(line)

    def say_beside_bar(self, lines: Iterable[Text]) -> None:
        """Print lines beside a bar, which continues where a line is wrapped."""
        for line in lines:
            for part in line.wrap(self._console, self._console.width - len("▎ ")):
                self._console.print(Text("▎ ", style="dim").append_text(part))

    def claim(self, text: str, *, is_true: bool) -> None:
        self._console.print("[green]true    [/]" if is_true else "[bold red]NOT TRUE[/]", text)

    def not_true(self, what: str) -> None:
        self._console.print(Text(f"\nNOT TRUE: {what}", style="bold red"))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, justify="right" if column in NUMBERS else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(table)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a progress bar during the block, and yield what moves it; not in a pipe."""
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        is_off = not self._console.is_terminal
        # rich would replace the streams from which the handler's output is captured.
        bar = Progress(
            *columns,
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=is_off,
        )
        with bar as progress:
            task = progress.add_task(what, total=total)
            yield lambda reached: progress.update(task, completed=reached)


def show_report(terminal: Terminal, report: Mapping[str, Any]) -> None:
    """Show what a remediation saw, decided, did and advises."""
    terminal.say(f"[bold]{escape(report['headline'])}[/]")
    for door in report["doors"]:
        terminal.say(
            f"Logged in through the {door['door']} door at attempt {door['tries']}, after "
            f"{1000 * door['seconds']:,.0f} ms."
        )

    terminal.say("\n[bold]Saw[/]")
    before, after = report["before"], report["after"]
    states = sorted(
        before["sessions_by_state"], key=lambda state: -before["sessions_by_state"][state]
    )
    counts = [
        (
            state,
            str(before["sessions_by_state"][state]),
            str(after["sessions_by_state"].get(state, 0)),
        )
        for state in states
    ]
    terminal.table(
        ("state", "before", "after"),
        [
            *counts,
            ("in use, with the guard's own session", str(before["used"]), str(after["used"])),
            (
                f"of {before['usable']} usable",
                f"{before['utilisation']} %",
                f"{after['utilisation']} %",
            ),
        ],
    )

    terminal.say("[bold]Decided[/]")
    terminal.table(("verdict", "sessions", "application", "rule", "reason"), _verdict_rows(report))

    terminal.say("[bold]Did[/]")
    outcomes = ", ".join(
        f"{count} {result}" for result, count in report["outcomes"].items() if count
    )
    reopened = sum(pool["reopened"] for pool in report["reconnections"])
    seconds = ", ".join(
        f"{phase} {1000 * duration:,.0f} ms" for phase, duration in report["seconds"].items()
    )
    terminal.say(f"{outcomes}; their pools reopened {reopened} of them. It took: {seconds}.")

    terminal.say("\n[bold]Advised[/]")
    for diagnosis in report["diagnoses"]:
        terminal.say(f"[yellow]{diagnosis['cause']}[/]: {escape(diagnosis['summary'])}.")
        terminal.say(f"{escape(diagnosis['advice'])}.")


def _verdict_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield one row per rule and application; its reason is that of the session that has been in
    its state for longest.
    """
    for (rule, application), group in groupby(
        report["terminated"], lambda row: (row["rule"], row["application"])
    ):
        rows = list(group)
        yield "terminate", str(len(rows)), application, rule, rows[0]["reason"]
    for row in report["spared"]:
        yield "spare", str(row["sessions"]), row["application"], row["rule"], row["reason"]


@contextmanager
def captured_output() -> Iterator[list[str]]:
    """Yield a list that gets the lines written to standard output during the block; in Lambda they
    are the function's log.

    They are captured at the file descriptor, because loggers keep the stream that they began with.
    """
    lines: list[str] = []
    sys.stdout.flush()
    with tempfile.TemporaryFile() as log:
        output = sys.stdout.fileno()
        kept = os.dup(output)
        os.dup2(log.fileno(), output)
        try:
            yield lines
        finally:
            sys.stdout.flush()
            os.dup2(kept, output)
            os.close(kept)
            log.seek(0)
            lines += log.read().decode().splitlines()
