"""The responder's way through each door, as the doctor goes it."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection

from connection_guard.adapters.postgresql.examination.login_refusals import LoginRefusal
from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.doctor.doors.door_visit import log_in_at, visit
from connection_guard.cli.doctor.facts.check import Unknown
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.database.door import Door, DoorName
from doubles.aws.rds_proxy_double import RdsProxyDouble
from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import NEWEST
from tests.support.cli.doctor_facts import an_access
from tests.support.cli.running import COMMAND, ROOT
from tests.support.guarded import GUARD, fill


def access_to(server: PostgresServer) -> DatabaseAccess:
    def connect(door: Door) -> connection:
        return psycopg2.connect(
            host=door.host, port=door.port, user=door.role, dbname="postgres", async_=True
        )

    door = Door(DoorName.DIRECT, server.host, server.port, GUARD)
    return an_access(door=door, connect=connect, roots=None)


def test_both_doors_lead_to_the_same_server(database: PostgresServer) -> None:
    access = access_to(database)
    with RdsProxyDouble((database.host, database.port)) as proxy:
        through = log_in_at(access, Door(DoorName.PROXY, proxy.host, proxy.port, GUARD))
    direct = log_in_at(access, access.door)

    assert through.measurement is not None
    assert direct.measurement is not None
    assert through.measurement.server.started_at == direct.measurement.server.started_at
    assert not isinstance(through.examination, Unknown)
    assert not isinstance(direct.examination, Unknown)
    assert through.examination.roles == direct.examination.roles
    assert not direct.clock_offset


@NEWEST
def test_a_proxy_that_waits_is_left_after_its_time(database: PostgresServer) -> None:
    fill(database)
    with RdsProxyDouble((database.host, database.port)) as proxy:
        database.execute(f"REVOKE pg_use_reserved_connections FROM {GUARD}")
        started = time.monotonic()
        login = log_in_at(access_to(database), Door(DoorName.PROXY, proxy.host, proxy.port, GUARD))

    assert time.monotonic() - started < 5
    assert login.refusal is LoginRefusal.LATE


@NEWEST
def test_a_full_server_is_called_that(database: PostgresServer) -> None:
    database.execute(f"REVOKE pg_use_reserved_connections FROM {GUARD}")
    fill(database, role="app")
    access = access_to(database)

    assert log_in_at(access, access.door).refusal is LoginRefusal.FULL


@NEWEST
def test_nobody_is_disturbed_and_nothing_is_left(database: PostgresServer) -> None:
    """The session that looks like a stale seat of the guard's lives on."""
    seat = database.connect(GUARD, application_name="connection-guard direct")
    before = database.execute("SELECT pid FROM pg_stat_activity WHERE usename = %s", (GUARD,))

    facts = visit(access_to(database), access_to(database).door)

    assert facts.login.measurement is not None
    assert not seat.closed
    left = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND pid <> %s"
    deadline = time.monotonic() + 10
    while database.execute(left, (GUARD, before[0][0])) != [(0,)]:
        assert time.monotonic() < deadline
    assert database.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_without_anything_to_sign_a_token_with_no_login_is_tried() -> None:
    def connect(_: Door) -> connection:
        raise UserMistakeError("AWS credentials are missing")

    access = an_access(connect=connect)
    assert log_in_at(access, access.door).obstacle == "AWS credentials are missing"


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        path = f"{ROOT / 'lambdas'}:{ROOT / 'infra'}:{ROOT}"
        process = subprocess.Popen(
            [*COMMAND, "doctor", "--host", place],
            env={**os.environ, "PYTHONPATH": path},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        listener.settimeout(30)
        stream, _ = listener.accept()
        with stream:
            stream.recv(8)  # the server is asked for TLS, and says nothing
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=10)

    assert (process.returncode, output) == (130, "")
    assert errors == "connection-guard: interrupted\n"


def test_nobody_logs_in_where_the_way_has_an_obstacle() -> None:
    access = an_access(door=Door(DoorName.DIRECT, "nobody.invalid", 5432, GUARD))
    assert visit(access, access.door).login.obstacle == "the host's name was not resolved"
