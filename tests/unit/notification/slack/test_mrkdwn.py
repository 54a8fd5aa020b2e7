"""Text that Slack shows as it is."""

import re

from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.notification.slack.mrkdwn import (
    code,
    length,
    lines_that_fit,
    link,
    prose,
)
from tests.support.reporter.slack import (
    assert_nothing_is_formatted,
)


def test_the_count_of_what_does_not_fit_fits() -> None:
    shown = lines_that_fit(["x" * 9] * 5000, 200)

    assert 0 < len("\n".join([*shown, "… and 4986 more groups, 4986 sessions"])) <= 200


@given(st.text())
def test_prose_has_nothing_that_formats(text: str) -> None:
    assert_nothing_is_formatted(prose(text, 300))


@given(st.text(), st.integers(10, 50))
def test_nothing_is_longer_than_it_may_be_and_no_escape_is_cut(text: str, most: int) -> None:
    for shortened in (prose(text, most), code(text, most)):
        assert length(shortened) <= most
        assert not re.search("&(?!(amp|lt|gt);)", shortened)


def test_names_that_people_copy_stay_as_they_are() -> None:
    advice = "Set idle_in_transaction_session_timeout at 15:27:37"

    assert prose(advice, 100) == advice
    assert code("pg_dump_*") == "`pg_dump_*`"


def test_underscores_beside_each_other_do_not_format_either() -> None:
    assert "_" not in prose("__init__ _x_", 100)


def test_an_address_cannot_end_its_own_link() -> None:
    assert link("https://x/?a=1&b=2|3>4", "Logs") == "<https://x/?a=1&amp;b=2%7C3%3E4|Logs>"
    assert link("https://x/" + "y" * 3000, "Logs") == "Logs (its address is too long)"
