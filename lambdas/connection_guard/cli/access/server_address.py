"""The address of a server, as --host takes it."""

import ipaddress
import os
import re
import socket

from connection_guard.cli.terminal.mistakes import UserMistakeError


def host_and_port(host: str, port: int) -> tuple[str, int]:
    """Return the parts of HOST, HOST:PORT, [IPV6]:PORT, or a folder with a Unix socket; `port` is
    the default. Raise UserMistakeError where it is none of them.
    """
    if host.startswith("/"):
        return host, port
    name, colon, written = host.rpartition(":")
    if not colon or (":" in name and not name.endswith("]")):
        return host.strip("[]"), port
    if not name or not is_port(written):
        raise UserMistakeError(f"--host {host!r} is neither HOST nor HOST:PORT")
    return name.strip("[]"), int(written)


def default_port() -> int:
    """Return the port where --host names none. Raise UserMistakeError where PGPORT is none."""
    written = os.environ.get("PGPORT") or "5432"
    if not is_port(written):
        raise UserMistakeError(f"PGPORT {written!r} is no port; write a number such as 5432")
    return int(written)


def is_port(written: str) -> bool:
    """Return whether the text is the number of a port."""
    return re.fullmatch("[0-9]{1,5}", written) is not None and 0 < int(written) < 65536


def tunnel_end(host: str, port: int) -> tuple[str, int]:
    """Return the IP address and port of what --host names. Raise UserMistakeError where its name
    has no address.
    """
    name, port = host_and_port(host, port)
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0]), port
    except (OSError, UnicodeError) as error:  # the latter of a name that no server can have
        raise UserMistakeError(f"--host {host}: its address cannot be found: {error}") from error


def written_address(host: str, port: int) -> str:
    """Return the address as --host takes it."""
    if host.startswith("/"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_local(host: str) -> bool:
    """Return whether it is this machine, by its name or its address."""
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
