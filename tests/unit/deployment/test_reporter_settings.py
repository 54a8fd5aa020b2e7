"""What infra writes is what the reporter reads."""

import json
from dataclasses import replace

import pytest

from connection_guard.core.deployment.reporter_settings import (
    ENVIRONMENT_VARIABLE,
    ApplicationOwner,
    Owner,
    ReporterSettings,
    WatchedDatabase,
    parse_application_owners,
    read_watched_database,
    write_application_owners,
    write_watched_database,
)
from connection_guard.errors import ConfigurationError

SETTINGS = ReporterSettings(
    table="incidents",
    bucket="evidence",
    incidents_topic="arn:aws:sns:eu-central-1:123456789012:incidents",
    unreadable_queue="https://sqs.eu-central-1.amazonaws.com/123456789012/unreadable",
    slack_secret="connection-guard/slack",
    dashboard="ConnectionGuard",
    databases_path="/connection-guard/ConnectionGuard/databases",
    log_group="/connection-guard/ConnectionGuard",
)
WRITTEN = json.loads(SETTINGS.to_environment()[ENVIRONMENT_VARIABLE])


def test_what_a_parameter_of_a_template_leaves_empty_is_no_channel() -> None:
    settings = replace(SETTINGS, slack_secret="")
    assert ReporterSettings.from_environment(settings.to_environment()).channels == ("incidents",)


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
        ("{}", "missing 7 required positional arguments: 'table', 'bucket'"),
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


ORDERS = WatchedDatabase(
    "orders",
    False,
    "guard-orders",
    Owner("team-orders", "S0123ABCD"),
    runbook="https://wiki.example.com/orders",
    environment="production",
    slack_channel="#orders",
)
PAYMENTS = WatchedDatabase("payments", True, "guard-payments")
PARAMETER = "/connection-guard/ConnectionGuard/databases/orders"


@pytest.mark.parametrize("database", [ORDERS, PAYMENTS, replace(PAYMENTS, owner=Owner("team"))])
def test_what_is_known_of_a_database_survives_its_parameter(database: WatchedDatabase) -> None:
    assert (
        read_watched_database(PARAMETER, json.dumps(write_watched_database(database))) == database
    )


def test_a_parameter_of_a_newer_version_is_read_as_far_as_it_is_known() -> None:
    fields = write_watched_database(ORDERS)
    newer = {**fields, "region": "mars", "owner": {**fields["owner"], "pager": "42"}}
    assert read_watched_database(PARAMETER, json.dumps(newer)) == ORDERS


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("", "Expecting value"),
        ("7", "'int' object has no attribute 'items'"),
        ("[" * 100_000, "RecursionError"),
        ('{"identifier": "orders", "is_cluster": false}', "'function_name'"),
        ('{"identifier": ["orders"], "is_cluster": false}', "identifier is not text"),
        (
            '{"identifier": "orders", "is_cluster": false, "function_name": "f", "owner": "jo"}',
            "'str' object has no attribute 'items'",
        ),
        (
            '{"identifier": "orders", "is_cluster": false, "function_name": "f", "owner": {}}',
            "missing 1 required positional argument: 'name'",
        ),
    ],
)
def test_a_malformed_parameter_is_one_clear_line(written: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_watched_database(PARAMETER, written)
    assert str(raised.value).startswith(f"parameter {PARAMETER}: not what the stack writes (")
    assert wrong in str(raised.value)
    assert "\n" not in str(raised.value)


OWNERS = (ApplicationOwner("checkout*", Owner("team-checkout", "S0123ABCD")),)


@pytest.mark.parametrize("owners", [OWNERS, ()])
def test_the_owners_of_applications_survive_their_file(
    owners: tuple[ApplicationOwner, ...],
) -> None:
    assert parse_application_owners(write_application_owners(owners)) == owners


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("", "Expecting value"),
        ("7", "not iterable"),
        ('[{"pattern": "a"}]', "'owner'"),
        ('[{"pattern": "a", "owner": {"name": "b", "c": 1}}]', "'c'"),
    ],
)
def test_a_malformed_file_of_owners_is_one_clear_line(written: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_application_owners(written)
    assert str(raised.value).startswith("application_owners.json: not what write_application_owner")
    assert wrong in str(raised.value)
    assert "\n" not in str(raised.value)
