"""PgBouncer in place of RDS Proxy: it multiplexes transactions over few server connections and lets
clients queue.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.e2e.waiting import wait_until

# Where Debian puts it, which is not on everybody's PATH.
SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"


class PgBouncer:
    """A context manager; within it, it listens on a Unix socket in `folder` and trusts whoever
    comes as one of `users`.

    `pinned` keeps its server connection, as RDS Proxy lets a client that uses SET.
    `server_connections` limits those that it opens to the server, over TLS; a client that gets none
    within `query_wait_timeout` seconds is refused.
    """

    def __init__(
        self,
        port: int,
        authority: Path,
        users: Sequence[str],
        *,
        pinned: str,
        server_connections: int,
        query_wait_timeout: int,
    ) -> None:
        program = shutil.which("pgbouncer", path=SEARCH_PATH)
        assert program, "PgBouncer is missing: install Debian's package pgbouncer"
        self.folder = Path(tempfile.mkdtemp(prefix="connection-guard-pgbouncer-"))
        self.socket = self.folder / ".s.PGSQL.6432"
        self._program = program
        shutil.copy(authority, self.folder / "authority.crt")
        (self.folder / "users").write_text("".join(f'"{user}" ""\n' for user in users))
        settings = {
            "listen_addr": "",
            "listen_port": 6432,
            "unix_socket_dir": self.folder,
            "auth_type": "trust",
            "auth_file": self.folder / "users",
            "pool_mode": "transaction",
            "max_db_connections": server_connections,
            "query_wait_timeout": query_wait_timeout,
            "server_tls_sslmode": "verify-full",
            "server_tls_ca_file": self.folder / "authority.crt",
        }
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        databases = f"[databases]\n* = host=localhost port={port}\n[pgbouncer]\n"
        session_mode = f"[users]\n{pinned} = pool_mode=session\n"
        (self.folder / "pgbouncer.ini").write_text(databases + "".join(lines) + session_mode)

    def __enter__(self) -> Self:
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # it refuses root
        if account:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                # It goes when its starter does, even by SIGKILL.
                [
                    "setpriv",
                    "--pdeathsig",
                    "KILL",
                    self._program,
                    str(self.folder / "pgbouncer.ini"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                start_new_session=True,  # Ctrl-C is pytest's
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
        return (self.folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder)

    def _listens(self) -> bool:
        assert self._process.poll() is None, f"PgBouncer ended while starting:\n{self.log}"
        return self.socket.exists()
