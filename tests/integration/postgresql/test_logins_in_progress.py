"""Clients that connect and do not log in hold slots, too, though no session shows them."""

import socket
import struct
from collections.abc import Callable, Iterator

import psycopg2
import pytest

from connection_guard.core.diagnosis.cause import Cause
from doubles.postgresql.embedded_postgres import TRUST
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import OwnPostgres
from tests.support.builders import a_heartbeat_event, a_policy, a_rule
from tests.support.guarded import GUARD, Guarded, can_log_in, create_guard_role

STARTUP = b"user\0app\0database\0postgres\0\0"
STARTUP_PACKET = struct.pack("!II", len(STARTUP) + 8, 196608) + STARTUP

Stall = Callable[..., list[socket.socket]]


@pytest.fixture
def stall() -> Iterator[Stall]:
    """Connects to a server, sends so much, and then nothing more."""
    opened: list[socket.socket] = []

    def stalled(
        server: PostgresServer, *, clients: int, sent: bytes = STARTUP_PACKET
    ) -> list[socket.socket]:
        for _ in range(clients):
            client = socket.create_connection((server.host, server.port))
            client.sendall(sent)
            opened.append(client)
        return opened[-clients:]

    yield stalled
    for client in opened:
        client.close()


def a_server_with_passwords(own_postgres: OwnPostgres, version: int) -> PostgresServer:
    server = own_postgres(version, hba=("host all app 127.0.0.0/8 scram-sha-256", TRUST))
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN PASSWORD 'known'; CREATE ROLE idler LOGIN")
    return server


@pytest.mark.parametrize("version", [14, 16, 18])
def test_logins_in_progress_count_as_used_and_are_what_the_report_names(
    own_postgres: OwnPostgres, stall: Stall, version: int
) -> None:
    server = a_server_with_passwords(own_postgres, version)
    guarded = Guarded(server, a_policy(a_rule(roles=("nobody",))))
    before = guarded.deliver(a_heartbeat_event())["before"]
    assert (before["used"], before["logins_in_progress"]) == (2, 0)

    stall(server, clients=40 - 2)

    # A login that tries whether the server is full would take a slot from one of these clients.
    in_transaction = "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'virtualxid'"
    wait_until(lambda: server.execute(in_transaction) == [(38 + 1,)])
    assert not can_log_in(server, "idler")
    report = guarded.deliver()
    assert (report["before"]["used"], report["recovered"]) == (40, False), (
        "the guard, the observer, and the others"
    )
    assert report["before"]["logins_in_progress"] == (38 if version < 18 else 0)
    assert report["before"]["sessions_by_state"].get("starting", 0) == (38 if version == 18 else 0)
    assert report["restraint"] == "nothing matches"
    if version < 18:
        assert "38 of them by logins in progress" in report["headline"]
    diagnosis = report["diagnoses"][0]
    assert (diagnosis["cause"], diagnosis["sessions"]) == (Cause.LOGINS_IN_PROGRESS, 38)
    assert "authentication_timeout" in diagnosis["advice"]


@pytest.mark.parametrize("version", [14, 16])
def test_idle_sessions_make_room_beside_logins_in_progress_and_no_more_than_the_rules_allow(
    own_postgres: OwnPostgres, stall: Stall, version: int
) -> None:
    server = a_server_with_passwords(own_postgres, version)
    guarded = Guarded(server, a_policy(a_rule(roles=("idler",)), target_percent=60, batch_size=2))
    guarded.deliver(a_heartbeat_event())
    for _ in range(10):
        server.connect("idler")
    stall(server, clients=17)

    count = "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'virtualxid'"
    wait_until(lambda: server.execute(count) >= [(18,)])
    report = guarded.deliver()

    usable = report["before"]["usable"]
    enough = -(-usable * 60 // 100) - 1
    assert report["before"]["used"] == 29
    assert report["outcomes"]["terminated"] == 29 - enough
    assert report["after"]["used"] == enough
    assert report["recovered"]


@pytest.mark.parametrize("version", [14, 16, 18])
def test_a_refused_login_says_that_the_server_is_full_even_if_fewer_sessions_are_seen(
    own_postgres: OwnPostgres, stall: Stall, version: int
) -> None:
    """Clients that send nothing at all hold no slot; but PostgreSQL starts no more than so many
    processes for them.
    """
    server = a_server_with_passwords(own_postgres, version)
    guarded = Guarded(server)
    idle = server.connect("idler")
    silent = stall(server, clients=250, sent=b"")
    wait_until(lambda: not can_log_in(server, GUARD))
    connect = guarded.connect

    def connect_and_let_go(door: object) -> psycopg2.extensions.connection:
        """The guard's second login finds room."""
        if len(guarded.logins) == 1:
            for client in silent:
                client.close()
            wait_until(lambda: can_log_in(server, GUARD))
        return connect(door)  # type: ignore[arg-type]

    guarded.responder._doors._connect = connect_and_let_go
    report = guarded.deliver()

    assert (report["before"]["refused_a_login"], report["before"]["utilisation"]) == (True, 100)
    assert (report["recovered"], report["restraint"]) == (False, "nothing matches")
    assert "a login was refused" in report["headline"]
    assert report["diagnoses"][0]["cause"] == Cause.LOGINS_IN_PROGRESS
    assert report["outcomes"]["terminated"] == 0
    assert server.has_session(idle.info.backend_pid), (
        "ending a session would have made no room for a login"
    )
    assert guarded.deliver(a_heartbeat_event())["before"]["refused_a_login"] is False


def test_a_limit_of_its_own_that_keeps_a_role_out_is_not_a_sign_of_a_full_server(
    own_postgres: OwnPostgres,
) -> None:
    server = a_server_with_passwords(own_postgres, 18)
    server.execute(f"ALTER ROLE {GUARD} CONNECTION LIMIT 0")
    guarded = Guarded(server)
    connect = guarded.connect

    def connect_and_lift(door: object) -> psycopg2.extensions.connection:
        if len(guarded.logins) == 1:
            server.execute(f"ALTER ROLE {GUARD} CONNECTION LIMIT -1")
        return connect(door)  # type: ignore[arg-type]

    guarded.responder._doors._connect = connect_and_lift
    report = guarded.deliver(a_heartbeat_event())

    assert report["doors"][0]["tries"] == 2
    assert report["before"]["refused_a_login"] is False
