"""A plan as tables, for the verbs `plan` and `terminate`."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from connection_guard.cli.live.live_table import (
    WIDE,
    Column,
    Row,
    cell,
    lasting,
    reservations,
    table,
    usage_lines,
    verdict_lines,
    who,
)
from connection_guard.cli.live.plan_document import Document
from connection_guard.core.words import counted

# Of hundreds of groups the large ones matter; the JSON has all of them.
MOST_GROUPS = 30


def plan_tables(document: Document, width: int) -> Iterator[RenderableType]:
    """Yield all of a plan, for a terminal with that many columns."""
    yield from usage_lines(document, width)
    yield reservations(document)
    yield ""
    yield from verdict_lines(document)
    if chosen := document["would_terminate"]:
        is_held = "" if document["carried_out"] else ", if nothing held the plan back"
        yield ""
        yield Text(f"These would go, in this order{is_held}:", "bold")
        yield chosen_table(chosen, width)
    for name, title in (
        ("spared", "These are spared:"),
        ("spared_of_proxy", "These belong to RDS Proxy, and are spared:"),
    ):
        if document[name]:
            yield ""
            yield Text(title, "bold")
            yield from _spared(document[name], width)
    for diagnosis in document["diagnoses"]:
        yield ""
        yield Text.assemble((f"{diagnosis['cause']}: ", "bold"), cell(diagnosis["summary"]))
        yield Text.assemble("  advice: ", cell(diagnosis["advice"]))


def chosen_table(rows: list[Row], width: int) -> RenderableType:
    """Return sessions in the order in which they go, with the rule and the reason of each."""
    is_wide = width >= WIDE
    columns: list[Column] = [("", "right"), ("pid", "right"), ("application (role)", "left")]
    columns += [("client", "left"), ("rule", "left")] if is_wide else []
    columns += [("why", "left")]
    return table(
        columns,
        (
            [
                Text(str(place), "dim"),
                Text(str(row["pid"])),
                cell(who(row)),
                *([cell(row["client"]), cell(row["rule"])] if is_wide else []),
                cell(row["reason"] if is_wide else f"{row['rule']}: {row['reason']}"),
            ]
            for place, row in enumerate(rows, start=1)
        ),
    )


def _spared(groups: list[Row], width: int) -> Iterator[RenderableType]:
    is_wide = width >= WIDE
    columns: list[Column] = [("sessions", "right"), ("application (role)", "left")]
    columns += [("state", "left"), ("for", "right"), ("rule", "left")] if is_wide else []
    columns += [("why", "left")]
    yield table(
        columns,
        (
            [
                Text(str(row["sessions"])),
                cell(who(row)),
                *(
                    [
                        cell(row["state"] or "hidden"),
                        Text(lasting(row["oldest_seconds_in_state"])),
                        cell(row["rule"]),
                    ]
                    if is_wide
                    else []
                ),
                cell(row["reason"] if is_wide else f"{row['rule']}: {row['reason']}"),
            ]
            for row in groups[:MOST_GROUPS]
        ),
    )
    if omitted := groups[MOST_GROUPS:]:
        yield Text(f"and {counted(len(omitted), 'smaller group')}, which --json shows", "dim")
