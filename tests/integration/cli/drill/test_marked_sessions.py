"""A drill's sessions on real servers: marked, noticed when they end, and never forgotten."""

import subprocess
import sys
from datetime import timedelta

import psycopg2
from psycopg2.extensions import connection

from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.access.login_options import Login
from connection_guard.cli.drill.filling import APPLICATION
from connection_guard.cli.drill.marked_sessions import GRACE, OTHER_FILES, MarkedSessions
from connection_guard.core.database.door import Door, DoorName
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.builders import a_policy
from tests.support.cli.running import environment_of
from tests.support.guarded import GUARD

PERMITTING = """
import resource
from connection_guard.cli.drill.marked_sessions import permit_sockets
permit_sockets(200)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
try:
    permit_sockets(201)
except Exception as error:
    print(error)
"""
MARKED = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND state = 'idle'"


def opened(server: PostgresServer, count: int, limit: timedelta) -> MarkedSessions:
    """Return sessions of the role app."""

    def connect(door: Door) -> connection:
        return psycopg2.connect(
            host=door.host, port=door.port, user=door.role, dbname="postgres", async_=True
        )

    door = Door(DoorName.DIRECT, server.host, server.port, "app")
    access = DatabaseAccess("orders", door, connect, Login(), (GUARD,), 75, 90, a_policy())
    sessions = MarkedSessions(access, limit)
    for _ in range(count):
        sessions.open_one()
    return sessions


def marked(server: PostgresServer) -> list[int]:
    return [pid for (pid,) in server.execute(MARKED, (APPLICATION,))]


def test_the_end_of_each_is_noticed_and_the_others_are_closed(database: PostgresServer) -> None:
    sessions = opened(database, 4, timedelta(minutes=5))
    assert wait_until(lambda: len(marked(database)) == 4)
    assert (sessions.opened, sessions.held, sessions.ended) == (4, 4, 0)

    for pid in marked(database)[:2]:
        database.execute("SELECT pg_terminate_backend(%s)", (pid,))
    wait_until(lambda: sessions.wait(0.1) or sessions.ended == 2)  # type: ignore[func-returns-value]

    assert sessions.held == 2
    assert sessions.first_end is not None
    sessions.close()
    assert (sessions.opened, sessions.held, sessions.ended) == (4, 0, 2)
    wait_until(lambda: not marked(database))


def test_a_drill_may_open_as_many_files_as_the_shells_hard_limit_permits() -> None:
    limits = "ulimit -Sn 150; ulimit -Hn 300; exec"
    ran = subprocess.run(
        ["/bin/sh", "-c", f'{limits} "$0" -c "$1"', sys.executable, PERMITTING],
        env=environment_of(None),
        capture_output=True,
        text=True,
        check=True,
    )

    permitted, refused = ran.stdout.splitlines()
    assert int(permitted) == 200 + OTHER_FILES
    assert refused.startswith("the drill needs 301 open files, and the shell permits only 300")


def test_the_server_itself_ends_those_that_a_drill_has_forgotten(database: PostgresServer) -> None:
    sessions = opened(database, 2, timedelta(seconds=1) - GRACE)

    wait_until(lambda: not marked(database), seconds=10)

    def all_have_ended() -> bool:
        sessions.wait(1)
        return sessions.ended == 2

    wait_until(all_have_ended)
