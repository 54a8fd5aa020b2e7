"""Sessions by the thousand, from one process."""

import resource
from collections.abc import Sequence
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, connection, cursor

from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until

FILES = 10_000
AT_ONCE = 100


def open_sessions(server: PostgresServer, count: int, **login: Any) -> list[cursor]:
    """Return a cursor on each of that many new sessions of role `app`; none of them blocks. `login`
    are libpq's parameters.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE,
        (FILES if most == resource.RLIM_INFINITY else min(FILES, most), most),
    )

    def opening() -> connection:
        new: connection = psycopg2.connect(
            host=server.host, port=server.port, user="app", dbname="postgres", async_=True, **login
        )
        return new

    opened: list[connection] = []
    while len(opened) < count:
        batch = [opening() for _ in range(min(AT_ONCE, count - len(opened)))]
        _wait_for(batch)
        opened += batch
    return [each.cursor() for each in opened]


def send(sessions: Sequence[cursor], statement: str) -> None:
    """Start the statement in every session."""
    for session in sessions:
        session.execute(statement)


def wait_for_answers(sessions: Sequence[cursor]) -> None:
    """Wait until every session's statement has ended."""
    _wait_for([session.connection for session in sessions])


def close(sessions: Sequence[cursor]) -> None:
    """Close every session."""
    for session in sessions:
        session.connection.close()


def _wait_for(connections: Sequence[connection]) -> None:
    wait_until(lambda: {each.poll() for each in connections} == {POLL_OK})
