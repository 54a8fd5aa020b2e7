"""The double of RDS Proxy behaves as AWS documents RDS Proxy to behave: other tests rest on
that.
"""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from io import StringIO
from typing import Any

import pg8000.native
import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812

from doubles.aws.rds_proxy_double import RdsProxyDouble
from doubles.aws.rds_proxy_pinning import pins
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import WAIT_SECONDS, wait_until
from tests.integration.conftest import OwnPostgres

PROXY_ADDRESS = "127.0.0.2"
DESCRIBE_MYSELF = """
    SELECT pg_backend_pid(), application_name, host(client_addr)
    FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""

# As they go over the wire: https://www.postgresql.org/docs/current/protocol-message-formats.html
SELECT_1 = b"Q\0\0\0\rSELECT 1\0"
SYNC = b"S\0\0\0\4"
PREPARE_SELECT_1 = b"P\0\0\0\x10\0SELECT 1\0\0\0" + SYNC
EXECUTE_PREPARED = b"B\0\0\0\x0c\0\0\0\0\0\0\0\0" + b"E\0\0\0\x09\0\0\0\0\0" + SYNC

StartProxy = Callable[..., RdsProxyDouble]


@pytest.fixture
def start_proxy(server: PostgresServer) -> Iterator[StartProxy]:
    with ExitStack() as stack:

        def start(**options: Any) -> RdsProxyDouble:
            options = {
                "connection_borrow_timeout": WAIT_SECONDS
            } | options  # a test that fails does not hang
            return stack.enter_context(RdsProxyDouble((server.host, server.port), **options))

        yield start


@pytest.fixture
def in_background() -> Iterator[Callable[..., Future[Any]]]:
    with ThreadPoolExecutor() as pool:
        yield pool.submit


def a_client(proxy: RdsProxyDouble, application_name: str = "app", **options: Any) -> Connection:
    client: Connection = psycopg2.connect(
        host=proxy.host,
        port=proxy.port,
        user="postgres",
        dbname="postgres",
        application_name=application_name,
        **options,
    )
    client.autocommit = True
    return client


def ask(client: Connection, statement: str) -> Any:
    with client.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if cursor.description else None


def backend_of(client: Connection) -> int:
    (pid,) = ask(client, "SELECT pg_backend_pid()")
    return int(pid)


def wire_of(client: Connection) -> socket.socket:
    """The client's own socket: psycopg2 hides the last words of a server that ends the session."""
    wire = socket.socket(fileno=os.dup(client.fileno()))
    wire.settimeout(WAIT_SECONDS)
    return wire


def last_words_to(client: Connection) -> bytes:
    """All that the client is sent until its connection is closed."""
    with wire_of(client) as wire:
        return b"".join(iter(lambda: wire.recv(4096), b""))


def connect_directly_until_full(server: PostgresServer) -> list[Connection]:
    """Sessions of an ordinary role in every slot that such roles can get."""
    sessions: list[Connection] = []
    while True:
        try:
            sessions.append(server.connect("app"))
        except psycopg2.OperationalError:
            return sessions


def test_clients_take_turns_on_one_server_connection(start_proxy: StartProxy) -> None:
    proxy = start_proxy(max_connections=1)
    first, second = a_client(proxy), a_client(proxy)

    described = {ask(client, DESCRIBE_MYSELF) for client in (first, second, first)}

    [(_, application_name, address)] = described
    assert (application_name, address) == ("app", PROXY_ADDRESS)
    assert (proxy.clients, proxy.server_connections, proxy.round_trips) == (2, 1, 3)


def test_a_transaction_keeps_the_server_connection_until_it_ends(
    start_proxy: StartProxy, in_background: Callable[..., Future[Any]]
) -> None:
    proxy = start_proxy(max_connections=1)
    first, second = a_client(proxy), a_client(proxy)
    ask(first, "BEGIN")

    waiting = in_background(backend_of, second)
    wait_until(lambda: proxy.queued == 1)
    assert not waiting.done()
    pid = backend_of(first)
    ask(first, "COMMIT")

    assert waiting.result() == pid
    assert proxy.queued == 0


def test_set_pins_the_server_connection_to_the_client_until_it_leaves(
    server: PostgresServer, start_proxy: StartProxy
) -> None:
    proxy = start_proxy()
    first, second = a_client(proxy), a_client(proxy)
    ask(first, "SET statement_timeout = '5s'")
    pinned = backend_of(first)

    assert backend_of(second) != pinned
    assert backend_of(first) == pinned
    assert ask(first, "SHOW statement_timeout") == ("5s",)
    assert ask(second, "SHOW statement_timeout") == ("0",)
    assert (proxy.pinned, proxy.server_connections) == (1, 2)

    first.close()

    wait_until(lambda: not server.has_session(pinned))
    assert (proxy.pinned, proxy.server_connections) == (0, 1)


