"""What infra writes is what the reporter reads."""

import json
from dataclasses import replace

import pytest

from connection_guard.core.deployment.reporter_settings import (
    ENVIRONMENT_VARIABLE,
    ReporterSettings,
    WatchedDatabase,
    read_databases,
    write_databases,
)
from connection_guard.errors import ConfigurationError

SETTINGS = ReporterSettings(
    table="incidents",
    bucket="evidence",
    incidents_topic="arn:aws:sns:eu-central-1:123456789012:incidents",
    slack_secret="connection-guard/slack",
    dashboard="ConnectionGuard",
)
WRITTEN = json.loads(SETTINGS.to_environment()[ENVIRONMENT_VARIABLE])


@pytest.mark.parametrize("slack_secret", ["connection-guard/slack", None])
def test_settings_survive_the_environment(slack_secret: str | None) -> None:
    settings = replace(SETTINGS, slack_secret=slack_secret)
    assert ReporterSettings.from_environment(settings.to_environment()) == settings


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        (None, "'CONNECTION_GUARD_REPORTER_SETTINGS' is missing"),
        ("{", "Expecting property name"),
        ("[]", "not what ReporterSettings.to_environment writes"),
        ("{}", "missing 5 required positional arguments: 'table', 'bucket'"),
        (
            json.dumps({name: value for name, value in WRITTEN.items() if name != "bucket"}),
            "argument: 'bucket'",
        ),
        (json.dumps({**WRITTEN, "colour": "red"}), "unexpected keyword argument 'colour'"),
    ],
)
def test_what_is_missing_or_malformed_is_one_clear_line(written: str | None, wrong: str) -> None:
    environment = {} if written is None else {ENVIRONMENT_VARIABLE: written}
    with pytest.raises(ConfigurationError) as raised:
        ReporterSettings.from_environment(environment)
    assert str(raised.value).startswith("environment variable CONNECTION_GUARD_REPORTER_SETTINGS: ")
    assert wrong in str(raised.value)
    assert "\n" not in str(raised.value)


DATABASES = (
    WatchedDatabase("orders", False, "guard-orders"),
    WatchedDatabase("payments", True, "guard-payments"),
)


@pytest.mark.parametrize("databases", [DATABASES, ()])
def test_databases_survive_their_file(databases: tuple[WatchedDatabase, ...]) -> None:
    assert read_databases(write_databases(databases)) == databases


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("", "Expecting value"),
        ("7", "not iterable"),
        ('["orders"]', "must be a mapping"),
        ('[{"identifier": "orders", "is_cluster": false}]', "'function_name'"),
        (
            '[{"identifier": "orders", "is_cluster": false, "function_name": "f", "colour": 1}]',
            "'colour'",
        ),
    ],
)
def test_a_malformed_file_of_databases_is_one_clear_line(written: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_databases(written)
    assert str(raised.value).startswith("databases.json: not what write_databases writes (")
    assert wrong in str(raised.value)
    assert "\n" not in str(raised.value)
