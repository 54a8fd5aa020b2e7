"""`connection-guard` itself: its help, and how it ends."""

import pytest

from connection_guard.cli.command_line import VERBS
from tests.support.cli.running import at_a_terminal, in_a_pipe


def test_its_help_names_every_verb() -> None:
    ran = in_a_pipe("--help")

    assert ran.status == 0
    assert all(f"  {verb} " in ran.output for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_page_of_help(verb: str) -> None:
    ran = at_a_terminal(verb, "--help", columns=80)

    assert ran.status == 0
    assert ran.output.startswith(f"Usage: connection-guard {verb} ")
    assert "Examples:" in ran.output


def test_an_unknown_verb_is_a_line_and_status_2() -> None:
    ran = in_a_pipe("doctr")

    assert ran.status == 2
    assert len(ran.errors.splitlines()) == 1
    assert "Traceback" not in ran.errors
