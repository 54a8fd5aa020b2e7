"""The database behind the doors, as the doctor judges it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connection_guard.adapters.postgresql.examination.examine import Examination, SettingOfRole
from connection_guard.cli.doctor.doors.server_checks import (
    check_clock,
    check_connections,
    check_estimate,
    check_paused,
    check_server,
    check_settings,
    check_thresholds,
    check_timeouts,
    check_usage,
    check_version,
)
from connection_guard.cli.doctor.facts.check import Unknown, has_finding
from connection_guard.cli.doctor.facts.door_facts import LoginFacts
from connection_guard.configuration.max_connections.estimate import MOST_RESERVED, Estimate
from connection_guard.core.database.pause import Pause
from tests.support.builders import a_capacity, a_measurement, a_server
from tests.support.cli.doctor_facts import (
    GUARD,
    a_door,
    a_guard_role,
    a_login,
    an_access,
    is_finding,
    is_ok,
    is_unchecked,
)
from tests.support.configurations import a_database

ACCESS = an_access()


def examined(*settings: SettingOfRole, **timeouts: float) -> LoginFacts:
    spans = {name: timedelta(seconds=seconds) for name, seconds in timeouts.items()}
    return a_login(examination=Examination((a_guard_role(),), settings, spans))


def a_setting(name: str, value: str | None = "1", **changes: Any) -> SettingOfRole:
    facts: dict[str, Any] = {"role": GUARD, "database": "", "is_overridden": True}
    return SettingOfRole(name=name, value=value, **(facts | changes))


def test_a_database_as_guard_toml_describes_it_has_no_finding() -> None:
    checks = check_server(a_login(), ACCESS)
    assert not has_finding(checks)
    assert len(checks) == 10


def test_where_nobody_got_in_only_the_policy_is_known() -> None:
    unknown, policy = check_server(LoginFacts(a_door(), obstacle="TLS failed"), ACCESS)
    assert is_unchecked(unknown)
    assert policy.detail == "observe at warning, enforce at critical"


@pytest.mark.parametrize(
    ("version", "is_well"),
    [("13.22", False), ("14.0", True), ("16.4", True), ("18.1", True), ("19beta1", False)],
)
def test_a_version_is_one_of_those_that_are_tested(version: str, is_well: bool) -> None:
    assert is_ok(check_version(a_measurement(server=a_server(version=version)))) == is_well


def test_every_reservation_is_named() -> None:
    capacity = a_capacity(79, superuser=3, reserved=2, rds_superuser=2, rds=2)
    check = check_connections(a_measurement(capacity=capacity))
    assert check.detail == (
        "max_connections 79 - 3 superuser_reserved_connections - 2 reserved_connections - 2 "
        "rds_superuser_reserved_connections - 2 rds_reserved_connections = 70 usable"
    )


def test_a_server_that_reserves_everything_is_a_finding() -> None:
    capacity = a_capacity(10, superuser=3, reserved=7)
    assert is_finding(check_connections(a_measurement(capacity=capacity)))


@pytest.mark.parametrize(
    ("estimate", "live", "is_well"),
    [(100, 100, True), (79, 100, True), (70, 100, True), (69, 100, False), (107, 100, False)],
)
def test_an_estimate_errs_low_and_not_by_much(estimate: int, live: int, is_well: bool) -> None:
    access = an_access(a_database(max_connections=Estimate(estimate, "", estimate - MOST_RESERVED)))
    check = check_estimate(a_measurement(capacity=a_capacity(live)), access)

    assert is_ok(check) == is_well
    assert check.remedy == (() if is_well else (f"max_connections = {live}  # in guard.toml",))


def test_without_guard_toml_nothing_is_estimated() -> None:
    assert is_unchecked(check_estimate(a_measurement(), an_access(configured=None)))


@pytest.mark.parametrize(("max_connections", "is_well"), [(100, True), (14, True), (12, False)])
def test_thresholds_leave_a_connection_to_act_with(max_connections: int, is_well: bool) -> None:
    measurement = a_measurement(capacity=a_capacity(max_connections))
    assert is_ok(check_thresholds(measurement, ACCESS)) == is_well


@pytest.mark.parametrize(("used", "is_well"), [(72, True), (73, False), (100, False)])
def test_a_shortage_is_a_finding(used: int, is_well: bool) -> None:
    check = check_usage(a_measurement(used=used), ACCESS)

    assert is_ok(check) == is_well
    assert check.remedy == (() if is_well else ("connection-guard plan orders",))


def test_settings_are_named_with_their_effect_and_no_secret() -> None:
    login = examined(
        a_setting("search_path", "evil"),
        a_setting("app.jwt_secret", None, role="", database="postgres", is_overridden=False),
    )
    check = check_settings(login)

    assert is_ok(check)
    assert check.detail == (
        "search_path: the guard's session overrides them; app.jwt_secret: without effect on the "
        "guard"
    )


@pytest.mark.parametrize(
    ("setting", "reset"),
    [
        (a_setting("jit"), 'ALTER ROLE "connection_guard" RESET "jit";'),
        (
            a_setting("jit", database='a"b'),
            'ALTER ROLE "connection_guard" IN DATABASE "a""b" RESET "jit";',
        ),
        (a_setting("jit", role="", database="db"), 'ALTER DATABASE "db" RESET "jit";'),
        (a_setting("jit", role=""), 'ALTER ROLE ALL RESET "jit";'),
    ],
)
def test_each_setting_can_be_reset_where_it_was_set(setting: SettingOfRole, reset: str) -> None:
    assert setting.reset == reset


@pytest.mark.parametrize("name", ["statement_timeout", "transaction_timeout"])
def test_a_timeout_that_ends_the_login_is_reset_where_it_was_set(name: str) -> None:
    check = check_timeouts(examined(a_setting(name), a_setting("jit"), **{name: 0.5}))

    assert is_finding(check)
    assert check.remedy == (f'ALTER ROLE "connection_guard" RESET "{name}";',)


def test_a_timeout_of_the_server_is_lengthened_for_the_guard() -> None:
    check = check_timeouts(examined(statement_timeout=0.5))
    assert check.remedy == ("ALTER ROLE \"connection_guard\" SET statement_timeout = '5s';",)


def test_other_timeouts_are_shown() -> None:
    check = check_timeouts(examined(statement_timeout=30, idle_session_timeout=0))
    assert is_ok(check)
    assert check.detail.endswith("statement_timeout 30 s, idle_session_timeout off")


@pytest.mark.parametrize(
    ("seconds", "is_well"), [(0, True), (5, True), (-5, True), (6, False), (-6, False)]
)
def test_a_clock_that_differs_is_a_finding(seconds: int, is_well: bool) -> None:
    login = replace(a_login(), clock_offset=timedelta(seconds=seconds))
    assert is_ok(check_clock(login)) == is_well


def test_a_paused_guard_is_a_finding() -> None:
    paused = replace(a_measurement(), pause=Pause())
    check = check_paused(a_login(), paused, ACCESS)

    assert check.remedy == ('REVOKE connection_guard_paused FROM "connection_guard";',)
    well = check_paused(a_login(), a_measurement(), ACCESS)
    assert is_ok(well)
    assert "expired" not in well.detail


def test_an_expired_pause_is_shown_and_is_no_finding() -> None:
    check = check_paused(a_login(a_guard_role(was_paused=True)), a_measurement(), ACCESS)

    assert is_ok(check)
    assert "a pause that has expired is left" in check.detail


def test_what_the_server_did_not_show_is_not_called_well() -> None:
    login = a_login(examination=Unknown("timeouts: no answer in time"))
    assert is_unchecked(check_settings(login))
    assert is_unchecked(check_timeouts(login))
