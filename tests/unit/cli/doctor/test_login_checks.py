"""What a login shows, as the doctor judges it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connection_guard.adapters.postgresql.examination.examine import GuardRole
from connection_guard.adapters.postgresql.examination.login_refusals import LoginRefusal
from connection_guard.cli.access.login_options import Login
from connection_guard.cli.doctor.doors.login_checks import (
    check_guard,
    check_identity,
    check_login,
    check_roles,
    check_same_server,
    check_visibility,
    check_writer,
)
from connection_guard.cli.doctor.facts.check import Check, Unknown, has_finding
from connection_guard.cli.doctor.facts.door_facts import LoginFacts
from connection_guard.configuration.guard.guard_configuration import ProxyAuthentication
from connection_guard.core.database.door import DoorName
from tests.support.builders import a_measurement, a_server
from tests.support.cli.doctor_facts import (
    a_door,
    a_guard_role,
    a_login,
    an_access,
    is_finding,
    is_ok,
    is_unchecked,
)
from tests.support.configurations import ACCOUNT, REGION, a_database, an_existing_proxy

ACCESS = an_access()
BY_PASSWORD = an_access(login=Login(dbname="postgres"))
PROXY_ROLE = "connection_guard_proxy"
USER = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:db-ORDERS/connection_guard"


def refused(refusal: LoginRefusal | None) -> LoginFacts:
    return LoginFacts(a_door(), error="FATAL:  no", refusal=refusal)


def check_of(name: str, role: GuardRole, **login: Any) -> Check:
    checks = check_roles(a_login(role, **login), ACCESS)
    [check] = [each for each in checks if each.check == f"{name} ({role.name})"]
    return check


def test_a_guard_with_all_that_it_needs_has_no_finding() -> None:
    login = a_login()
    with_reserve = replace(login, measurement=a_measurement())
    checks = [check_login(login, ACCESS), check_writer(login, None)]

    assert all(map(is_ok, checks))
    # The builder's server keeps no reserve: that is the one finding of what the role may do.
    assert [each.check for each in check_guard(with_reserve, ACCESS) if is_finding(each)] == [
        "reserve (connection_guard)"
    ]


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        (LoginRefusal.FULL, "connection-guard plan orders --user MASTER"),
        (LoginRefusal.ROLE_LIMIT, 'ALTER ROLE "connection_guard" CONNECTION LIMIT -1;'),
        (LoginRefusal.DATABASE_LIMIT, 'ALTER DATABASE "postgres" CONNECTION LIMIT -1;'),
        (LoginRefusal.PASSWORD, 'GRANT rds_iam TO "connection_guard";'),
        (LoginRefusal.NOT_ADMITTED, 'GRANT rds_iam TO "connection_guard";'),
        (LoginRefusal.NO_LOGIN, 'ALTER ROLE "connection_guard" LOGIN;'),
        (LoginRefusal.NO_DATABASE, "SELECT datname FROM pg_database WHERE datallowconn;"),
        (
            LoginRefusal.NO_CONNECT,
            'GRANT CONNECT ON DATABASE "postgres" TO "connection_guard";',
        ),
        (
            LoginRefusal.TOKEN,
            f"aws sts get-caller-identity  # it needs rds-db:connect on {USER}",
        ),
        (LoginRefusal.CANCELLED, "ALTER ROLE \"connection_guard\" SET statement_timeout = '5s';"),
    ],
)
def test_each_refusal_has_its_own_remedy(refusal: LoginRefusal, remedy: str) -> None:
    check = check_login(refused(refusal), ACCESS)

    assert is_finding(check)
    assert check.detail == f"{refusal}: FATAL: no"
    assert check.remedy == (remedy,)


def test_a_role_that_is_missing_is_made_by_the_bootstrap() -> None:
    [remedy] = check_login(refused(LoginRefusal.NO_ROLE), ACCESS).remedy
    assert remedy.startswith(f'psql "host={ACCESS.door.host} port=5432 dbname=postgres ')
    assert remedy.endswith("-v guard_role=connection_guard -f bootstrap/bootstrap.sql")


def test_a_password_that_is_refused_is_given_anew() -> None:
    [remedy] = check_login(refused(LoginRefusal.PASSWORD), BY_PASSWORD).remedy
    assert remedy == "read -rs PGPASSWORD; export PGPASSWORD"


@pytest.mark.parametrize("refusal", [*LoginRefusal, None])
def test_every_refusal_is_a_finding(refusal: LoginRefusal | None) -> None:
    assert is_finding(check_login(refused(refusal), ACCESS))
    assert is_finding(check_login(refused(refusal), BY_PASSWORD))


def test_a_hostile_database_name_stays_a_name() -> None:
    access = an_access(login=Login(dbname='x"; DROP ROLE "a'))
    [remedy] = check_login(refused(LoginRefusal.DATABASE_LIMIT), access).remedy
    assert remedy == 'ALTER DATABASE "x""; DROP ROLE ""a" CONNECTION LIMIT -1;'


def test_a_login_that_was_not_tried_is_no_finding() -> None:
    login = LoginFacts(a_door(), obstacle="TLS failed")
    assert is_unchecked(check_login(login, ACCESS))
    assert all(map(is_unchecked, check_guard(login, ACCESS)))


def test_a_standby_is_a_finding() -> None:
    login = a_login(measurement=a_measurement(server=a_server(is_in_recovery=True)))
    writer = check_writer(login, a_database())

    assert is_finding(writer)
    assert writer.remedy[0].startswith("aws rds describe-db-instances --db-instance-identifier o")


def test_two_doors_to_two_servers_are_a_finding() -> None:
    direct, proxy = a_login(), a_login(door=a_door(DoorName.PROXY))
    other = a_server(started_at=a_server().started_at - timedelta(days=1))

    assert is_ok(check_same_server(proxy, direct))
    elsewhere = replace(proxy, measurement=a_measurement(server=other))
    assert is_finding(check_same_server(elsewhere, direct))
    assert is_unchecked(check_same_server(refused(None), direct))


def test_another_role_that_logs_in_is_named() -> None:
    login = a_login(measurement=replace(a_measurement(), role="master"))

    assert is_ok(check_identity(a_login(), ACCESS))
    check = check_identity(login, ACCESS)
    assert is_unchecked(check)
    assert check.detail.startswith('logged in as "master"; ')
    assert is_unchecked(check_visibility(login, ACCESS))


@pytest.mark.parametrize(
    ("name", "role", "remedy"),
    [
        ("existence", a_guard_role(can_log_in=False), 'ALTER ROLE "connection_guard" LOGIN;'),
        (
            "existence",
            a_guard_role(connection_limit=3),
            'ALTER ROLE "connection_guard" CONNECTION LIMIT -1;',
        ),
        ("rds_iam", a_guard_role(has_rds_iam=False), 'GRANT rds_iam TO "connection_guard";'),
        (
            "grants",
            a_guard_role(reads_all_stats=False),
            'GRANT pg_read_all_stats TO "connection_guard";',
        ),
        (
            "grants",
            a_guard_role(signals_sessions=False),
            'GRANT pg_signal_backend TO "connection_guard";',
        ),
        (
            "reserve",
            a_guard_role(uses_reserved_connections=False),
            'GRANT pg_use_reserved_connections TO "connection_guard";',
        ),
    ],
)
def test_what_a_role_lacks_is_a_finding_with_its_statement(
    name: str, role: GuardRole, remedy: str
) -> None:
    check = check_of(name, role)

    assert is_finding(check)
    assert check.remedy[0] == remedy


@pytest.mark.parametrize("limit", [-1, 4])
def test_a_role_without_a_narrow_limit_is_well(limit: int) -> None:
    assert is_ok(check_of("existence", a_guard_role(connection_limit=limit)))


def test_a_role_that_does_not_exist_is_one_finding() -> None:
    missing = a_guard_role(is_there=False, can_log_in=False, has_rds_iam=None)
    [check] = check_roles(a_login(missing), ACCESS)
    assert is_finding(check)
    assert "bootstrap.sql" in check.remedy[0]


def test_the_role_of_a_proxy_with_a_secret_must_not_have_rds_iam() -> None:
    proxy = an_existing_proxy(authentication=ProxyAuthentication.SECRETS, role=PROXY_ROLE)
    access = an_access(a_database(proxy=proxy))
    roles = [a_guard_role(name=PROXY_ROLE, has_rds_iam=has) for has in (True, False)]

    with_it, without = (
        next(each for each in check_roles(a_login(role), access) if "rds_iam" in each.check)
        for role in roles
    )

    assert with_it.remedy == (f'REVOKE rds_iam FROM "{PROXY_ROLE}";',)
    assert is_ok(without)


def test_a_server_that_is_not_amazons_has_no_rds_iam_to_check() -> None:
    assert is_unchecked(check_of("rds_iam", a_guard_role(has_rds_iam=None)))


def test_before_16_the_guard_depends_on_its_seat() -> None:
    measurement = a_measurement(server=a_server(version="14.19"))
    role = a_guard_role(uses_reserved_connections=None)
    check = check_of("reserve", role, measurement=measurement)

    assert is_ok(check)
    assert check.detail.endswith("the guard depends on its seat")


def test_hidden_sessions_are_a_finding() -> None:
    hidden = a_login(measurement=a_measurement(used=3, states={"hidden": 2, "active": 1}))
    alone = a_login(measurement=a_measurement(used=1, states={"active": 1}))

    check = check_visibility(hidden, ACCESS)
    assert check.detail == "the state of 2 sessions is hidden from the guard"
    assert check.remedy == ('GRANT pg_read_all_stats TO "connection_guard";',)
    assert is_ok(check_visibility(alone, ACCESS))


def test_a_server_that_does_not_answer_a_question_leaves_the_rest() -> None:
    login = a_login(examination=Unknown("guard_roles: no answer in time"))
    checks = check_guard(login, ACCESS)

    assert not has_finding(checks)
    assert [each.detail for each in checks if each.check == "privileges"] == [
        "guard_roles: no answer in time"
    ]
