"""A plan as tables, for the verbs `plan` and `terminate`."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from connection_guard.cli.live.live_table import (
    WIDE,
    Column,
    Row,
    fitted_table,
    lasting,
    reservations,
    safe_text,
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
        yield Text.assemble((f"{diagnosis['cause']}: ", "bold"), safe_text(diagnosis["summary"]))
        yield Text.assemble("  advice: ", safe_text(diagnosis["advice"]))


def chosen_table(rows: list[Row], width: int) -> RenderableType:
    """Return sessions in the order in which they go, with the rule and the reason of each."""
    is_wide = width >= WIDE
    columns: list[Column] = [("", "right"), ("pid", "right"), ("application (role)", "left")]
    columns += [("client", "left"), ("rule", "left")] if is_wide else []
    columns += [("why", "left")]
    return fitted_table(
        columns,
        (
            [
                Text(str(place), "dim"),
                Text(str(row["pid"])),
                safe_text(who(row)),
                *([safe_text(row["client"]), safe_text(row["rule"])] if is_wide else []),
                safe_text(row["reason"] if is_wide else f"{row['rule']}: {row['reason']}"),
            ]
            for place, row in enumerate(rows, start=1)
        ),
    )


def _spared(groups: list[Row], width: int) -> Iterator[RenderableType]:
    is_wide = width >= WIDE
    columns: list[Column] = [("sessions", "right"), ("application (role)", "left")]
    columns += [("state", "left"), ("for", "right"), ("rule", "left")] if is_wide else []
    columns += [("why", "left")]
    yield fitted_table(
        columns,
        (
            [
                Text(str(row["sessions"])),
                safe_text(who(row)),
                *(
                    [
                        safe_text(row["state"] or "hidden"),
                        Text(lasting(row["oldest_seconds_in_state"])),
                        safe_text(row["rule"]),
                    ]
                    if is_wide
                    else []
                ),
                safe_text(row["reason"] if is_wide else f"{row['rule']}: {row['reason']}"),
            ]
            for row in groups[:MOST_GROUPS]
        ),
    )
    if omitted := groups[MOST_GROUPS:]:
        yield Text(f"and {counted(len(omitted), 'smaller group')}, which --json shows", "dim")
