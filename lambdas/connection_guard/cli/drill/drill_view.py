"""How a drill looks: what is about to happen, the phases as they happen, and what they took."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from connection_guard.cli.drill.filling import Expectation, Filling
from connection_guard.cli.drill.last_drills import LastDrill
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.words import connections_in_use, counted, of_usable, quoted, spelled

BAR_WIDTH = 40


def announcement(
    database: str, measurement: Measurement, filling: Filling, expected: Expectation
) -> list[str]:
    """Return what a drill will open, what that leaves, and what the guard will do about it."""
    usable = measurement.capacity.usable
    left = usable - filling.peak
    lines = [
        f"{database}: {connections_in_use(measurement.used, usable)}. This drill opens "
        f"{counted(filling.total, 'idle session')}, up to {of_usable(filling.peak, usable)}; "
        + (f"{left} remain for applications." if left else "applications will be refused.")
    ]
    if expected.wait:
        lines.append(
            f"{filling.early} of them stay idle for {spelled(expected.wait)} first, as long as the "
            "policy asks."
        )
    if expected.why_not is None:
        lines.append(f"Then the guard is to end {counted(expected.ends, 'session')} of the drill.")
    else:
        lines.append(f"The guard will not bring relief: {expected.why_not}. The drill lets go.")
    if expected.others:
        others = ", ".join(
            f"{count} of {quoted(name)}" for name, count in sorted(expected.others.items())
        )
        lines.append(f"Of applications it may end, where they stay unused until then: {others}.")
    if not measurement.privileges.reads_all_stats:
        lines.append(
            "This role does not see the sessions of others (GRANT pg_read_all_stats): which of "
            "them the guard may end, too, is not known."
        )
    return lines


def announce(lines: Iterable[str]) -> None:
    """Write the lines to standard error, wrapped only where a person reads them."""
    console = Console(stderr=True, highlight=False)
    for line in lines:
        console.print(Text(line), soft_wrap=not console.is_terminal)


class DrillView:
    """Shows progress on standard error: live at a terminal, a line per event in a pipe."""

    def __init__(self, phases: Sequence[str]) -> None:
        self._phases = phases
        console = Console(stderr=True, highlight=False)
        self._live = (
            Live(
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if console.is_terminal
            else None
        )
        self._said: set[str] = set()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._live:
            self._live.stop()

    def show(
        self, doing: str, used: int, usable: int, seconds: Mapping[str, float], now: datetime
    ) -> None:
        """Show how far it is."""
        if self._live:
            self._live.update(
                Group(
                    _bar(used, usable),
                    Text(f"{now:%H:%M:%S}  {doing}", style="cyan"),
                    phase_table(self._phases, seconds, None),
                ),
                refresh=True,
            )
            return
        for name in [name for name in seconds if name not in self._said]:
            print(f"{seconds[name]:7.1f} s  {name}", file=sys.stderr, flush=True)
            self._said.add(name)
        if doing not in self._said:
            print(f"           {doing}", file=sys.stderr, flush=True)
            self._said.add(doing)


def _bar(used: int, usable: int) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(usable, 1), completed=min(used, usable), width=BAR_WIDTH)
    table.add_row(bar, Text(f"{of_usable(used, usable)} connections in use"))
    return table


def phase_table(
    phases: Iterable[str], seconds: Mapping[str, float], last: LastDrill | None
) -> Table:
    """Return the phases with the time that each took, beside the last drill's."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("phase")
    table.add_column("after", justify="right")
    if last:
        table.add_column(f"last drill ({last.began_at:%Y-%m-%d})", justify="right")
        table.add_column("difference", justify="right")
    for name in phases:
        took = seconds.get(name)
        cells = [Text(name), _seconds(took, "-")]
        if last:
            before = last.seconds.get(name)
            cells += [_seconds(before, "-"), _difference(took, before)]
        table.add_row(*cells)
    return table


def _seconds(seconds: float | None, otherwise: str) -> Text:
    return Text(otherwise if seconds is None else f"{seconds:.1f} s")


def _difference(seconds: float | None, before: float | None) -> Text:
    if seconds is None or before is None:
        return Text("")
    return Text(f"{seconds - before:+.1f} s", style="" if seconds <= before else "yellow")
