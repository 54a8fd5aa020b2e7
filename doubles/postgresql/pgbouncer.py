"""A real PgBouncer in front of a server: it multiplexes sessions over few server connections and
lets clients queue. It also serves as RDS Proxy where clients come over TLS.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from doubles.local_process import HOST, DoubleError, free_port, give_to, run_as, unprivileged_user
from doubles.waiting import wait_until

# Debian puts it where it is not on everybody's PATH.
SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"


class PgBouncerError(DoubleError):
    """PgBouncer is not installed or does not start; the message is one line that says why."""


class PgBouncer:
    """A context manager; within it, PgBouncer listens on `host` and `port` and trusts every client
    that logs in as one of `users`.

    `settings` are those of pgbouncer.ini (https://www.pgbouncer.org/config.html), `pinned` is a
    user that keeps its server connection in any pool mode. With the certificate of an `authority`,
    PgBouncer logs in to the server over TLS only.
    """

    host = HOST

    def __init__(
        self,
        server_port: int,
        users: Sequence[str],
        settings: Mapping[str, str | int],
        *,
        pinned: str | None = None,
        authority: Path | None = None,
    ) -> None:
        self.port = free_port()
        self._program = pgbouncer_program()
        self._folder = Path(tempfile.mkdtemp(prefix="connection-guard-pgbouncer-"))
        written: dict[str, object] = {
            "listen_addr": self.host,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": self._folder / "users",
            **settings,
        }
        if authority is not None:
            shutil.copy(authority, self._folder / "authority.crt")
            written["server_tls_sslmode"] = "verify-full"
            written["server_tls_ca_file"] = self._folder / "authority.crt"
        (self._folder / "users").write_text("".join(f'"{user}" ""\n' for user in users))
        server = "localhost" if authority else HOST  # the name in the server's certificate
        lines = [
            "[databases]",
            f"* = host={server} port={server_port}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in written.items()),
            *(["[users]", f"{pinned} = pool_mode=session"] if pinned else []),
        ]
        (self._folder / "pgbouncer.ini").write_text("".join(f"{line}\n" for line in lines))

    def __enter__(self) -> Self:
        user = unprivileged_user()
        give_to(user, self._folder)
        configuration = str(self._folder / "pgbouncer.ini")
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                # It goes when its starter does, even by SIGKILL.
                ["setpriv", "--pdeathsig", "KILL", self._program, configuration],  # noqa: S607
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the starter's to handle
                **run_as(user),
            )
        try:
            wait_until(self._listens)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """All that it has logged."""
        return (self._folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        """End it and remove its folder."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder)

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise PgBouncerError(f"PgBouncer ended while starting: {' '.join(self.log.split())}")
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0


def pgbouncer_program() -> str:
    """Return the program's path. Raise PgBouncerError where it is not installed."""
    program = shutil.which("pgbouncer", path=SEARCH_PATH)
    if program is None:
        raise PgBouncerError("not installed: pgbouncer (Debian: pgbouncer)")
    return program
