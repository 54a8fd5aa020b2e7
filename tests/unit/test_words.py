"""Names and texts are the clients' to choose, and people read them in a terminal."""

from connection_guard.core.words import printable, quoted, shown


def test_a_sentence_is_one_line_without_what_a_terminal_obeys() -> None:
    assert printable("role\t\x1b[2J \n\u202eppa é") == "role �[2J �ppa é"


def test_a_long_text_is_cut_and_shows_that_it_was() -> None:
    assert shown("a b", 3) == "a b"
    assert shown("a b c", 3) == "a …"
    assert quoted("check\nout") == '"check out"'
