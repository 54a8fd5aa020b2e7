"""What infra writes is what the function reads."""

import json

import pytest

from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.responder_settings import (
    ENVIRONMENT_VARIABLE,
    ResponderSettings,
)
from connection_guard.errors import ConfigurationError
from tests.support.builders import some_settings

PROXY = Door(DoorName.PROXY, "proxy.example", 5432, "connection_guard_proxy")


@pytest.mark.parametrize("proxy", [None, PROXY])
def test_settings_survive_the_environment(proxy: Door | None) -> None:
    settings = some_settings(proxy=proxy)
    assert ResponderSettings.from_environment(settings.to_environment()) == settings


def test_a_database_without_a_proxy_needs_no_entry_for_one() -> None:
    settings = some_settings(proxy=None)
    written = json.loads(settings.to_environment()[ENVIRONMENT_VARIABLE])
    del written["proxy"]
    assert (
        ResponderSettings.from_environment({ENVIRONMENT_VARIABLE: json.dumps(written)}) == settings
    )


def test_the_proxy_is_the_first_door_and_each_role_is_the_guards_own() -> None:
    settings = some_settings(proxy=PROXY)
    assert [door.name for door in settings.doors] == [DoorName.PROXY, DoorName.DIRECT]
    assert settings.roles == ("connection_guard_proxy", "connection_guard")
    assert some_settings().roles == ("connection_guard",)


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        (None, "'CONNECTION_GUARD_SETTINGS' is missing"),
        ("{", "Expecting property name"),
        ("[]", "not what ResponderSettings.to_environment writes"),
        ("{}", "'direct' is missing"),
        (
            '{"proxy": null, "direct": {"name": "window"}, "alarms": {}}',
            "'window' is not a valid DoorName",
        ),
        ('{"proxy": null, "direct": null, "alarms": {}}', "NoneType"),
    ],
)
def test_what_is_missing_or_malformed_is_one_clear_line(written: str | None, wrong: str) -> None:
    environment = {} if written is None else {ENVIRONMENT_VARIABLE: written}
    with pytest.raises(ConfigurationError) as raised:
        ResponderSettings.from_environment(environment)
    assert str(raised.value).startswith("environment variable CONNECTION_GUARD_SETTINGS: ")
    assert wrong in str(raised.value)
    assert "\n" not in str(raised.value)
