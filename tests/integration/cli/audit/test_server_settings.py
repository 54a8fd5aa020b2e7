"""What real servers of every version have set for roles, databases and themselves."""

from time import monotonic

import pytest

from connection_guard.adapters.postgresql.administration.server_settings import read_server_settings
from connection_guard.adapters.postgresql.guard_session import open_session
from connection_guard.core.database.login_role import LoginRole, ServerSettings, Timeout
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import NEWEST, WITH_RESERVED_CONNECTIONS
from tests.support.guarded import GUARD, Guarded


def read(server: PostgresServer, role: str = GUARD) -> ServerSettings:
    guarded = Guarded(server, direct_role=role)
    session = open_session(guarded.connect, guarded.settings.direct, monotonic() + 30)
    try:
        return read_server_settings(session, (GUARD,))
    finally:
        session.close()


def test_only_roles_that_applications_log_in_as_count(database: PostgresServer) -> None:
    database.execute(
        "CREATE ROLE mail LOGIN CONNECTION LIMIT 7; CREATE ROLE everybody; "
        "CREATE ROLE master LOGIN CREATEROLE; CREATE ROLE rdsadmin LOGIN; CREATE ROLE "
        '"ä\'b" LOGIN CONNECTION LIMIT 0'
    )
    database.connect("app")
    database.connect("app")
    assert read(database).roles == (
        LoginRole("app", None, 2),
        LoginRole("mail", 7, 0),
        LoginRole("ä'b", 0, 0),
    )


def test_only_timeouts_that_the_server_has_are_known(database: PostgresServer) -> None:
    version = database.connect().info.server_version // 10_000
    known = set(Timeout) if version >= 17 else set(Timeout) - {Timeout.TRANSACTION}
    assert read(database).timeouts.of_server == dict.fromkeys(known, False)


@pytest.mark.parametrize(
    ("value", "is_on"),
    [("0", False), ("'0s'", False), ("'0 min'", False), ("'5min'", True), ("300000", True)],
)
def test_what_alter_role_and_alter_database_say_is_read(
    database: PostgresServer, value: str, is_on: bool
) -> None:
    setting = f"SET idle_session_timeout = {value}"
    database.execute(f"ALTER ROLE app {setting}")
    database.execute(f"ALTER ROLE app IN DATABASE postgres {setting}")
    database.execute(f"ALTER DATABASE postgres {setting}")
    database.execute("ALTER ROLE app SET work_mem = '8MB'")

    timeouts = read(database).timeouts

    assert timeouts.of_roles == {
        (*who, Timeout.IDLE_SESSION): is_on
        for who in (("app", ""), ("app", "postgres"), ("", "postgres"))
    }


@NEWEST
def test_a_value_that_the_session_cannot_see_is_unknown(database: PostgresServer) -> None:
    database.execute(f"ALTER ROLE {GUARD} SET idle_session_timeout = '1min'")
    assert read(database).timeouts.of_server[Timeout.IDLE_SESSION] is None
    assert read(database, "postgres").timeouts.of_server[Timeout.IDLE_SESSION] is False


@NEWEST
def test_what_the_server_and_all_roles_have_is_on(database: PostgresServer) -> None:
    database.execute("ALTER SYSTEM SET idle_session_timeout = '1h'")
    database.execute("SELECT pg_reload_conf()")
    database.execute("ALTER ROLE ALL SET transaction_timeout = '1h'")
    try:
        wait_until(lambda: read(database).timeouts.of_server[Timeout.IDLE_SESSION] is True)
        timeouts = read(database).timeouts
        assert not timeouts.is_off(Timeout.IDLE_SESSION, "app", "postgres")
        assert not timeouts.is_off(Timeout.TRANSACTION, "app", "postgres")
        assert timeouts.is_off(Timeout.IDLE_IN_TRANSACTION, "app", "postgres")
    finally:
        database.execute("ALTER ROLE ALL RESET ALL")


def test_a_parameter_that_waits_for_a_restart_is_known(database: PostgresServer) -> None:
    assert read(database).pending_restart == {}
    database.execute("ALTER SYSTEM SET max_connections = 50")
    database.execute("SELECT pg_reload_conf()")
    wait_until(lambda: read(database).pending_restart == {"max_connections": "40"})


def test_limits_of_databases_are_known(database: PostgresServer) -> None:
    database.execute("CREATE DATABASE shop CONNECTION LIMIT 12")
    assert read(database).database_limits == {"shop": 12}


@WITH_RESERVED_CONNECTIONS
def test_who_may_use_the_reserve_is_known(database: PostgresServer) -> None:
    assert read(database).reserve_roles == {GUARD}
    database.execute(f"REVOKE pg_use_reserved_connections FROM {GUARD}")
    assert read(database).reserve_roles == frozenset()
