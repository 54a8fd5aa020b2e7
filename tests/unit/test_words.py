"""Names are the clients' to choose, and advice with such a name is read in a terminal and run as
SQL.
"""

import pytest

from connection_guard.core.words import identifier, printable


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("app", '"app"'),
        ('a"p\\p', '"a""p\\p"'),
        ("bücher 😀", '"bücher 😀"'),
        ('\x1b[2J"\\\u202epp', 'U&"\\+00001B[2J""\\\\\\+00202Epp"'),
    ],
)
def test_a_name_is_written_as_sql_takes_it_and_no_terminal_obeys_it(
    name: str, written: str
) -> None:
    assert identifier(name) == written


def test_a_sentence_is_one_line_without_what_a_terminal_obeys() -> None:
    assert printable("role\t\x1b[2J \n\u202eppa é") == "role �[2J �ppa é"
