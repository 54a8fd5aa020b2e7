"""No name from outside is obeyed by a reader of the audit's Markdown."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from connection_guard.cli.audit.audit_markdown import MOST_ROWS, cell, code_span, page_of_sections
from connection_guard.cli.audit.audit_section import AuditSection
from connection_guard.core.words import printable

HOSTILE = [
    "a|b",
    "a\\|b",
    "a\\\\|b",
    "\\",
    "`",
    "``` x",
    "`|`<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](https://evil.example)",
    "https://evil.example",
    "@team",
    "line\nline",
    "line\r\n# heading",
    "| --- |",
    "\x1b[2J\u202e",
    "**bold** _x_ &lt;",
    "",
    " ",
]

READER = MarkdownIt("commonmark").enable("table")


def a_page(name: str) -> str:
    section = AuditSection(
        "names",
        "Names",
        "These are names.",
        "There is none.",
        {"name": "name", "sessions": "sessions", "longest": "longest"},
        ({"name": name, "sessions": 3, "longest": timedelta(hours=2)},),
    )
    return page_of_sections(f"Connections of {code_span(name)}", "Looked at.", [section])


def what_a_reader_sees(page: str) -> tuple[list[str], list[list[str]], list[str]]:
    """Return the kinds of inline tokens, the rows of the last table, and the headings."""
    tokens = READER.parse(page)
    kinds = [child.type for token in tokens for child in token.children or ()]
    rows: list[list[str]] = []
    headings = []
    for before, token in pairwise(tokens):
        if before.type == "tr_open":
            rows.append([])
        text = "".join(child.content for child in token.children or ())
        if before.type in ("td_open", "th_open"):
            rows[-1].append(text)
        if before.type == "heading_open":
            headings.append(text)
    return kinds, rows, headings


def assert_harmless(name: str) -> None:
    kinds, rows, headings = what_a_reader_sees(a_page(name))

    assert set(kinds) <= {"text", "code_inline", "softbreak"}
    assert rows[-1][1:] == ["3", "2 h"]
    assert rows[-1][0].replace("\\ |", "\\|") == (printable(name) or "-").replace("\\ |", "\\|")
    assert headings == [f"Connections of {printable(name) or '-'}", "Names"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_shown(name: str) -> None:
    assert_harmless(name)


@given(st.text(st.sampled_from("a|\\`<>[]()*_&#;\n\r\t -!@\x1b~"), max_size=30))
def test_any_name_is_only_shown(name: str) -> None:
    assert_harmless(name)


@given(st.text(st.sampled_from("a|\\`"), max_size=12))
def test_no_backslash_comes_before_an_escaped_pipe(name: str) -> None:
    """GitHub's own reader takes two backslashes for one that is escaped, and ends the cell."""
    assert "\\\\|" not in cell(name)
    assert cell(name).count("|") == cell(name).count("\\|") == name.count("|")


def test_a_long_table_is_cut_and_says_so() -> None:
    rows = tuple({"name": f"role {n}"} for n in range(MOST_ROWS + 2))
    section = AuditSection("names", "Names", "", "", {"name": "name"}, rows)
    page = page_of_sections("Connections", "", [section])
    assert f"`role {MOST_ROWS - 1}`" in page
    assert f"`role {MOST_ROWS}`" not in page
    assert "2 further rows are in the JSON" in page
    assert f"| Names | {MOST_ROWS + 2} |" in page


def test_a_section_without_findings_says_what_that_means() -> None:
    section = AuditSection("names", "Names", "These are names.", "There is none.", {"name": "name"})
    page = page_of_sections("Connections", "", [section])
    assert "| Names | none |" in page
    assert "There is none." in page
    assert "These are names." not in page