@pytest.mark.parametrize(
    "sql",
    [
        "SET work_mem = '1MB'",
        "  -- why\n /* because */ set local work_mem = '1MB'",
        "SELECT 1; SET work_mem = '1MB'",
        "RESET ALL",
        "SELECT set_config('work_mem', '1MB', false)",
        "PREPARE p AS SELECT 1",
        "LISTEN jobs",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock_shared (1)",
        "CREATE TEMP TABLE t ()",
        "CREATE LOCAL TEMPORARY TABLE t ()",
        f"SELECT '{'x' * 16384}'",
    ],
)
def test_what_pins(sql: str) -> None:
    message = sql.encode() + b"\0"
    assert pins(b"Q\0\0\0\0" + message)
    assert pins(b"P\0\0\0\0\0" + message + b"\0\0")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "UPDATE t SET a = 1",
        "CREATE TABLE temp ()",
        "SELECT pg_advisory_xact_lock(1)",
        "SHOW work_mem",
        "SELECT setting FROM pg_settings",
    ],
)
def test_what_does_not_pin(sql: str) -> None:
    message = sql.encode() + b"\0"
    assert not pins(b"Q\0\0\0\0" + message)
    assert not pins(b"P\0\0\0\0\0" + message + b"\0\0")


def test_the_extended_protocol_passes_through_and_gives_the_server_connection_back(
    start_proxy: StartProxy,
) -> None:
    proxy = start_proxy(max_connections=1)
    one, other = (
        pg8000.native.Connection("postgres", host=proxy.host, port=proxy.port, database="postgres")
        for _ in range(2)
    )

    assert one.run("SELECT :number::int + 1", number=1) == [[2]]
    with pytest.raises(pg8000.native.DatabaseError, match="division by zero"):
        one.run("SELECT 1 / :number::int", number=0)

    assert other.run("SELECT :number::int + 1", number=2) == [[3]]
    assert (proxy.pinned, proxy.server_connections) == (0, 1)
    one.close()
    other.close()


def test_what_was_prepared_is_executed_on_the_same_server_connection(
    start_proxy: StartProxy, in_background: Callable[..., Future[Any]]
) -> None:
    proxy = start_proxy(max_connections=1)
    client, other = a_client(proxy), a_client(proxy)

    with wire_of(client) as wire:
        wire.sendall(PREPARE_SELECT_1)
        wait_until(lambda: proxy.round_trips == 1)
        waiting = in_background(backend_of, other)
        wait_until(lambda: proxy.queued == 1)
        wire.sendall(EXECUTE_PREPARED)

        assert waiting.result()


def test_copy_passes_through(start_proxy: StartProxy) -> None:
    proxy = start_proxy(max_connections=1)
    client, other = a_client(proxy), a_client(proxy)
    ask(client, "CREATE TABLE letters (letter text)")

    with client.cursor() as cursor:
        cursor.copy_expert("COPY letters FROM STDIN", StringIO("a\nb\n"))

    assert ask(other, "SELECT string_agg(letter, ' ' ORDER BY letter) FROM letters") == ("a b",)


def test_a_login_waits_for_a_slot_of_a_full_server(
    server: PostgresServer, start_proxy: StartProxy, in_background: Callable[..., Future[Any]]
) -> None:
    server.execute("CREATE ROLE app LOGIN")
    proxy = start_proxy()
    sessions = connect_directly_until_full(server)

    waiting = in_background(
        psycopg2.connect, host=proxy.host, port=proxy.port, user="app", dbname="postgres"
    )
    wait_until(lambda: proxy.queued == 1)
    assert not waiting.done()
    sessions[0].close()

    assert backend_of(waiting.result())
    assert proxy.queued == 0


def test_a_client_that_gives_up_waiting_leaves_the_queue_and_its_query_is_not_run(
    start_proxy: StartProxy,
) -> None:
    proxy = start_proxy(max_connections=1)
    holder, other = a_client(proxy), a_client(proxy)
    ask(holder, "BEGIN")

    with wire_of(other) as wire:
        wire.sendall(SELECT_1)
        wait_until(lambda: proxy.queued == 1)
        wire.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: proxy.queued == 0)
    ask(holder, "COMMIT")

    assert backend_of(a_client(proxy))
    assert proxy.round_trips == len(["BEGIN", "COMMIT", "SELECT pg_backend_pid()"])


def test_at_the_limit_an_unused_server_connection_makes_room_for_another_users(
    start_proxy: StartProxy,
) -> None:
    proxy = start_proxy(max_connections=1)
    web, worker = a_client(proxy, "web"), a_client(proxy, "worker")

    for client, name in ((web, "web"), (worker, "worker"), (web, "web")):
        assert ask(client, "SHOW application_name") == (name,)
        assert proxy.server_connections == 1


def test_a_login_gives_up_after_the_borrow_timeout(start_proxy: StartProxy) -> None:
    proxy = start_proxy(max_connections=1, connection_borrow_timeout=0.2)
    ask(holder := a_client(proxy), "BEGIN")

    with pytest.raises(
        psycopg2.OperationalError, match="FATAL:  Timed-out waiting to acquire database connection"
    ):
        a_client(proxy)
    assert holder.closed == 0


