"""The alarms of a deployed guard, as the doctor judges them."""

from dataclasses import replace

from connection_guard.cli.doctor.deployed.alarm_checks import (
    check_alarm_actions,
    check_alarm_states,
    check_alarm_thresholds,
    check_alarms,
    check_existing_alarms,
    expected_alarms,
    tiers_of,
)
from connection_guard.cli.doctor.facts.check import Unknown
from tests.support.cli.doctor_facts import (
    TIERS,
    WATCHED,
    a_function,
    a_stack,
    an_alarm,
    is_finding,
    is_ok,
    is_unchecked,
    some_aws_facts,
    the_alarms,
)
from tests.support.configurations import a_configuration, a_database

PREFIX = "connection-guard"
NAMES = {f"{PREFIX}-orders-{what}" for what in (*TIERS, *WATCHED)}
DATABASE = a_database()


def test_all_alarms_on_the_responders_database_are_expected() -> None:
    assert set(expected_alarms(a_stack(), a_function())) == NAMES


def test_alarms_on_what_databases_share_are_expected_but_not_those_of_another_database() -> None:
    made = ("Guard-payments-critical-measured", "Guard-payments-limit", "Guard-reporter-failed")
    stack = a_stack(resources={"AWS::CloudWatch::Alarm": made})

    assert set(expected_alarms(stack, a_function())) == NAMES | {"Guard-reporter-failed"}
    assert expected_alarms(stack, None) == ("Guard-reporter-failed",)


def test_a_missing_alarm_is_named() -> None:
    alarms = [each for each in the_alarms() if not each.name.endswith("-unguarded")]
    check = check_existing_alarms(alarms, sorted(NAMES), "Guard")

    assert is_finding(check)
    assert check.detail == ("1 alarm of the guard is missing: connection-guard-orders-unguarded")
    assert check.remedy == (
        "aws cloudformation detect-stack-drift --stack-name Guard",
        "make deploy",
    )


def test_disabled_actions_are_enabled_for_those_alarms_only() -> None:
    alarms = [an_alarm("a"), an_alarm("b c", has_actions=False)]
    check = check_alarm_actions(alarms)

    assert is_finding(check)
    assert check.remedy == ("aws cloudwatch enable-alarm-actions --alarm-names 'b c'",)


def test_an_alarm_that_is_on_is_named() -> None:
    check = check_alarm_states([an_alarm("a", state="ALARM"), an_alarm("b")])
    assert is_finding(check)
    assert check.detail == "1 alarm on: a"


def test_an_alarm_without_data_is_only_shown() -> None:
    check = check_alarm_states([an_alarm("a", state="INSUFFICIENT_DATA")])
    assert is_ok(check)
    assert check.detail.endswith("without data yet: a")


def test_another_threshold_than_that_of_guard_toml_is_deployed_again() -> None:
    alarms = [an_alarm("connection-guard-orders-warning", threshold=70.0)]
    check = check_alarm_thresholds(alarms, tiers_of(a_function()), DATABASE)

    assert is_finding(check)
    assert check.detail == "connection-guard-orders-warning at 70 %, guard.toml says 75 %"
    assert is_ok(check_alarm_thresholds(the_alarms(), tiers_of(a_function()), DATABASE))


def test_without_the_responders_settings_no_threshold_is_called_right() -> None:
    unknown = tiers_of(replace(a_function(), settings=None))
    assert is_unchecked(check_alarm_thresholds(the_alarms(), unknown, DATABASE))


def test_alarms_that_may_not_be_read_are_one_line() -> None:
    facts = some_aws_facts(alarms=Unknown("denied"))
    [check] = check_alarms(facts, a_stack(), a_configuration(DATABASE), DATABASE)
    assert is_unchecked(check)
