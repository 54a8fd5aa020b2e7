"""What fills a database: clients over TLS, on a host of their own, each with a session."""

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

ROLE = "app"
DATABASE = "postgres"
# The guard takes whoever comes from the proxy's address, which is loopback's first here, for the
# proxy's.
ADDRESS = "127.0.0.9"
TOO_MANY_CONNECTIONS = "53300"


class RefusedError(Exception):
    """The server refuses a new client because its connections are used up."""


class Applications:
    """Whatever they opened is closed in the end."""

    def __init__(self, port: int, authority: Path, pooler: Path) -> None:
        self._port = port
        self._tls = ssl.create_default_context(cafile=authority)
        self._pooler = pooler
        self._connections: list[Connection] = []

    def connect(self) -> Connection:
        """A session straight on the server. Raises RefusedError."""
        try:
            connection = Connection(
                ROLE,
                host="localhost",
                port=self._port,
                database=DATABASE,
                ssl_context=self._tls,
                source_address=(ADDRESS, 0),
            )
        except DatabaseError as refusal:
            if refusal.args[0]["C"] != TOO_MANY_CONNECTIONS:
                raise
            raise RefusedError from refusal
        self._connections.append(connection)
        return connection

    def leak(self, sessions: int) -> None:
        """A service whose transactions failed and were never rolled back: each keeps its
        session.
        """
        for _ in range(sessions):
            connection = self.connect()
            connection.run("BEGIN")
            with contextlib.suppress(DatabaseError):
                connection.run("SELECT 1 / 0")

    def hold_pool(self, transactions: int) -> None:
        """Clients of the pooler that keep their transactions open, and the server connections with
        them.
        """
        for _ in range(transactions):
            connection = Connection(ROLE, unix_sock=str(self._pooler), database=DATABASE)
            self._connections.append(connection)
            connection.run("BEGIN")
            connection.run("SELECT 1")

    def fill(self) -> None:
        """Connects until the server refuses."""
        with contextlib.suppress(RefusedError):
            while True:
                self.connect()

    def are_served(self) -> bool:
        """Whether a new client gets in."""
        try:
            connection = self.connect()
        except RefusedError:
            return False
        connection.run("SELECT 1")
        connection.close()
        return True

    def close(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(Exception):  # the guard has ended it
                connection.close()


@contextlib.contextmanager
def applications(port: int, authority: Path, pooler: Path) -> Iterator[Applications]:
    """Closed in the end."""
    opened = Applications(port, authority, pooler)
    try:
        yield opened
    finally:
        opened.close()
