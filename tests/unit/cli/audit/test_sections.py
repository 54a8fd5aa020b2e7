"""What the audit finds, decided from plain values."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connection_guard.cli.audit.audit_facts import AuditFacts
from connection_guard.cli.audit.budget_section import services_above_budget
from connection_guard.cli.audit.session_sections import (
    long_idle_sessions,
    unnamed_sessions,
    unused_pools,
)
from connection_guard.cli.audit.setting_sections import (
    missing_timeouts,
    pending_parameters,
    unlimited_roles,
    unused_reserve,
)
from connection_guard.core.budget.service import Service
from connection_guard.core.database.login_role import (
    LoginRole,
    ServerSettings,
    Timeout,
    TimeoutSettings,
)
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.database.snapshot import Privileges
from tests.support.builders import a_capacity, a_session, a_snapshot

DAY = timedelta(days=1)
ALL_OFF = TimeoutSettings(dict.fromkeys(Timeout, False), {})
ALL_ON = TimeoutSettings(dict.fromkeys(Timeout, True), {})


def facts(
    *sessions: Session,
    roles: tuple[LoginRole, ...] = (),
    timeouts: TimeoutSettings = ALL_ON,
    usable: int = 97,
    services: tuple[Service, ...] = (),
    **settings: Any,
) -> AuditFacts:
    """Return what was seen of a server on which an hour is long."""
    known: dict[str, Any] = {
        "pending_restart": {},
        "database_limits": {},
        "reserve_roles": frozenset({"connection_guard"}),
    }
    return AuditFacts(
        a_snapshot(*sessions, usable=usable),
        ServerSettings(roles=roles, timeouts=timeouts, **(known | settings)),
        ("connection_guard",),
        timedelta(hours=1),
        services,
    )


def test_long_idle_sessions_are_grouped_most_first() -> None:
    found = long_idle_sessions(
        facts(
            a_session(application="cart", idle_for=timedelta(minutes=59)),
            a_session(application="cart", idle_for=timedelta(hours=1)),
            a_session(application="mail", idle_for=DAY),
            a_session(application="mail", idle_for=2 * DAY),
            a_session(application="mail", state=SessionState.IDLE_IN_TRANSACTION, idle_for=DAY),
            a_session(state=SessionState.ACTIVE, idle_for=DAY),
            a_session(state=None),
        )
    )

    assert [
        (row["application"], row["state"], row["sessions"], row["longest"]) for row in found.rows
    ] == [
        ("mail", "idle", 2, 2 * DAY),
        ("cart", "idle", 1, timedelta(hours=1)),
        ("mail", "idle in transaction", 1, DAY),
    ]


@pytest.mark.parametrize(
    "session",
    [
        a_session(idle_for=DAY, role="connection_guard"),
        a_session(idle_for=DAY, role="rdsadmin"),
        a_session(idle_for=DAY, proxied=True),
    ],
    ids=["guard", "Amazon", "RDS Proxy"],
)
def test_sessions_that_belong_to_no_application_are_none(session: Session) -> None:
    session = replace(session, application_name="")
    seen = facts(session, replace(session, pid=1))
    for section in (long_idle_sessions, unused_pools, unnamed_sessions):
        assert section(seen).rows == ()


def test_a_pool_is_unused_only_if_none_of_its_sessions_was_used() -> None:
    found = unused_pools(
        facts(
            a_session(application="cart", idle_for=DAY),
            a_session(application="cart", idle_for=timedelta(minutes=1)),
            a_session(application="mail", idle_for=DAY),
            a_session(application="mail", idle_for=2 * DAY),
            a_session(application="psql", idle_for=DAY),
        )
    )

    assert [(row["application"], row["sessions"], row["unused"]) for row in found.rows] == [
        ("mail", 2, DAY)
    ]


def test_sessions_without_a_name_are_counted_by_role_client_and_database() -> None:
    found = unnamed_sessions(
        facts(
            a_session(application=""),
            a_session(application=""),
            a_session(application="", client="10.0.1.11"),
            a_session(application="cart"),
        )
    )
    assert [(row["client"], row["sessions"]) for row in found.rows] == [
        ("10.0.1.10", 2),
        ("10.0.1.11", 1),
    ]


def test_roles_without_a_limit_get_one_that_they_do_not_exceed_now() -> None:
    found = unlimited_roles(
        facts(
            roles=(LoginRole("app", None, 90), LoginRole("mail", None, 0), LoginRole("x", 0, 0)),
            usable=100,
        )
    )
    assert [row["role"] for row in found.rows] == ["app", "mail"]
    assert found.statements == (
        'ALTER ROLE "app" CONNECTION LIMIT 90;',
        'ALTER ROLE "mail" CONNECTION LIMIT 80;',
    )


def test_each_timeout_that_is_off_has_its_statement() -> None:
    found = missing_timeouts(
        facts(
            a_session(role="app", database="shop"),
            a_session(role="app", database="mail"),
            roles=(LoginRole("app", 9, 2), LoginRole("night", 9, 0)),
            timeouts=TimeoutSettings(
                {Timeout.IDLE_SESSION: False, Timeout.IDLE_IN_TRANSACTION: False},
                {
                    ("app", "", Timeout.IDLE_IN_TRANSACTION): True,
                    ("app", "mail", Timeout.IDLE_SESSION): True,
                    ("night", "", Timeout.IDLE_IN_TRANSACTION): True,
                },
            ),
        )
    )
    assert found.rows == (
        {"role": "app", "timeout": "idle_session_timeout", "databases": "shop"},
        {"role": "night", "timeout": "idle_session_timeout", "databases": ""},
    )
    assert found.statements == (
        "ALTER ROLE \"app\" SET idle_session_timeout = '15min';",
        "ALTER ROLE \"night\" SET idle_session_timeout = '15min';",
    )


def test_every_timeout_has_a_statement() -> None:
    found = missing_timeouts(facts(roles=(LoginRole("app", 9, 0),), timeouts=ALL_OFF))
    assert all(
        f" SET {timeout} = " in line
        for timeout, line in zip(Timeout, found.statements, strict=True)
    )


def test_a_parameter_that_waits_has_the_value_in_force() -> None:
    found = pending_parameters(facts(pending_restart={"max_connections": "100"}))
    assert found.rows == ({"parameter": "max_connections", "value": "100"},)


@pytest.mark.parametrize(
    ("reserved", "reserve_roles", "needs", "statements"),
    [
        (2, {"connection_guard"}, [], ()),
        (0, {"connection_guard"}, ["2 or more, and a reboot"], ()),
        (
            2,
            {"app"},
            ["pg_use_reserved_connections"],
            ('GRANT pg_use_reserved_connections TO "connection_guard";',),
        ),
    ],
)
def test_a_reserve_that_the_guard_cannot_use_is_a_finding(
    reserved: int, reserve_roles: set[str], needs: list[str], statements: tuple[str, ...]
) -> None:
    seen = facts(reserve_roles=frozenset(reserve_roles))
    measurement = replace(seen.snapshot.measurement, capacity=a_capacity(reserved=reserved))
    seen = replace(seen, snapshot=replace(seen.snapshot, measurement=measurement))

    found = unused_reserve(seen)

    assert [row["needs"] for row in found.rows] == needs
    assert found.statements == statements


def test_a_server_that_has_no_reserve_is_no_finding() -> None:
    seen = facts(reserve_roles=frozenset())
    before_16 = Privileges(True, True, None)
    measurement = replace(seen.snapshot.measurement, privileges=before_16)
    found = unused_reserve(replace(seen, snapshot=replace(seen.snapshot, measurement=measurement)))
    assert (found.rows, found.statements) == ((), ())
    assert "Before PostgreSQL 16" in found.well


def a_service(name: str, pool_size: int | None, processes: int = 1) -> Service:
    return Service(name, "guard.toml", 1, 0, processes, pool_size)


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ((), {}),
        ((a_service("cart", 40), a_service("mail", 37)), {}),
        # 80 % of 97 are 77: the largest pool gives.
        ((a_service("cart", 60), a_service("mail", 20)), {"cart": (60, 0, 57)}),
        ((a_service("mail", 1),), {"mail": (1, 2, 1)}),
        ((a_service("mail", None),), {"mail": ("unknown", 2, "unknown")}),
        ((a_service("cart", 2, processes=80),), {"cart": (160, 0, 80)}),
    ],
)
def test_services_above_their_budget_are_found(
    services: tuple[Service, ...], expected: dict[str, tuple[Any, ...]]
) -> None:
    pods = a_session(application="mail-1"), a_session(application="mail-2")

    found = services_above_budget(facts(*pods, services=services))

    assert {
        row["service"]: (row["may_open"], row["open_now"], row["budget"]) for row in found.rows
    } == expected
    assert ("declares no" in found.well) == (not services)
