"""A PgBouncer in front of the server, as an unprivileged user."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clients.lab_errors import LabError, UnavailableError

START_SECONDS = 20


@contextmanager
def pgbouncer(server_port: int, mode: str, pool_size: int) -> Iterator[int]:
    """Its port; `mode` is its pool_mode. Raises UnavailableError where it is not installed."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        raise UnavailableError("not installed: pgbouncer (Debian: pgbouncer)")
    folder = Path(tempfile.mkdtemp(prefix="connection-guard-pgbouncer-"))
    folder.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    users = folder / "users.txt"
    users.write_text('"shop" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"""
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
default_pool_size = {pool_size}
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
"""
    )
    process = subprocess.Popen(
        # It goes when its starter does, even by SIGKILL.
        ["setpriv", "--pdeathsig", "KILL", program, str(folder / "pgbouncer.ini")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user="nobody" if os.geteuid() == 0 else None,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError("PgBouncer did not start")
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
