"""What fills a database: clients over TLS, on a host of their own, each with one session."""

import contextlib
import ssl
from pathlib import Path

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from doubles.local_process import HOST

ROLE = "app"
DATABASE = "postgres"
# The guard takes every session from the proxy's address, here the first of loopback, as the
# proxy's own.
ADDRESS = "127.0.0.9"
TOO_MANY_CONNECTIONS = "53300"


class RefusedError(Exception):
    """The server refuses a new client because its connections are used up."""


class Applications:
    """Sessions that `close` ends. `pooler_port` is None where there is no pooler."""

    def __init__(self, port: int, authority: Path, pooler_port: int | None) -> None:
        self._port = port
        self._tls = ssl.create_default_context(cafile=authority)
        self._pooler_port = pooler_port
        self._connections: list[Connection] = []

    def connect(self) -> Connection:
        """Return a session directly on the server. Raise RefusedError."""
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
        """Open sessions as of a service whose transactions failed and were never rolled back."""
        for _ in range(sessions):
            connection = self.connect()
            connection.run("BEGIN")
            with contextlib.suppress(DatabaseError):
                connection.run("SELECT 1 / 0")

    def hold_pool(self, transactions: int) -> None:
        """Open clients of the pooler whose transactions stay open and keep its server
        connections.
        """
        assert self._pooler_port is not None
        for _ in range(transactions):
            connection = Connection(
                ROLE, host=HOST, port=self._pooler_port, database=DATABASE, ssl_context=None
            )
            self._connections.append(connection)
            connection.run("BEGIN")
            connection.run("SELECT 1")

    def fill(self) -> None:
        """Open sessions until the server refuses one."""
        with contextlib.suppress(RefusedError):
            while True:
                self.connect()

    def are_served(self) -> bool:
        """Return whether a new client is served."""
        try:
            connection = self.connect()
        except RefusedError:
            return False
        connection.run("SELECT 1")
        connection.close()
        return True

    def close(self) -> None:
        """End every session."""
        for connection in self._connections:
            with contextlib.suppress(Exception):  # the guard has ended it
                connection.close()
        self._connections.clear()
