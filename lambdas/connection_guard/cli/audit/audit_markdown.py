"""The audit as Markdown, in which no name from outside is obeyed.

Each is a code span in a table's cell. There GitHub Flavored Markdown reads no link, HTML or
mention; only the pipe has to be escaped, and the fence to be longer than any run of backticks (its
specification, 4.10 "Tables" and 6.3 "Code spans").
"""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from connection_guard.cli.audit.audit_section import AuditSection, Cell
from connection_guard.core.words import counted, printable, spelled

MOST_ROWS = 50


def page_of_sections(title: str, intro: str, sections: Sequence[AuditSection]) -> str:
    """Return a page: what was found in which section, and then each section."""
    overview = table(
        ("checked", "findings"),
        ((section.title, str(len(section.rows) or "none")) for section in sections),
    )
    return "\n\n".join([f"# {title}", intro, overview, *map(_section, sections)]) + "\n"


def _section(section: AuditSection) -> str:
    parts = [f"## {section.title}", section.meaning if section.rows else section.well]
    if section.rows:
        rows = section.rows[:MOST_ROWS]
        parts.append(
            table(
                tuple(section.columns.values()),
                ([cell(row[key]) for key in section.columns] for row in rows),
            )
        )
        if rest := len(section.rows) - len(rows):
            parts.append(f"{counted(rest, 'further row')} are in the JSON (`--json`).")
    if section.statements:
        parts.append("\n".join(["```sql", *section.statements[:MOST_ROWS], "```"]))
    return "\n\n".join(parts)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Cell) -> str:
    """Return a value as a cell of a table."""
    if isinstance(value, timedelta):
        return spelled(value)
    if isinstance(value, int):
        return str(value)
    # Readers differ in whether `\\|` ends the cell: no backslash may come before an escaped pipe.
    return code_span(value.replace("\\|", "\\ |")).replace("|", "\\|")


def code_span(text: str) -> str:
    """Return a text from outside as a code span on one line, for a sentence; nothing as a dash."""
    shown = printable(text)
    if not shown:
        return "-"
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    space = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{space}{shown}{space}{fence}"
