"""What doubles need to run a server program on this machine: a user other than root, and a port."""

import os
import pwd
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
# Below every system's range of ephemeral ports: a client that keeps retrying a stopped server could
# otherwise be given the server's own port as its source port, connect to itself, and keep the
# server from coming back.
PORTS = range(20_000, 32_000)


class DoubleError(Exception):
    """A double cannot be started or stopped; the message is one line that says why."""


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return the user `nobody` where this runs as root, else None. Raise DoubleError where there is
    no such user.

    PostgreSQL and PgBouncer refuse to run as root.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError as error:
        raise DoubleError(
            "PostgreSQL refuses to run as root and there is no user nobody: run this as an "
            "ordinary user"
        ) from error


def give_to(user: pwd.struct_passwd | None, path: Path) -> None:
    """Make the user the owner of the path and of everything below it; do nothing for None."""
    if user is not None:
        for each in (path, *path.rglob("*")):
            os.chown(each, user.pw_uid, user.pw_gid, follow_symlinks=False)


def run_as(user: pwd.struct_passwd | None) -> Mapping[str, Any]:
    """Return the arguments of subprocess.Popen that make a program run as the user."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def free_port() -> int:
    """Return a TCP port on loopback on which nothing listens. Raise DoubleError where there is
    none.
    """
    for _ in range(100):
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise DoubleError(f"no free TCP port on {HOST} among {PORTS.start} to {PORTS.stop - 1}")
