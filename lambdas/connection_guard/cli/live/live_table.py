"""How a person sees a look at a live database: a bar of usage, and tables that fit any width."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from connection_guard.cli.live.plan_document import Document
from connection_guard.core.words import connections_in_use, shown, spelled

Row = dict[str, Any]

# Narrower than this, a table shows fewer columns.
WIDE = 100
LONGEST_CELL = 300
NARROWEST = 8
GAP = 2

Column = tuple[str, str]
"""A title, and "left" or "right"."""


def safe_text(text: str) -> Text:
    """Return a text that clients or servers chose so that no terminal obeys it."""
    return Text(shown(text, LONGEST_CELL))


def fitted_table(
    columns: Sequence[Column], rows: Iterable[Sequence[Text]], *, cut_to: int | None = None
) -> Table:
    """Return a table without lines between its cells.

    Cells wrap, or are cut so that each row is one line of `cut_to` columns: figures have the room
    that they need, names a quarter of the line at most, and the last column has the rest.
    """
    drawn = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1))
    cells = list(rows)
    widths = [None] * len(columns) if cut_to is None else _widths(columns, cells, cut_to)
    for (title, side), width in zip(columns, widths, strict=True):
        is_right = side == "right"
        drawn.add_column(
            title,
            justify="right" if is_right else "left",
            no_wrap=cut_to is not None or is_right,
            overflow="fold" if cut_to is None else "ellipsis",
            width=width,
        )
    for row in cells:
        drawn.add_row(*row)
    return drawn


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[Text]], cut_to: int
) -> list[int | None]:
    needed = [
        max([cell_len(title), *(row[place].cell_len for row in rows)])
        for place, (title, _) in enumerate(columns)
    ]
    fixed = [
        width if side == "right" else min(width, max(cut_to // 4, NARROWEST))
        for width, (_, side) in zip(needed[:-1], columns[:-1], strict=True)
    ]
    return [*fixed, max(cut_to - sum(fixed) - GAP * len(fixed), NARROWEST)]


def who(row: Row) -> str:
    """Return the application of a session or a pool, and its role where that has another name."""
    role, application = row["role"], row["application"]
    if not role:
        return f"{application} (role dropped)".lstrip()
    return role if application in ("", role) else f"{application} ({role})"


def lasting(seconds: float | None) -> str:
    """Return a duration in words, nothing where it is not known."""
    return "" if seconds is None else spelled(timedelta(seconds=seconds))


def usage_lines(document: Document, width: int) -> list[Text]:
    """Return how full the database is: in words, as a bar, and against which thresholds."""
    usage, limits = document["usage"], document["thresholds"]
    utilisation = usage["utilisation"]
    color = _color(utilisation, limits)
    in_use = connections_in_use(usage["used"], usage["usable"])
    title = Text.assemble(
        (shown(document["database"]), "bold"), ": ", (f"{in_use}, {utilisation:.0f} %", color)
    )
    lines = [title, _bar(utilisation, limits, color, min(width, 80))]
    lines.append(
        Text(
            f"target {limits['target_percent']:g} %, warning {limits['warning_percent']:g} %, "
            f"critical {limits['critical_percent']:g} %"
        )
    )
    return lines


def reservations(document: Document) -> Text:
    """Return how many connections applications can get, and why."""
    usage = document["usage"]
    reserved = {
        name: usage[name] for name in usage if name.endswith("reserved_connections") and usage[name]
    }
    parts = [f"{usage['max_connections']} max_connections"]
    parts += [f"{count} {name}" for name, count in reserved.items()]
    logins = usage["logins_in_progress"]
    more = f"; {logins} used by logins in progress" if logins else ""
    return Text(f"{' - '.join(parts)} = {usage['usable']} usable{more}", "dim")


def verdict_lines(document: Document) -> list[Text]:
    """Return what would happen, what holds it back, and what usage would be after."""
    count, restraint = len(document["would_terminate"]), document["restraint"]
    explanation = safe_text(document["explanation"])
    if restraint is None:
        lines = [Text.assemble((f"{document['tier']}: ", "bold"), explanation)]
    else:
        held = f"{document['tier']}: nothing is terminated ({restraint}): "
        lines = [Text.assemble((held, "bold"), explanation)]
    if document["action_required"]:
        lines.append(
            Text.assemble(("action required: ", "bold red"), safe_text(document["action_required"]))
        )
    if count:
        after = document["usage_after"]
        in_use = connections_in_use(after["used"], after["usable"])
        of_plan = "after it" if restraint is None else "if it were carried out"
        lines.append(Text(f"usage {of_plan}: {in_use}, {after['utilisation']:.0f} %"))
    if document["terminated_within_the_hour"]:
        lines.append(
            Text(
                f"terminated within the hour: {document['terminated_within_the_hour']} of at most "
                f"{document['most_per_hour']}"
            )
        )
    return lines


def _color(utilisation: float, limits: Row) -> str:
    if utilisation >= limits["critical_percent"]:
        return "red"
    return "yellow" if utilisation >= limits["target_percent"] else "green"


def _bar(utilisation: float, limits: Row, color: str, width: int) -> Text:
    """Return a bar of usage, in which each threshold is a line."""
    inner = max(width - 2, 10)
    filled = min(round(inner * utilisation / 100), inner)
    cells = ["#"] * filled + ["."] * (inner - filled)
    marks = {
        min(int(inner * limits[name] / 100), inner - 1): mark_color
        for name, mark_color in (
            ("target_percent", "green"),
            ("warning_percent", "yellow"),
            ("critical_percent", "red"),
        )
    }
    bar = Text("[")
    for place, character in enumerate(cells):
        if place in marks:
            bar.append("|", f"bold {marks[place]}")
        else:
            bar.append(character, color if character == "#" else "dim")
    return bar.append("]")
