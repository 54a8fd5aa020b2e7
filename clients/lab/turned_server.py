"""A real server whose clock can be turned forward: ten idle minutes take no time, and ages are
real.

libfaketime adds an offset to the wall clock of the server's processes. It does not change the
clients' clocks, nor the monotonic clock, by which PostgreSQL waits. A process that sleeps in
epoll_wait sees the true time, so PostgreSQL's own timeouts (such as statement_timeout) do not fire
once the clock was turned: no scenario may depend on one.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from clients.lab.lab_errors import UnavailableError
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer

USABLE = 50


class Clock:
    """The server's clock, which is ahead of the true time by what it was turned."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = timedelta()
        self.turn(timedelta())

    def turn(self, by: timedelta) -> None:
        """Let this much time pass for the server."""
        self._ahead += by
        new = self._file.with_suffix(".new")
        new.write_text(f"+{self._ahead.total_seconds():.0f}s\n")
        new.replace(self._file)  # in one step: the server may read it at any time


@contextmanager
def turned_server(version: int) -> Iterator[tuple[PostgresServer, Clock]]:
    """Yield a server of this version with USABLE connections for applications, and its clock."""
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
    """Return the path of libfaketime's shared library. Raise UnavailableError."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise UnavailableError("libfaketime is not installed (Debian: libfaketime)")
    return found[0]
