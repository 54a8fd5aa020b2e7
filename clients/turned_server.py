"""A real server whose clock can be turned forward: ten idle minutes take no time, and ages are
real.

libfaketime adds an offset to the wall clock of the server's processes; the clients' clocks are left
alone, and so is the monotonic clock, on which PostgreSQL waits. A process asleep in epoll_wait is
shown the true time by libfaketime, so PostgreSQL's own timeouts (statement_timeout and its like) do
not fire once the clock was turned: no scenario may depend on one.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from clients.lab_errors import UnavailableError
from doubles import postgres_binaries
from doubles.embedded_postgres import EmbeddedPostgres
from doubles.postgres_server import PostgresServer

USABLE = 50


class Clock:
    """The server's, as far ahead of the true time as it was turned."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = timedelta()
        self.turn(timedelta())

    def turn(self, by: timedelta) -> None:
        """Lets this much time pass for the server."""
        self._ahead += by
        new = self._file.with_suffix(".new")
        new.write_text(f"+{self._ahead.total_seconds():.0f}s\n")
        new.replace(self._file)  # in one step: each look at the time reads it


@contextmanager
def turned_server(version: int) -> Iterator[tuple[PostgresServer, Clock]]:
    """A server of this version with USABLE connections for applications, and its clock."""
    folder = Path(tempfile.mkdtemp(prefix="connection-guard-clock-"))
    folder.chmod(0o755)  # the server runs as another user where the starter is root
    clock = Clock(folder / "offset")
    reserved = 3 if version >= 16 else 0
    postgres = EmbeddedPostgres(
        postgres_binaries.installed(version),
        {
            "max_connections": USABLE + 3 + reserved,
            "superuser_reserved_connections": 3,
            "autovacuum": "off",
            "jit": "off",
            **({"reserved_connections": reserved} if reserved else {}),
        },
        environment={
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(folder / "offset"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )
    try:
        with postgres:
            server = PostgresServer(postgres)
            yield server, clock
            server.close_connections()
    finally:
        shutil.rmtree(folder)


def library() -> Path:
    """libfaketime's shared library. Raises UnavailableError."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise UnavailableError("libfaketime is not installed (Debian: libfaketime)")
    return found[0]
