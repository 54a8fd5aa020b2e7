"""Which databases are chosen, and what is said where that finds none."""

from typing import Any

import pytest

from connection_guard.cli.discover.account.choose_databases import chosen_databases
from connection_guard.cli.discover.account.discovered import LeftOut
from connection_guard.cli.terminal.mistakes import UserMistakeError
from tests.unit.cli.discover.rds_answers import a_found_instance

FOUND = [
    a_found_instance(
        name,
        TagList=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    for name, tags in {
        "books": {"team": "shop", "environment": "production"},
        "orders": {"team": "shop", "environment": "test"},
        "wiki": {"team": "tools", "a=b": "c=d"},
    }.items()
]
OTHERS = [LeftOut("instance", "orders-replica", 'read replica of "orders"')]


def names_of(*names: str, tags: tuple[str, ...] = (), is_all: bool = False) -> list[str]:
    chosen = chosen_databases(FOUND, OTHERS, names, tags, is_all)
    return [each.identifier for each in chosen]


def test_by_name() -> None:
    assert names_of("wiki", "Orders") == ["orders", "wiki"]


def test_by_all_tags_that_are_named() -> None:
    assert names_of(tags=("team=shop",)) == ["books", "orders"]
    assert names_of(tags=("team=shop", "environment=test")) == ["orders"]


def test_by_a_tag_whose_key_has_an_equals_sign() -> None:
    assert names_of(tags=("a=b=c=d",)) == ["wiki"]


def test_all_of_them() -> None:
    assert names_of(is_all=True) == ["books", "orders", "wiki"]


def test_none_where_nothing_is_asked_for() -> None:
    assert names_of() == []


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"names": ("order",)}, '"order" is not a database here: did you mean "orders"?'),
        (
            {"names": ("orders-replica",)},
            '"orders-replica" cannot be guarded: read replica of "orders"',
        ),
        ({"tags": ("team=shops",)}, 'no database has the tag "team=shops": did you mean'),
        ({"tags": ("colour=red",)}, 'no database has the tag "colour=red": there is "a", '),
        ({"tags": ("team",)}, '--tag "team" is not KEY=VALUE'),
        (
            {"tags": ("team=tools", "environment=test")},
            'no database has all of the tags "team=tools", "environment=test"',
        ),
        ({"tags": ("team=tools",), "is_all": True}, "choose databases in one way"),
        ({"names": ("wiki",), "is_all": True}, "choose databases in one way"),
        ({"tags": ("\x1b[31m=\n\u202e",)}, 'no database has the tag "\ufffd[31m= \ufffd"'),
    ],
)
def test_what_finds_nothing_is_a_line(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(UserMistakeError) as mistake:
        names_of(*choice.pop("names", ()), **choice)

    assert mistake.value.message.startswith(message)
    assert "\n" not in mistake.value.message


def test_all_of_nothing_is_a_line() -> None:
    with pytest.raises(UserMistakeError, match="there is no database with PostgreSQL"):
        chosen_databases([], [], (), (), is_all=True)