def test_a_query_gives_up_after_the_borrow_timeout(start_proxy: StartProxy) -> None:
    proxy = start_proxy(max_connections=1, connection_borrow_timeout=0.2)
    holder, other = a_client(proxy), a_client(proxy)
    ask(holder, "BEGIN")

    with wire_of(other) as wire:
        wire.sendall(SELECT_1)

    assert b"FATAL\0C08000\0MTimed-out waiting to acquire database connection\0" in last_words_to(
        other
    )


def test_options_are_refused(start_proxy: StartProxy) -> None:
    proxy = start_proxy()

    with pytest.raises(
        psycopg2.OperationalError, match="RDS Proxy currently doesn't support command-line options"
    ):
        a_client(proxy, options="-c statement_timeout=5s")


def test_a_refused_login_shows_its_sqlstate(start_proxy: StartProxy) -> None:
    """psycopg2 hides it."""
    proxy = start_proxy()

    with pytest.raises(pg8000.native.DatabaseError) as caught:
        pg8000.native.Connection("nobody", host=proxy.host, port=proxy.port, database="postgres")

    assert caught.value.args[0]["C"] == "28000"


def test_a_client_idle_for_too_long_is_closed_and_a_busy_one_is_not(
    start_proxy: StartProxy,
) -> None:
    proxy = start_proxy(idle_client_timeout=0.3)
    idle, busy = a_client(proxy), a_client(proxy)

    ask(busy, "SET work_mem = '1MB'; SELECT pg_sleep(0.6)")
    ask(busy, "SELECT pg_sleep(0.6)")

    assert last_words_to(idle) == b""
    assert proxy.clients == 1


def test_a_terminated_session_ends_the_client_that_holds_it_with_the_servers_own_words(
    server: PostgresServer, start_proxy: StartProxy
) -> None:
    client = a_client(start_proxy())
    ask(client, "SET work_mem = '1MB'")

    server.execute("SELECT pg_terminate_backend(%s)", (backend_of(client),))

    assert b"terminating connection due to administrator command" in last_words_to(client)


def test_a_terminated_session_of_the_pool_is_replaced_and_no_client_notices(
    server: PostgresServer, start_proxy: StartProxy
) -> None:
    proxy = start_proxy()
    client = a_client(proxy)
    pooled = backend_of(client)

    server.execute("SELECT pg_terminate_backend(%s)", (pooled,))
    wait_until(lambda: proxy.server_connections == 0)

    assert backend_of(client) != pooled


def test_a_client_that_vanishes_in_a_transaction_leaves_no_session_behind(
    server: PostgresServer, start_proxy: StartProxy
) -> None:
    client = a_client(start_proxy())
    ask(client, "BEGIN")
    pid = backend_of(client)

    with wire_of(client) as wire:
        wire.shutdown(socket.SHUT_RDWR)

    wait_until(lambda: not server.has_session(pid))


def test_its_monitoring_session_is_seen_beside_the_clients(
    server: PostgresServer, start_proxy: StartProxy
) -> None:
    server.execute("CREATE ROLE rdsproxyadmin LOGIN")
    proxy = start_proxy()
    a_client(proxy)

    rows = server.execute(
        "SELECT usename FROM pg_stat_activity WHERE host(client_addr) = %s ORDER BY usename",
        (PROXY_ADDRESS,),
    )

    assert rows == [("postgres",), ("rdsproxyadmin",)]
    assert proxy.server_connections == 1


def test_a_failover_keeps_idle_clients_and_drops_pinned_ones(own_postgres: OwnPostgres) -> None:
    old, new = own_postgres(), own_postgres(settings={"cluster_name": "the new writer"})
    with RdsProxyDouble((old.host, old.port)) as proxy:
        idle, pinned = a_client(proxy), a_client(proxy)
        ask(pinned, "SET work_mem = '1MB'")

        proxy.target = (new.host, new.port)

        assert ask(idle, "SHOW cluster_name") == ("the new writer",)
        last_words_to(pinned)  # returns when it was closed


def test_a_query_waits_while_the_server_is_away(
    own_postgres: OwnPostgres, in_background: Callable[..., Future[Any]]
) -> None:
    server = own_postgres()
    with RdsProxyDouble((server.host, server.port)) as proxy:
        client = a_client(proxy)
        proxy.target = (server.host, 1)  # nothing listens there
        waiting = in_background(ask, client, "SELECT 'back'")
        wait_until(lambda: proxy.queued == 1)

        proxy.target = (server.host, server.port)

        assert waiting.result() == ("back",)


def test_it_drops_its_clients_and_goes_down_on_request(start_proxy: StartProxy) -> None:
    proxy = start_proxy()
    client = a_client(proxy)

    proxy.drop_clients()
    assert last_words_to(client) == b""
    assert backend_of(a_client(proxy))

    proxy.stop()
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        a_client(proxy)
