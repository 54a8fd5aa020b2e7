"""Names are the clients' to choose, and advice with such a name is read in a terminal and run as
SQL.
"""

import pytest

from connection_guard.adapters.postgresql.names import identifier


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
