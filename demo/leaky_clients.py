"""The clients that fill the demo's database, each a process: `python -m demo.leaky_clients CLIENT
DSN SESSIONS`.

A client prints the pids of its sessions, the least recently used first, as one line of JSON, and
then keeps them until its standard input ends. The healthy pool then prints a second such line with
the results of its work.
"""

import contextlib
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812
from sqlalchemy import Engine, PoolProxiedConnection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

BUSY_THREADS = 6
PAUSE_SECONDS = 0.02
SECONDS_BETWEEN_LEAKS = 0.2

Client = Callable[[str, int], Iterator[object]]


def leaking_pool(dsn: str, sessions: int) -> Iterator[object]:
    """Check connections of a SQLAlchemy pool out, one request after another, use them and never
    give them back.
    """
    engine = _engine(dsn, sessions)
    forgotten = []
    for _ in range(sessions):
        connection = engine.connect()
        connection.execute(text("SELECT total FROM orders WHERE id = 42"))
        forgotten.append(connection)
        time.sleep(SECONDS_BETWEEN_LEAKS)
    yield [_pid(connection.connection) for connection in forgotten]


def idle_in_transaction(dsn: str, sessions: int) -> Iterator[object]:
    """Change one row in each session, and neither commit nor roll back."""
    connections = _connections(dsn, sessions)
    for order, connection in enumerate(connections, start=1):
        connection.cursor().execute("UPDATE orders SET total = total + 1 WHERE id = %s", (order,))
    yield _pids(connections)


def aborted(dsn: str, sessions: int) -> Iterator[object]:
    """Cause an error within a transaction in each session, and do not roll back."""
    connections = _connections(dsn, sessions)
    for connection in connections:
        with contextlib.suppress(psycopg2.errors.DivisionByZero):
            connection.cursor().execute("SELECT total / 0 FROM orders")
    yield _pids(connections)


def quiet_pool(dsn: str, sessions: int) -> Iterator[object]:
    """Use each session once and never again."""
    connections = _connections(dsn, sessions)
    for connection in connections:
        connection.cursor().execute("SELECT count(*) FROM orders")
        connection.commit()
    yield _pids(connections)


def advisory_lock(dsn: str, sessions: int) -> Iterator[object]:
    """Hold an advisory lock in each idle session, as schedulers do to elect a leader."""
    connections = _connections(dsn, sessions)
    for key, connection in enumerate(connections):
        connection.autocommit = True
        connection.cursor().execute("SELECT pg_advisory_lock(%s)", (key,))
    yield _pids(connections)


def listener(dsn: str, sessions: int) -> Iterator[object]:
    """Wait for notifications in each session."""
    connections = _connections(dsn, sessions)
    for connection in connections:
        connection.autocommit = True
        connection.cursor().execute("LISTEN orders")
    yield _pids(connections)


def backup(dsn: str, sessions: int) -> Iterator[object]:
    """Keep a transaction with its snapshot open in each session, as pg_dump's leader does while its
    workers copy.
    """
    connections = _connections(dsn, sessions)
    for connection in connections:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        connection.cursor().execute("LOCK TABLE orders IN ACCESS SHARE MODE")
    yield _pids(connections)


def long_query(dsn: str, sessions: int) -> Iterator[object]:
    """Run one statement of ten minutes in each session."""
    connections = _connections(dsn, sessions)
    for connection in connections:
        query = connection.cursor().execute
        threading.Thread(
            target=query, args=("SELECT pg_sleep(600), count(*) FROM orders",), daemon=True
        ).start()
    yield _pids(connections)


def healthy_pool(dsn: str, sessions: int) -> Iterator[object]:
    """Use the connections of a SQLAlchemy pool in turn, with short pauses, so that each was used
    recently.
    """
    engine = _engine(dsn, sessions)
    opened = [engine.connect() for _ in range(sessions)]
    pids = [_pid(connection.connection) for connection in opened]
    for connection in opened:
        connection.close()

    stopped = threading.Event()
    statements = itertools.count()
    errors: list[str] = []

    def work() -> None:
        while not stopped.wait(PAUSE_SECONDS):
            try:
                with engine.connect() as connection:
                    connection.execute(text("SELECT count(*) FROM orders"))
                next(statements)
            except SQLAlchemyError as error:
                errors.append(" ".join(str(error).split()))

    workers = [threading.Thread(target=work, daemon=True) for _ in range(BUSY_THREADS)]
    for worker in workers:
        worker.start()
    yield pids

    stopped.set()
    for worker in workers:
        worker.join()
    yield {"statements": next(statements), "errors": errors}


CLIENTS: dict[str, Client] = {
    client.__name__: client
    for client in (
        leaking_pool,
        idle_in_transaction,
        aborted,
        quiet_pool,
        advisory_lock,
        listener,
        backup,
        long_query,
        healthy_pool,
    )
}


def _engine(dsn: str, sessions: int) -> Engine:
    return create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(dsn),
        pool_size=sessions,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
    )


def _connections(dsn: str, sessions: int) -> list[Connection]:
    return [psycopg2.connect(dsn) for _ in range(sessions)]


def _pids(connections: list[Connection]) -> list[int]:
    return [connection.info.backend_pid for connection in connections]


def _pid(pooled: PoolProxiedConnection) -> int:
    connection = pooled.dbapi_connection
    assert isinstance(connection, Connection)
    return connection.info.backend_pid


def main() -> None:
    client, dsn, sessions = sys.argv[1:]
    with contextlib.suppress(BrokenPipeError):  # the demo was killed: nothing reads this any more
        for message in CLIENTS[client](dsn, int(sessions)):
            print(json.dumps(message), flush=True)
            sys.stdin.read()
    os._exit(0)  # drivers would complain about the sessions that were terminated


if __name__ == "__main__":
    main()
