"""The way to a door, before anybody logs in: its name, its port, and TLS as PostgreSQL begins it.

Each step has a deadline of its own.
"""

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from struct import pack
from threading import Thread
from typing import Any, TypeVar

from connection_guard.cli.doctor.facts.door_facts import Certificate, NetworkFacts, TlsFacts
from connection_guard.core.database.door import Door

STEP_SECONDS = 3.0
"""How long each step may take: a name, a port, TLS."""

# PostgreSQL manual, "Message Formats", SSLRequest: its length, and its code in place of a version.
_SSL_REQUEST = pack("!ii", 8, 80877103)

# OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, and X509_V_ERR_HOSTNAME_MISMATCH or _IP_ADDRESS_MISMATCH.
_EXPIRED = 10
_OTHER_NAME = (62, 64)

T = TypeVar("T")


def probe(door: Door, tunnel: tuple[str, int] | None, roots: Path | None) -> NetworkFacts:
    """Return what the network shows of the door.

    `tunnel` is an address in place of the host's own. The server has to prove that it is the host,
    by one of `roots`, unless that is None.
    """
    if door.host.startswith("/"):
        return NetworkFacts((door.host,), tunnel, door.host)
    addresses = _resolve(door.host)
    if tunnel is not None:
        targets: tuple[str, ...] = (tunnel[0],)
    elif isinstance(addresses, str):
        return NetworkFacts(addresses, tunnel)
    else:
        targets = addresses
    port = door.port if tunnel is None else tunnel[1]
    problem, is_refused = "", False
    for address in targets:
        place = f"{address}:{port}"
        try:
            with socket.create_connection((address, port), STEP_SECONDS / len(targets)) as stream:
                stream.settimeout(STEP_SECONDS)
                tls = _begin_tls(stream, door, (address, port), roots)
                return NetworkFacts(addresses, tunnel, place, tls=tls)
        except TimeoutError:
            problem = f"{place} did not answer within {STEP_SECONDS:g} s"
        except OSError as error:
            problem = f"{place}: {error.strerror or error}"
            is_refused = isinstance(error, ConnectionRefusedError)
    return NetworkFacts(addresses, tunnel, connection_problem=problem, is_refused=is_refused)


def _resolve(host: str) -> tuple[str, ...] | str:
    """Return the addresses of the name, or why there are none."""

    def look_up() -> tuple[str, ...] | str:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            return getattr(error, "strerror", None) or str(error)
        return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))

    try:
        return _within(STEP_SECONDS, look_up)
    except TimeoutError:
        return f"no name server answered within {STEP_SECONDS:g} s"


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return what the call returns. Raise TimeoutError where it takes longer: its thread is left to
    itself, since nothing can end a look-up.
    """
    answers: SimpleQueue[T] = SimpleQueue()
    Thread(target=lambda: answers.put(call()), daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None


def _begin_tls(
    stream: socket.socket, door: Door, address: tuple[str, int], roots: Path | None
) -> TlsFacts:
    """Return how TLS began on the connection."""
    is_verified = roots is not None
    try:
        context = _context(roots, checks_name=is_verified)
        return _shake_hands(stream, door.host, context, is_verified)
    except TimeoutError:
        problem = f"the server accepts connections, but says nothing within {STEP_SECONDS:g} s"
    except ssl.SSLCertVerificationError as error:
        problem = error.verify_message.rstrip(".")
        if error.verify_code == _EXPIRED:
            return TlsFacts(is_verified, problem=problem, has_expired=True)
        if error.verify_code in _OTHER_NAME and (names := _names(door.host, address, roots)):
            problem += f": it is for {', '.join(names)}"
    except ssl.SSLError as error:
        problem = f"TLS failed: {error.reason or error}"
    except OSError as error:
        problem = f"the server closed the connection: {error.strerror or error}"
    return TlsFacts(is_verified, problem=problem)


def _shake_hands(
    stream: socket.socket, host: str, context: ssl.SSLContext, is_verified: bool
) -> TlsFacts:
    stream.sendall(_SSL_REQUEST)
    answer = stream.recv(1)
    if answer == b"N":
        problem = "the server does not offer TLS" if is_verified else None
        return TlsFacts(is_verified, problem=problem)
    if answer != b"S":
        what = "nothing" if not answer else "something else"
        return TlsFacts(is_verified, problem=f"it is no PostgreSQL server: it answers {what}")
    with context.wrap_socket(stream, server_hostname=host) as secured:
        certificate = _certificate(secured) if is_verified else None
        return TlsFacts(is_verified, secured.version() or "", certificate)


def _context(roots: Path | None, *, checks_name: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = checks_name
    if roots is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cafile=roots)
    return context


def _names(host: str, address: tuple[str, int], roots: Path | None) -> tuple[str, ...]:
    """Return the names that the certificate has in place of the host's, none where it is not
    shown.
    """
    try:
        with socket.create_connection(address, STEP_SECONDS) as stream:
            stream.settimeout(STEP_SECONDS)
            tls = _shake_hands(stream, host, _context(roots, checks_name=False), is_verified=True)
    except OSError:
        return ()
    return tls.certificate.names if tls.certificate else ()


def _certificate(secured: ssl.SSLSocket) -> Certificate:
    # The types that the library declares are those of any field.
    shown: Any = secured.getpeercert()
    issuer = {key: value for part in shown.get("issuer", ()) for key, value in part}
    subject = {key: value for part in shown.get("subject", ()) for key, value in part}
    names = tuple(name for _kind, name in shown.get("subjectAltName", ()))
    return Certificate(
        names or (subject.get("commonName", ""),),
        issuer.get("commonName") or issuer.get("organizationName", ""),
        datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC),
    )
