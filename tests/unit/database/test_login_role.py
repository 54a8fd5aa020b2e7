"""Which timeout is on for a role in a database: the nearest setting counts."""

import pytest

from connection_guard.core.database.login_role import Timeout, TimeoutSettings

IDLE = Timeout.IDLE_SESSION
ROLE = ("app", "")
DATABASE = ("", "shop")
BOTH = ("app", "shop")
ALL = ("", "")


@pytest.mark.parametrize(
    ("of_server", "of_roles", "is_off"),
    [
        (False, {}, True),
        (True, {}, False),
        (False, {ALL: True}, False),
        (True, {ALL: False}, True),
        (True, {ALL: True, DATABASE: False}, True),
        (False, {DATABASE: True}, False),
        (False, {DATABASE: True, ROLE: False}, True),
        (False, {ROLE: False, BOTH: True}, False),
        (True, {ROLE: True, BOTH: False}, True),
        (False, {("other", ""): True, ("", "other"): True, ("app", "other"): True}, True),
        (None, {}, False),
        (None, {ROLE: False}, True),
    ],
)
def test_the_nearest_setting_counts(
    of_server: bool | None, of_roles: dict[tuple[str, str], bool], is_off: bool
) -> None:
    settings = TimeoutSettings(
        {IDLE: of_server}, {(*who, IDLE): is_on for who, is_on in of_roles.items()}
    )
    assert settings.is_off(IDLE, "app", "shop") is is_off


def test_a_timeout_that_the_server_does_not_have_is_not_missing() -> None:
    settings = TimeoutSettings({IDLE: False}, {})
    assert not settings.is_off(Timeout.TRANSACTION, "app", "shop")
