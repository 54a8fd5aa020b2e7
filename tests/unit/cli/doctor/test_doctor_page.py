"""The doctor's page, as people and programs read it."""

from io import StringIO

import pytest
from rich.console import Console

from connection_guard.cli.doctor import doctor_page
from connection_guard.cli.doctor.facts.check import (
    closing_line,
    finding,
    ok,
    unchecked,
)

LONG = 'GRANT pg_read_all_stats, pg_signal_backend, pg_use_reserved_connections TO "a";'
CHECKS = [
    ok("name (direct)", "orders is 10.0.0.5 " + "and so on " * 12),
    finding("grants", "\x1b[31mblind [bold]", LONG, "SELECT 1;"),
    unchecked("AWS", "no credentials"),
]
GROUPS = dict(zip(("Network", "Login", "Deployment"), ([each] for each in CHECKS), strict=True))


def page(columns: int = 80) -> list[str]:
    console = Console(file=StringIO(), width=columns, highlight=False)
    doctor_page._show(console, "orders", {**GROUPS, "Notification": []})
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_checks_are_in_their_groups_and_counted() -> None:
    lines = page()

    assert lines[0] == "orders"
    assert [line for line in lines[1:-1] if line and line[0] != " "] == list(GROUPS)
    assert lines[-1] == "3 checks, 1 finding, 1 could not be checked"


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_a_remedy_is_copied_as_one_line(columns: int) -> None:
    lines = page(columns)

    assert f"    {LONG}" in lines
    assert "    SELECT 1;" in lines


def test_details_are_wrapped() -> None:
    lines = page()
    assert all(len(line) <= 80 for line in lines if LONG not in line)
    assert sum("so on" in line for line in lines) > 1


def test_marks_are_words_and_texts_command_no_terminal() -> None:
    text = "\n".join(page())
    assert "  ok       name (direct): orders is" in text
    assert "  FINDING  grants" in text
    assert "  ?        AWS" in text
    assert "\x1b" not in text
    assert "[bold]" in text


def test_the_document_has_every_field() -> None:
    assert [doctor_page._document(*each) for each in zip(GROUPS, CHECKS, strict=True)][1:] == [
        {
            "group": "Login",
            "check": "grants",
            "result": "finding",
            "detail": "\x1b[31mblind [bold]",
            "remedy": f"{LONG}\nSELECT 1;",
        },
        {
            "group": "Deployment",
            "check": "AWS",
            "result": "could not be checked",
            "detail": "no credentials",
            "remedy": None,
        },
    ]


def test_one_of_each_is_written_as_one() -> None:
    assert closing_line(CHECKS[:1]) == "1 check, 0 findings"
    assert closing_line(CHECKS[1:2]) == "1 check, 1 finding"
