"""What only a person asks for, on real servers."""

import time
from datetime import timedelta

import pytest

from connection_guard.adapters.postgresql.examination.examine import (
    Examination,
    GuardRole,
    SettingOfRole,
    examine,
)
from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.guarded import GUARD, Guarded


def look(database: PostgresServer, *roles: str, role: str = GUARD) -> Examination:
    guarded = Guarded(database, direct_role=role)
    session: GuardSession = open_session(
        guarded.connect, guarded.settings.direct, time.monotonic() + 10
    )
    try:
        return examine(session, roles or (GUARD,), time.monotonic() + 10)
    finally:
        session.close()


@pytest.mark.parametrize("asked_by", [GUARD, "postgres", "app"])
def test_a_role_is_the_same_for_every_role_that_asks(
    database: PostgresServer, asked_by: str
) -> None:
    has_reserve = database.execute(
        "SELECT true FROM pg_roles WHERE rolname = 'pg_use_reserved_connections'"
    )
    assert look(database, role=asked_by).roles == (
        GuardRole(GUARD, True, True, -1, True, True, True if has_reserve else None, None, False),
    )


def test_a_role_that_is_not_there_is_seen_as_that(database: PostgresServer) -> None:
    names = ('no"body', "büro", GUARD)
    roles = look(database, *names).roles

    assert [(role.name, role.is_there) for role in roles] == [
        ('no"body', False),
        ("büro", False),
        (GUARD, True),
    ]


def test_what_was_taken_from_a_role_is_seen(database: PostgresServer) -> None:
    database.execute("CREATE ROLE rds_iam NOLOGIN")
    database.execute(f"REVOKE pg_monitor, pg_signal_backend FROM {GUARD}")
    database.execute(f"ALTER ROLE {GUARD} CONNECTION LIMIT 2")
    [role] = look(database, role="postgres").roles

    assert (role.reads_all_stats, role.signals_sessions) == (False, False)
    assert (role.connection_limit, role.has_rds_iam) == (2, False)
    database.execute(f"GRANT rds_iam TO {GUARD}")
    database.execute(f"ALTER ROLE {GUARD} NOLOGIN")
    [role] = look(database, role="postgres").roles
    assert (role.can_log_in, role.has_rds_iam) == (False, True)


def test_settings_of_the_role_and_its_database_are_seen_without_secrets(
    database: PostgresServer,
) -> None:
    database.execute("CREATE DATABASE other")
    for statement in (
        f"ALTER ROLE {GUARD} SET search_path = evil",
        f"ALTER ROLE {GUARD} SET \"TimeZone\" = 'Asia/Kolkata'",
        f"ALTER ROLE {GUARD} SET role = 'connection_guard'",
        f"ALTER ROLE {GUARD} IN DATABASE postgres SET statement_timeout = '9s'",
        "ALTER DATABASE postgres SET work_mem = '8MB'",
        "ALTER DATABASE postgres SET app.jwt_secret = 's3cret'",
        # None of the guard's
        "ALTER ROLE app SET search_path = theirs",
        f"ALTER ROLE {GUARD} IN DATABASE other SET search_path = elsewhere",
        f"ALTER ROLE {GUARD} SET application_name = 'connection-guard {{}}'",
    ):
        database.execute(statement)

    examination = look(database)

    assert set(examination.settings) == {
        SettingOfRole(GUARD, "", "search_path", "evil", True),
        SettingOfRole(GUARD, "", "TimeZone", "Asia/Kolkata", True),
        SettingOfRole(GUARD, "", "role", None, True),
        SettingOfRole(GUARD, "postgres", "statement_timeout", "9s", True),
        SettingOfRole("", "postgres", "work_mem", "8MB", False),
        SettingOfRole("", "postgres", "app.jwt_secret", None, False),
    }
    assert "s3cret" not in repr(examination)
    # The session has 5 s of its own, and began with these.
    assert examination.timeouts["statement_timeout"] == timedelta(seconds=9)


def test_the_statement_that_resets_a_setting_resets_it(database: PostgresServer) -> None:
    database.execute('CREATE DATABASE "a""b"')
    database.execute(f"ALTER ROLE {GUARD} SET statement_timeout = '1s'")
    database.execute(f"ALTER ROLE {GUARD} IN DATABASE postgres SET \"TimeZone\" = 'UTC'")
    database.execute("ALTER DATABASE postgres SET app.name = 'x'")
    database.execute("ALTER ROLE ALL SET jit = off")
    settings = look(database).settings
    assert len(settings) == 4

    for setting in settings:
        database.execute(setting.reset)

    assert look(database).settings == ()


def test_timeouts_that_the_server_has_are_seen(database: PostgresServer) -> None:
    ((version,),) = database.execute("SELECT current_setting('server_version_num')::int")
    timeouts = look(database).timeouts

    assert timeouts["authentication_timeout"] == timedelta(minutes=1)
    assert timeouts["idle_in_transaction_session_timeout"] == timedelta()
    assert ("transaction_timeout" in timeouts) == (version >= 170000)
