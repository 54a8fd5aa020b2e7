"""A snapshot of sessions that all wait for one lock, and the Report on them."""

import json
import time
from typing import Any

from benchmarks.finding import BenchmarkError, Finding, absolute, compared, seconds
from benchmarks.scene.crowd import close, open_sessions, send, wait_for_answers
from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from connection_guard.adapters.postgresql.observe import measure, take_snapshot
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.guarded import GUARD, Guarded, create_guard_role

SESSIONS = 1_000
MOST_KILOBYTES = 200

# A thousand sessions that begin to wait at once also look for a deadlock at once, one after the
# other and with all locks locked: for many seconds the server answers nobody.
SETTINGS: dict[str, str | int] = {"max_connections": SESSIONS + 10, "deadlock_timeout": "10min"}

SETUP = """
CREATE ROLE app LOGIN;
CREATE TABLE stock (item int);
INSERT INTO stock VALUES (1);
GRANT ALL ON stock TO app;
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def measure_snapshot(rounds: int) -> list[Finding]:
    """Measure a snapshot of the same sessions idle, then waiting for a row that another session has
    locked; and the size of the Report on those that wait.
    """
    with EmbeddedPostgres(postgres_binaries.installed(18), SETTINGS) as postgres:
        server = PostgresServer(postgres)
        create_guard_role(server)
        server.execute(SETUP)
        guarded = Guarded(server)
        guard = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
        sessions = open_sessions(server, SESSIONS)
        [holder] = open_sessions(server, 1)
        idle = _snapshots(guard, rounds)
        send([holder], "BEGIN; UPDATE stock SET item = 2")
        wait_for_answers([holder])
        send(sessions, "UPDATE stock SET item = 3")
        wait_until(
            lambda: (
                [each.connection.poll() for each in sessions]
                and server.execute(WAITING) == [(SESSIONS,)]
            )
        )
        waiting = _snapshots(guard, rounds)
        guard.close()
        report = guarded.deliver()
        close([holder, *sessions])
        server.close_connections()
    what = f"snapshot of {SESSIONS:,} sessions"
    return [
        compared(f"{what} that wait for one lock, against idle ones", waiting, idle, at_most=2),
        _size(report),
    ]


def _snapshots(guard: GuardSession, rounds: int) -> list[float]:
    return [seconds(lambda: take_snapshot(guard, measure(guard, [GUARD]))) for _ in range(rounds)]


def _size(report: dict[str, Any]) -> Finding:
    cause, omitted = report["diagnoses"][0]["cause"], report["evidence"]["omitted"]
    if (cause, omitted) != ("blocking chain", 0):
        raise BenchmarkError(
            f"snapshot: the report names {cause}, not blocking chain, or omits sessions: {omitted}"
        )
    kilobytes = len(json.dumps(report).encode()) / 1000
    return absolute(
        f"report on {SESSIONS:,} that wait, none omitted", kilobytes, " kB", at_most=MOST_KILOBYTES
    )
