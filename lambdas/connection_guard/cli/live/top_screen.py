"""The screen of the verb `top`: as much of a look as fits a terminal, each row on one line."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from connection_guard.cli.live.live_look import LiveLook
from connection_guard.cli.live.live_table import (
    WIDE,
    Column,
    Row,
    fitted_table,
    lasting,
    safe_text,
    usage_lines,
    verdict_lines,
    who,
)
from connection_guard.cli.live.plan_document import Document, plan_document
from connection_guard.cli.live.pools_and_blockers import blocker_rows, pool_rows
from connection_guard.core.decision.plan import Verdict
from connection_guard.core.policy import Action
from connection_guard.core.report.rows import session_row

MOST_DIAGNOSES = 2
# A section is a blank line, the titles of its columns, and its rows.
LINES_OF_SECTION = 2
DEEPEST_SHOWN = 4


def top_document(look: LiveLook) -> Document:
    """Return what `plan` writes, with the pools and who blocks whom."""
    before = look.round.before
    return plan_document(look) | {
        "pools": pool_rows(before, look.plan),
        "blockers": blocker_rows(before),
    }


def top_screen(look: LiveLook, document: Document, width: int, height: int) -> RenderableType:
    """Return a screen of at most that many lines; `document` is that of the look."""
    above = _head(document, width)
    for line in above:
        line.no_wrap, line.overflow = True, "ellipsis"
    sections = [
        _Section(document["blockers"], 4, lambda rows: _blockers(rows, width)),
        _Section(document["pools"], 3, lambda rows: _pools(rows, width)),
        _Section(look.plan.verdicts, 1, lambda verdicts: _sessions(verdicts, look, width)),
    ]
    shown: list[RenderableType] = [*above[:height]]
    left = height - len(shown)
    for section in sections:
        # Each takes its share of what those before it have left, and the last the rest.
        most = left // section.share - LINES_OF_SECTION
        if section.rows and most > 0:
            rows = section.rows[:most]
            shown += ["", section.drawn(rows)]
            left -= LINES_OF_SECTION + len(rows)
    return Group(*shown)


class _Section(NamedTuple):
    rows: Sequence[Any]
    share: int
    drawn: Callable[[Sequence[Any]], RenderableType]


def _head(document: Document, width: int) -> list[Text]:
    forecast = document["minutes_to_full"]
    lines = usage_lines(document, width)
    if forecast is not None:
        lines[0].append(f", full in about {forecast:.0f} min at this rate", "bold")
    states = document["usage"]["sessions_by_state"].items()
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states))
    lines.append(safe_text(counts))
    lines += verdict_lines(document)
    for diagnosis in document["diagnoses"][:MOST_DIAGNOSES]:
        lines.append(
            Text.assemble((f"{diagnosis['cause']}: ", "bold"), safe_text(diagnosis["summary"]))
        )
    return lines


def _blockers(rows: Sequence[Row], width: int) -> RenderableType:
    columns: list[Column] = [
        ("waiting", "right"),
        ("longest", "right"),
        ("blocked by", "left"),
        ("doing", "left"),
    ]
    return fitted_table(
        columns,
        (
            [
                Text(str(row["waiting"]), "bold"),
                Text(lasting(row["longest_wait_seconds"])),
                Text("  " * min(row["depth"], DEEPEST_SHOWN)).append_text(_blocker(row)),
                safe_text(_doing(row)),
            ]
            for row in rows
        ),
        cut_to=width,
    )


def _blocker(row: Row) -> Text:
    if row["state"] is None and not row["role"]:
        return Text("a prepared transaction" if row["pid"] == 0 else f"{row['pid']} (no client)")
    return Text(f"{row['pid']} ").append_text(safe_text(who(row)))


def _doing(row: Row) -> str:
    waits = f"waits for {row['blocked_by']}" if row["blocked_by"] else row["state"] or ""
    return f"{waits} {lasting(row['seconds_in_state'])}: {row['query']}" if row["role"] else ""


def _pools(rows: Sequence[Row], width: int) -> RenderableType:
    is_wide = width >= WIDE
    columns: list[Column] = [("pool", "right"), ("go", "right"), ("application (role)", "left")]
    columns += [("client", "left"), ("oldest", "right")] if is_wide else []
    columns += [("states, each with its longest", "left")]
    return fitted_table(
        columns,
        (
            [
                Text(str(row["sessions"])),
                Text(str(row["would_terminate"] or ""), "red"),
                safe_text(who(row)),
                *(
                    [safe_text(row["client"]), Text(lasting(row["oldest_seconds_connected"]))]
                    if is_wide
                    else []
                ),
                safe_text(
                    ", ".join(
                        f"{each['sessions']} {each['state']} {lasting(each['longest_seconds'])}"
                        for each in row["states"]
                    )
                ),
            ]
            for row in rows
        ),
        cut_to=width,
    )


def _sessions(verdicts: Sequence[Verdict], look: LiveLook, width: int) -> RenderableType:
    """Return the sessions, those first that would go first."""
    is_wide = width >= WIDE
    columns: list[Column] = [("pid", "right"), ("", "left"), ("application (role)", "left")]
    columns += [("client", "left"), ("state", "left"), ("for", "right")] if is_wide else []
    columns += [("why", "left")]

    def cells(verdict: Verdict) -> list[Text]:
        row = session_row(verdict, look.round)
        goes = verdict.action is Action.TERMINATE
        return [
            Text(str(row["pid"])),
            Text("go", "red") if goes else Text("stay", "dim"),
            safe_text(who(row)),
            *(
                [
                    safe_text(row["client"]),
                    safe_text(row["state"] or "hidden"),
                    Text(lasting(row["seconds_in_state"])),
                ]
                if is_wide
                else []
            ),
            safe_text(f"{row['rule']}: {row['reason']}"),
        ]

    return fitted_table(columns, map(cells, verdicts), cut_to=width)
