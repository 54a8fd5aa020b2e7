"""The address that a person gives with `--host`."""

import ipaddress
import socket

from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.words import quoted


def host_and_port(host: str, port: str) -> tuple[str, int]:
    """Return the parts of HOST, HOST:PORT, [IPV6]:PORT, or a folder with a Unix socket; `port` is
    the default.

    Raise UserMistakeError where it is none of them.
    """
    name, colon, written = host.rpartition(":")
    if host.startswith("/") or not colon or (":" in name and not name.endswith("]")):
        name, written = host, port
    is_port = written.isascii() and written.isdecimal() and len(written) < 6
    if not name or not is_port or not 0 < int(written) < 65536:
        problem = f"{quoted(name)} at port {quoted(written)} is no address"
        raise UserMistakeError(f"{problem}: write --host as HOST or HOST:PORT")
    return name.strip("[]"), int(written)


def tunnel_to(host: str, port: int) -> tuple[str, int]:
    """Return the IP address and the port of a tunnel's end; `port` is the default.

    Raise UserMistakeError where it has none.
    """
    name, port = host_and_port(host, str(port))
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0]), port
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no name of a host"
        raise UserMistakeError(f"--host {quoted(host)} has no address: {why}") from error


def is_local(host: str) -> bool:
    """Return whether the host is this machine."""
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
