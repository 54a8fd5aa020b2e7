"""The way to a door, on real sockets: what answers there, and whether it is who it should be."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from connection_guard.adapters.postgresql.login import root_certificates
from connection_guard.cli.doctor.doors.network_probe import STEP_SECONDS, probe
from connection_guard.cli.doctor.facts.door_facts import TlsFacts
from connection_guard.core.database.door import Door, DoorName
from doubles.certificates import TlsFiles, self_signed
from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import OwnPostgres


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return self_signed(tmp_path, "DNS:localhost", days=90)


@pytest.fixture
def authority(files: TlsFiles) -> Path:
    return files.certificate


@pytest.fixture
def tls_server(own_postgres: OwnPostgres, files: TlsFiles) -> PostgresServer:
    return own_postgres(tls=files)


def a_direct_door(port: int, host: str = "localhost") -> Door:
    return Door(DoorName.DIRECT, host, port, "connection_guard")


def tls_of(door: Door, roots: Path | None) -> TlsFacts:
    tls = probe(door, None, roots).tls
    assert tls is not None
    return tls


@pytest.fixture
def silent() -> Iterator[int]:
    """Yield the port of a server that accepts every connection, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture
def web_server() -> Iterator[int]:
    """Yield the port of a server that is none of PostgreSQL's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.recv(100)
                stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(5)


def test_a_server_that_proves_who_it_is_shows_its_certificate(
    tls_server: PostgresServer, authority: Path
) -> None:
    facts = probe(a_direct_door(tls_server.port), None, authority)

    assert facts.obstacle is None
    assert facts.connected == f"127.0.0.1:{tls_server.port}"
    assert facts.tls is not None
    assert facts.tls.version.startswith("TLSv1.")
    assert facts.tls.certificate is not None
    assert facts.tls.certificate.names == ("localhost",)
    assert facts.tls.certificate.issuer == "localhost"


def test_a_certificate_of_another_host_names_that_host(
    tls_server: PostgresServer, authority: Path
) -> None:
    tls = tls_of(a_direct_door(tls_server.port, "127.0.0.1"), authority)
    assert tls.problem is not None
    assert tls.problem.endswith("is not valid for '127.0.0.1': it is for localhost")


def test_an_authority_that_is_not_amazons_is_a_problem(tls_server: PostgresServer) -> None:
    door = a_direct_door(tls_server.port)
    assert tls_of(door, root_certificates(door)).problem == "self-signed certificate"


def test_tls_that_nobody_verifies_is_shown_as_that(tls_server: PostgresServer) -> None:
    tls = tls_of(a_direct_door(tls_server.port), None)
    assert (tls.is_verified, tls.certificate, tls.problem) == (False, None, None)


def test_a_server_without_tls_is_a_problem_only_where_it_is_required(
    own_postgres: OwnPostgres, authority: Path
) -> None:
    door = a_direct_door(own_postgres().port)
    assert tls_of(door, authority).problem == "the server does not offer TLS"
    assert tls_of(door, None).problem is None


def test_a_server_that_says_nothing_is_left_after_its_time(silent: int, authority: Path) -> None:
    started = time.monotonic()
    tls = tls_of(a_direct_door(silent), authority)

    assert time.monotonic() - started < STEP_SECONDS + 2
    assert tls.problem is not None
    assert "accepts connections, but says nothing" in tls.problem


def test_another_service_is_no_postgresql(web_server: int, authority: Path) -> None:
    problem = tls_of(a_direct_door(web_server), authority).problem
    assert problem is not None
    assert problem.startswith("it is no PostgreSQL server")


def test_a_port_without_a_listener_refuses(authority: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    facts = probe(a_direct_door(port), None, authority)

    assert facts.is_refused
    assert facts.obstacle == "the port was not reached"
    assert facts.connection_problem == f"127.0.0.1:{port}: Connection refused"


@pytest.mark.parametrize("host", ["nobody.invalid", "x" * 70 + ".example", "a..b", "\u202eevil"])
def test_a_name_without_an_address_ends_the_way(host: str, authority: Path) -> None:
    facts = probe(a_direct_door(5432, host), None, authority)

    assert isinstance(facts.addresses, str)
    assert facts.obstacle == "the host's name was not resolved"


def test_a_tunnel_leads_there_although_the_name_has_no_address(
    tls_server: PostgresServer, authority: Path
) -> None:
    door = a_direct_door(5432, "nobody.invalid")
    facts = probe(door, ("127.0.0.1", tls_server.port), authority)

    assert facts.connected == f"127.0.0.1:{tls_server.port}"
    assert facts.tls is not None
    assert facts.tls.problem is not None
    assert facts.tls.problem.endswith("is not valid for 'nobody.invalid': it is for localhost")
