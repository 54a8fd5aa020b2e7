"""A deployed guard, as the doctor judges it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connection_guard.cli.doctor.deployed.stack_checks import (
    check_account,
    check_deployment,
    check_function,
    check_heartbeat,
    check_queues,
    check_responder_settings,
    check_stack,
)
from connection_guard.cli.doctor.facts.aws_facts import AwsFacts, DeadLetterCount
from connection_guard.cli.doctor.facts.check import Check, Unknown, has_finding
from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.database.door import Door, DoorName
from tests.support.cli.doctor_facts import (
    NOW,
    QUEUES,
    a_door,
    a_function,
    a_stack,
    is_finding,
    is_ok,
    is_unchecked,
    reporter_settings,
    responder_settings,
    some_aws_facts,
)
from tests.support.configurations import (
    ACCOUNT,
    REGION,
    a_configuration,
    a_database,
    a_new_proxy,
    an_existing_proxy,
)

DATABASE = a_database()
CONFIGURATION = a_configuration(DATABASE)


def deployment(**changes: Any) -> list[Check]:
    return check_deployment(some_aws_facts(**changes), CONFIGURATION, DATABASE, None, NOW)


def settings_check(database: Database, **changes: Any) -> Check:
    function = a_function(settings=replace(responder_settings(), **changes))
    [check] = check_responder_settings(function, database, REGION)
    return check


def test_a_guard_that_is_well_has_no_finding() -> None:
    checks = deployment()
    assert all(map(is_ok, checks)), [each for each in checks if not is_ok(each)]


def test_without_credentials_there_is_one_line() -> None:
    [check] = deployment(account=Unknown("AWS credentials are missing"))
    assert is_unchecked(check)
    assert check.detail == "AWS credentials are missing"


def test_another_account_is_asked_nothing() -> None:
    [check] = deployment(account="999999999999")
    assert is_finding(check)
    assert f"guard.toml names {ACCOUNT}" in check.detail


def test_a_stack_that_is_not_deployed_yet_is_no_finding() -> None:
    checks = deployment(stack=None)

    assert not has_finding(checks)
    assert [each.check for each in checks] == ["AWS", "RDS", "stack"]
    assert checks[-1].detail == '"connection-guard" is not deployed yet'
    assert checks[-1].remedy == ("make deploy",)


def test_what_one_permission_hides_the_others_still_show() -> None:
    checks = deployment(stack=Unknown("your AWS credentials lack cloudformation:DescribeStacks"))
    assert is_ok(checks[1])
    assert is_unchecked(checks[2])


def test_what_is_late_could_not_be_checked() -> None:
    facts = AwsFacts()
    assert check_account(facts, CONFIGURATION).detail == "AWS did not answer in time"
    facts.account = ACCOUNT
    assert not has_finding(check_deployment(facts, CONFIGURATION, DATABASE, None, NOW))


@pytest.mark.parametrize(
    ("status", "judged"),
    [
        ("CREATE_COMPLETE", is_ok),
        ("UPDATE_COMPLETE", is_ok),
        ("UPDATE_IN_PROGRESS", is_unchecked),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", is_unchecked),
        ("UPDATE_ROLLBACK_COMPLETE", is_finding),
        ("ROLLBACK_FAILED", is_finding),
    ],
)
def test_a_stack_is_judged_by_its_last_deployment(status: str, judged: Any) -> None:
    assert judged(check_stack(a_stack(status=status), "Guard"))


@pytest.mark.parametrize(
    ("function", "judged"),
    [
        (a_function(), is_ok),
        (a_function(state="Inactive"), is_ok),
        (a_function(state="Failed", reason="SubnetOutOfIPAddresses"), is_finding),
        (a_function(last_update="Failed"), is_finding),
        (None, is_finding),
        (Unknown("AccessDenied"), is_unchecked),
    ],
)
def test_a_function_is_judged_by_its_state(function: Any, judged: Any) -> None:
    [check] = check_function("responder", function)
    assert judged(check)


def test_why_a_function_failed_is_shown() -> None:
    [check] = check_function("responder", a_function(state="Failed", reason="no addresses left"))
    assert check.detail.endswith(": no addresses left")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"database_name": "app"}, 'database_name is "app", guard.toml says "postgres"'),
        ({"region": "us-east-1"}, "region is us-east-1, guard.toml says eu-central-1"),
        ({"direct": a_door(role="old")}, "the direct door is "),
        ({"warning_percent": 70.0}, "warning is 70, guard.toml says 75"),
        ({"critical_percent": 95.0}, "critical is 95, guard.toml says 90"),
        ({"proxy": Door(DoorName.PROXY, "p", 5432, "g")}, "the proxy is p:5432 as g, guard.toml"),
    ],
)
def test_settings_that_differ_from_guard_toml_are_deployed_again(
    changes: dict[str, Any], difference: str
) -> None:
    check = settings_check(DATABASE, **changes)

    assert check.detail.startswith(f"deploy again: {difference}")
    assert check.remedy == ("make deploy",)


def test_a_proxy_is_compared_as_far_as_guard_toml_names_it() -> None:
    host = an_existing_proxy().host
    made = Door(DoorName.PROXY, "made.proxy-x", 5432, "connection_guard")
    named = Door(DoorName.PROXY, host, 5432, "connection_guard")

    assert is_ok(settings_check(a_database(proxy=a_new_proxy()), proxy=made))
    assert is_finding(settings_check(a_database(proxy=a_new_proxy())))
    assert is_ok(settings_check(a_database(proxy=an_existing_proxy()), proxy=named))
    assert is_finding(settings_check(a_database(proxy=an_existing_proxy()), proxy=made))


def test_settings_of_another_version_are_deployed_again() -> None:
    [check] = check_responder_settings(a_function(settings=None), DATABASE, REGION)
    assert is_finding(check)


@pytest.mark.parametrize(
    ("seconds", "is_well"), [(0, True), (90, True), (240, True), (241, False), (7200, False)]
)
def test_a_heartbeat_is_minutes_old_at_most(seconds: int, is_well: bool) -> None:
    check = check_heartbeat(NOW - timedelta(seconds=seconds), a_function(), NOW)

    assert is_ok(check) == is_well
    assert check.remedy == (
        ()
        if is_well
        else ("aws logs tail /connection-guard/Guard --since 15m | grep -F 'guard-orders['",)
    )


def test_no_heartbeat_at_all_is_a_finding() -> None:
    assert is_finding(check_heartbeat(None, None, NOW))
    assert is_unchecked(check_heartbeat(Unknown("denied"), None, NOW))


def test_messages_that_nobody_could_read_are_sent_again_and_others_are_read() -> None:
    queues = (
        DeadLetterCount(f"{QUEUES}/unreadable", 2),
        DeadLetterCount(f"{QUEUES}/alarms", 1),
        DeadLetterCount(f"{QUEUES}/emails", 0),
    )
    check = check_queues(queues, a_function(settings=reporter_settings()))

    assert is_finding(check)
    assert check.detail == "2 messages in unreadable, 1 message in alarms"
    assert check.remedy == (
        "connection-guard redrive",
        f"aws sqs receive-message --queue-url {QUEUES}/alarms",
    )
    assert is_unchecked(check_queues(Unknown("denied"), None))
