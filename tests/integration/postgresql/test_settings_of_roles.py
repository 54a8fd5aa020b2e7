"""With any setting of the guard's role, its database or the server, the guard gets in and sees the
same.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest

from connection_guard.adapters.postgresql.guard_session import open_session
from connection_guard.adapters.postgresql.observe import measure, take_snapshot
from connection_guard.core.database.session import Session
from connection_guard.core.database.snapshot import Measurement
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.builders import a_heartbeat_event, a_policy
from tests.support.guarded import GUARD, Guarded, create_guard_role, fill

# A library that is not there keeps everybody out whom it is set for, and a role whose activities
# are not tracked shows no state of its own: nobody but the guard is harmed by that.
BEYOND_THE_GUARD = ("local_preload_libraries", "session_preload_libraries", "track_activities")


def look(guarded: Guarded) -> tuple[Measurement, list[Session]]:
    """The measurement, and the sessions of the application."""
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
    try:
        measurement = measure(session, [GUARD])
        sessions = take_snapshot(session, measurement).sessions
        return measurement, sorted(
            (each for each in sessions if each.role == "büro"), key=lambda each: each.pid
        )
    finally:
        session.close()


def possible_values(server: PostgresServer) -> Iterator[tuple[str, str]]:
    """The bounds, or each value, of every setting that a role can be given; of a free text one that
    is nonsense.
    """
    settings = server.execute(
        "SELECT name, vartype, min_val, max_val, enumvals FROM pg_settings WHERE context IN "
        "('user', 'superuser') AND name <> ALL (%s)",
        (list(BEYOND_THE_GUARD),),
    )
    for name, kind, least, most, choices in settings:
        match kind:
            case "bool":
                values = ["on", "off"]
            case "enum":
                values = choices
            case "integer" | "real":
                values = [least, most]
            case _:
                values = ["nonsense"]
        yield from ((name, value) for value in values)
    yield from (
        ("client_encoding", encoding)
        for encoding in ("LATIN1", "EUC_JP", "SJIS", "WIN1251", "SQL_ASCII")
    )
    yield from (("datestyle", style) for style in ("German", "SQL, DMY", "Postgres"))
    yield from (("timezone", "Asia/Kolkata"), ("search_path", '"ü"'), ("role", "büro"))
    yield from (("rds.rds_reserved_connections", value) for value in ("many", "-5", "99999999999"))


def test_no_setting_of_the_guards_role_changes_what_it_sees(server: PostgresServer) -> None:
    create_guard_role(server)
    server.execute('CREATE ROLE "büro" LOGIN CONNECTION LIMIT 9')
    server.execute(f'GRANT "büro" TO {GUARD}')
    clients = [server.connect("büro") for _ in range(3)]
    clients[0].cursor().execute('BEGIN; SELECT 1 AS "😀"')
    guarded = Guarded(server)
    expected, sessions = look(guarded)
    assert [session.query for session in sessions] == ['BEGIN; SELECT ? AS "😀"', "", ""]
    tried = 0
    for name, value in possible_values(server):
        try:
            server.execute(f"ALTER ROLE {GUARD} SET {name} = %s", (value,))
        except psycopg2.Error:
            continue  # it is no value of this setting
        tried += 1
        measurement, seen = look(guarded)
        assert seen == sessions, (name, value)
        for what in ("role", "capacity", "limits", "server", "privileges"):
            assert getattr(measurement, what) == getattr(expected, what), (name, value)
        server.execute(f"ALTER ROLE {GUARD} RESET ALL")
    assert tried > 300


@contextmanager
def a_serializable_writer(server: PostgresServer) -> Iterator[None]:
    """A transaction that keeps deferrable ones waiting for a safe snapshot."""
    server.execute("CREATE TABLE stock (item int); INSERT INTO stock VALUES (1)")
    writer = server.connect().cursor()
    writer.execute(
        "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM stock; UPDATE stock SET item = 2"
    )
    yield
    writer.execute("ROLLBACK")


@contextmanager
def altered(server: PostgresServer, what: str, settings: dict[str, str]) -> Iterator[None]:
    """The role or database with these settings."""
    for name, value in settings.items():
        server.execute(f"ALTER {what} SET {name} = %s", (value,))
    yield
    server.execute(f"ALTER {what} RESET ALL")


@pytest.mark.parametrize("of", [f"ROLE {GUARD}", "DATABASE postgres"])
def test_hostile_settings_together_keep_it_neither_out_nor_from_its_work(
    server: PostgresServer, of: str
) -> None:
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    server.execute(f"GRANT app TO {GUARD}")
    server.execute(f"REVOKE pg_monitor FROM {GUARD}")
    guarded = Guarded(server, a_policy(target_percent=50))
    hostile = {
        "client_encoding": "LATIN1",
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
        "default_transaction_read_only": "on",
        "rds.rds_superuser_reserved_connections": "a placeholder",
        "statement_timeout": "200ms",
        "lock_timeout": "1ms",
        "standard_conforming_strings": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "work_mem": "64kB",
        "jit_above_cost": "0",
        **({"role": "app"} if of.startswith("ROLE") else {}),
    }
    server.connect("app").cursor().execute('SELECT 1 AS "😀"')
    with a_serializable_writer(server), altered(server, of, hostile):
        report = guarded.deliver(a_heartbeat_event())
        assert report["kind"] == "preflight_failed", report["headline"]
        assert f'GRANT pg_read_all_stats TO "{GUARD}"' in report["escalation"], (
            "not to the role that it is set to"
        )

        server.execute(f"GRANT pg_monitor TO {GUARD}")
        fill(server, role="app")
        report = guarded.deliver()
        assert report["kind"] == "remediation", report["headline"]
        assert report["recovered"]
