"""What infra writes is what the reporter reads."""

import json
from dataclasses import replace

import pytest

from connection_guard.core.deployment.reporter_settings import (
    ENVIRONMENT_VARIABLE,
    ApplicationOwner,
    Owner,
    ReporterSettings,
    Watched,
    WatchedDatabase,
    read_watched,
    write_watched,
)
from connection_guard.errors import ConfigurationError

SETTINGS = ReporterSettings(
    table="incidents",
    bucket="evidence",
    incidents_topic="arn:aws:sns:eu-central-1:123456789012:incidents",
    unreadable_queue="https://sqs.eu-central-1.amazonaws.com/123456789012/unreadable",
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


WATCHED = Watched(
    (
        WatchedDatabase(
            "orders", False, "guard-orders", Owner("team-orders"), environment="production"
        ),
        WatchedDatabase("payments", True, "guard-payments"),
    ),
    (ApplicationOwner("checkout*", Owner("team-checkout", "S0123ABCD")),),
)


@pytest.mark.parametrize("watched", [WATCHED, Watched(())])
def test_what_is_watched_survives_its_file(watched: Watched) -> None:
    assert read_watched(write_watched(watched)) == watched


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("", "Expecting value"),
        ("7", "not subscriptable"),
        ("{}", "'databases'"),
        ('{"databases": ["orders"]}', "must be a mapping"),
        ('{"databases": [{"identifier": "orders", "is_cluster": false}]}', "'function_name'"),
        ('{"databases": [], "application_owners": [{"pattern": "a"}]}', "'owner'"),
        (
            '{"databases": [{"identifier": "a", "is_cluster": true, "function_name": "", "b": 1}]}',
            "'b'",
        ),
    ],
)
def test_a_malformed_file_of_databases_is_one_clear_line(written: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_watched(written)
    assert str(raised.value).startswith("watched.json: not what write_watched writes (")
    assert wrong in str(raised.value)
    assert "\n" not in str(raised.value)
