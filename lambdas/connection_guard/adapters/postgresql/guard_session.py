"""The guard's own session: named statements over a non-blocking psycopg2 connection, each with a
deadline.

A non-blocking connection is always in autocommit, which the guard needs: pg_stat_activity is cached
per transaction, so every look must be a transaction of its own. The deadline is the client's, also
while RDS Proxy queues: psycopg2 ignores connect_timeout here (psycopg2 manual, "Asynchronous
support").
"""

import re
import select
import time
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import (
    BYTES,
    BYTESARRAY,
    POLL_OK,
    POLL_READ,
    connection,
    encodings,
    register_type,
)

from connection_guard.adapters.postgresql.names import LONGEST_NAME
from connection_guard.core.database.door import Door
from connection_guard.errors import (
    ConnectionLostError,
    DatabaseError,
    DoorShutError,
    Refusal,
    StatementError,
)

# The client gives up when the server does: take_seat.sql sets the same as statement_timeout.
STATEMENT_SECONDS = 5.0

Connect = Callable[[Door], connection]
"""Starts a non-blocking login through a door (psycopg2.connect with async_=True). Tests and the
demo pass their own.
"""


class _DeadlineError(Exception):
    pass


class GuardSession(NamedTuple):
    """The guard's own open session, and the door that it came through."""

    door: Door
    connection: connection

    def close(self) -> None:
        """End the session."""
        self.connection.close()


def open_session(connect: Connect, door: Door, deadline: float) -> GuardSession:
    """Return a fresh session through the door by `deadline` (of time.monotonic), with the guard's
    settings.

    Raise DoorShutError with the driver's own reason.
    """
    opened = None
    try:
        opened = connect(door)
        _wait(opened, deadline)
        # pg_stat_activity shows every database's texts, each in its own encoding: psycopg2 would
        # fail to decode them. (The guard sends only ASCII: its own roles and application_name.)
        register_type(BYTES, opened)
        register_type(BYTESARRAY, opened)
        session = GuardSession(door, opened)
        execute(session, "take_seat", {"application_name": application_name(door)}, deadline)
    except (psycopg2.Error, UnicodeError, _DeadlineError, DatabaseError) as error:
        if opened is not None:
            opened.close()
        sqlstate = error.sqlstate if isinstance(error, DatabaseError) else None
        raise DoorShutError(
            _in_one_line(error), _refusal(str(error)), door=door.name, sqlstate=sqlstate
        ) from error
    return session


def _refusal(reason: str) -> Refusal | None:
    """Return what the server's text means: libpq keeps the SQLSTATE (53300) of a refused login to
    itself.
    """
    return Refusal.FULL if _IS_FULL.search(reason) else None


# The texts are from PostgreSQL's postmaster.c, proc.c and postinit.c. Those for a role's or a
# database's own limit are different.
_IS_FULL = re.compile("sorry, too many clients already|remaining connection slots are reserved")


def application_name(door: Door) -> str:
    """Return the name that pg_stat_activity shows for the guard's session through this door."""
    return f"connection-guard {door.name}"


def execute(
    session: GuardSession,
    name: str,
    parameters: Mapping[str, object],
    deadline: float | None = None,
) -> list[Any]:
    """Return the rows of the named statement (sql/NAME.sql), columns as attributes.

    It has until the deadline (of time.monotonic), and STATEMENT_SECONDS at most.

    Raise StatementError where the server answers with an ERROR and the session lives on,
    ConnectionLostError where the session died or was given up: the statement may or may not have
    run.
    """
    latest = time.monotonic() + STATEMENT_SECONDS
    try:
        cursor = session.connection.cursor()
        cursor.execute(_statement(name), parameters)
        _wait(session.connection, latest if deadline is None else min(deadline, latest))
        if cursor.description is None:
            return []
        row = _row(tuple(column.name for column in cursor.description))
        server_encoding = str(session.connection.get_parameter_status("server_encoding"))
        codec = encodings.get(server_encoding, "latin_1")
        return [row(*(_decoded(value, codec) for value in values)) for values in cursor]
    except _DeadlineError as error:
        session.close()
        raise ConnectionLostError(f"{name}: {_in_one_line(error)}") from error
    except (psycopg2.Error, UnicodeError) as error:
        sqlstate = error.pgcode if isinstance(error, psycopg2.Error) else None
        message = f"{name}: {_in_one_line(error)}"
        if sqlstate and not _ends_session(sqlstate) and not session.connection.closed:
            raise StatementError(message, sqlstate=sqlstate) from error
        session.close()
        raise ConnectionLostError(message, sqlstate=sqlstate) from error


def _ends_session(sqlstate: str) -> bool:
    """Return whether the code is of class 08, connection exception, or 57P, operator intervention
    (PostgreSQL manual, appendix A).
    """
    return sqlstate.startswith(("08", "57P"))


def _wait(waiting: connection, deadline: float) -> None:
    while (state := waiting.poll()) != POLL_OK:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise _DeadlineError("no answer in time")
        poll = select.poll()
        poll.register(waiting, select.POLLIN if state == POLL_READ else select.POLLOUT)
        poll.poll(1000 * seconds)


@cache
def _statement(name: str) -> str:
    """Return the file, which psql can run, with psql's :'name' variables as psycopg2's
    parameters.
    """
    text = (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
    return re.sub(r":'(\w+)'", r"%(\1)s", text.replace("%", "%%"))


@cache
def _row(columns: tuple[str, ...]) -> Callable[..., Any]:
    return namedtuple("Row", columns)


def _decoded(value: object, server_codec: str) -> object:
    if isinstance(value, bytes | memoryview):
        return _text(bytes(value), server_codec)
    if isinstance(value, list):
        return [_decoded(each, server_codec) for each in value]
    return value


def _text(raw: bytes, server_codec: str) -> str:
    """Return the most likely text of bytes whose encoding is not known.

    Roles and databases are shared by databases of all encodings (PostgreSQL manual, 24.3 "Character
    Set Support"). UTF-8 hardly ever fits by chance, so it is tried first, then the encoding of the
    guard's own database, then LATIN1, which fits any bytes.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        # No name is that long: this is a query that was cut in the middle of its last character.
        if len(raw) > LONGEST_NAME and error.start > len(raw) - 4:
            return raw[: error.start].decode()
    try:
        return raw.decode(server_codec)
    except UnicodeDecodeError:
        return raw.decode("latin_1")


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
