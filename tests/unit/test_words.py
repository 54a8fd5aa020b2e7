"""Names and texts are the clients' to choose, and people read them in a terminal."""

from connection_guard.core.words import (
    connections_in_use,
    of_usable,
    ordinal,
    printable,
    quoted,
    shown,
)


def test_a_sentence_is_one_line_without_what_a_terminal_obeys() -> None:
    assert printable("role\t\x1b[2J \n\u202eppa é") == "role �[2J �ppa é"


def test_a_long_text_is_cut_and_shows_that_it_was() -> None:
    assert shown("a b", 3) == "a b"
    assert shown("a b c", 3) == "a …"
    assert quoted("check\nout") == '"check out"'


def test_which_one_it_is_of_several_is_a_word_while_it_is_short() -> None:
    assert [ordinal(number) for number in (2, 3, 10)] == ["second", "third", "tenth"]
    assert [ordinal(number) for number in (11, 12, 21, 22, 23, 111, 1_001)] == [
        "11th",
        "12th",
        "21st",
        "22nd",
        "23rd",
        "111th",
        "1001st",
    ]


def test_more_than_all_connections_are_all() -> None:
    assert connections_in_use(97, 97) == "97 of 97 connections in use"
    assert (
        connections_in_use(98, 97) == "all 97 connections in use (the guard came in on the reserve)"
    )
    assert (of_usable(97, 97), of_usable(98, 97)) == ("97 of 97", "all 97")
