"""What the last statements of drivers and pools show of a session's use."""

import pytest

from connection_guard.adapters.postgresql.rows.statements import last_use
from connection_guard.core.database.session import LastUse

OPENED, GIVEN_BACK, NOTHING = "only_opened", "given_back", "says_nothing"


@pytest.mark.parametrize(
    ("masked_text", "shows"),
    [
        ("", {OPENED, GIVEN_BACK, NOTHING}),
        (" ; ", {OPENED, GIVEN_BACK, NOTHING}),
        ("SET application_name = ?", {OPENED, GIVEN_BACK, NOTHING}),
        ("show TRANSACTION ISOLATION LEVEL;", {OPENED, GIVEN_BACK, NOTHING}),
        ("SELECT ?", {OPENED, NOTHING}),
        ("SELECT pg_catalog.set_config(?, ?, ?)", {OPENED, NOTHING}),
        ("SELECT version()", {OPENED}),
        ("SELECT typname FROM pg_type WHERE typname = ?", {OPENED}),
        ("DISCARD ALL", {GIVEN_BACK, NOTHING}),
        ("SELECT pg_advisory_unlock_all(); UNLISTEN *; RESET ALL;", {GIVEN_BACK, NOTHING}),
        ("SELECT * FROM orders; DISCARD ALL", {GIVEN_BACK}),
        ("BEGIN", {NOTHING}),
        ("COMMIT", {NOTHING}),
        ("SELECT ? FROM orders", set()),
        ("SELECT ? FROM orders; COMMIT", set()),
        ("SELECT pg_advisory_unlock_all_of(?)", set()),
        ("settle()", set()),
    ],
)
def test_last_statements_show_what_a_session_was_used_for(
    masked_text: str, shows: set[str]
) -> None:
    assert last_use(masked_text) == LastUse(**dict.fromkeys(shows, True))
