"""The production login on a server with TLS: who it is must be proven, and the token must not
leak.
"""

import json
import ssl
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import boto3
import psycopg2
import pytest

from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from connection_guard.adapters.postgresql.login import (
    connect_with_iam,
    root_certificates,
    sign_token,
    start_login,
)
from connection_guard.core.database.door import Door, DoorName
from connection_guard.errors import DoorShutError
from doubles.certificates import self_signed
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from responder.respond import Responder
from tests.integration.conftest import OwnPostgres
from tests.support.builders import a_heartbeat_event, a_policy, some_settings
from tests.support.guarded import GUARD, Lambda, create_guard_role

TOKEN = "a token that only the server knows"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJ=",
}


@dataclass(frozen=True)
class TlsServer:
    """A server that takes only TLS logins; its name is `localhost` by the `authority`."""

    server: PostgresServer
    authority: Path

    def door(self, host: str = "localhost") -> Door:
        return Door(DoorName.DIRECT, host, self.server.port, GUARD)

    def enter(self, door: Door, roots: Path, token: str = TOKEN) -> GuardSession:
        return open_session(
            lambda door: start_login(door, "postgres", roots, token), door, time.monotonic() + 10
        )


@pytest.fixture
def tls_server(own_postgres: OwnPostgres, tmp_path: Path) -> TlsServer:
    tls = self_signed(tmp_path, "DNS:localhost")
    server = own_postgres(tls=tls, hba=[f"hostssl all {GUARD} 127.0.0.1/32 password"])
    create_guard_role(server)
    server.execute(f"ALTER ROLE {GUARD} PASSWORD '{TOKEN}'")
    return TlsServer(server, tls.certificate)


def test_a_server_that_proves_who_it_is_is_logged_in_to_over_tls(tls_server: TlsServer) -> None:
    session = tls_server.enter(tls_server.door(), tls_server.authority)
    ((pid,),) = run_sql(tls_server, f"SELECT pid FROM pg_stat_activity WHERE usename = '{GUARD}'")
    assert run_sql(tls_server, f"SELECT ssl FROM pg_stat_ssl WHERE pid = {pid}") == [(True,)]
    session.close()


def run_sql(tls_server: TlsServer, statement: str) -> list[tuple[object, ...]]:
    return tls_server.server.execute(statement)


def test_a_server_whose_certificate_names_another_host_is_refused(tls_server: TlsServer) -> None:
    with pytest.raises(
        DoorShutError, match=r'server certificate for "localhost" .*does not match host name'
    ):
        tls_server.enter(tls_server.door("127.0.0.1"), tls_server.authority)


@pytest.mark.parametrize("name", DoorName)
def test_an_authority_that_is_not_amazons_is_refused_at_either_door(
    tls_server: TlsServer, name: DoorName
) -> None:
    door = replace(tls_server.door(), name=name)
    with pytest.raises(DoorShutError, match="certificate verify failed"):
        tls_server.enter(door, root_certificates(door))


def test_a_server_without_tls_is_refused(own_postgres: OwnPostgres, tmp_path: Path) -> None:
    server = own_postgres()
    create_guard_role(server)
    door = Door(DoorName.DIRECT, "localhost", server.port, GUARD)
    with pytest.raises(DoorShutError, match="server does not support SSL, but SSL was required"):
        TlsServer(server, tmp_path).enter(door, root_certificates(door))


def test_every_door_has_roots_that_are_valid() -> None:
    counts = {}
    for name in DoorName:
        context = ssl.create_default_context(cafile=root_certificates(Door(name, "", 0, "")))
        counts[name] = len(context.get_ca_certs())
    assert counts == {DoorName.PROXY: 5, DoorName.DIRECT: 92}


def test_the_token_is_the_one_that_rds_gives() -> None:
    door = Door(
        DoorName.DIRECT, "orders-prod.abc.eu-central-1.rds.amazonaws.com", 5432, "guard/+ role"
    )
    client = boto3.client(
        "rds",
        region_name="eu-central-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=CREDENTIALS["AWS_SESSION_TOKEN"],
    )

    def both_in_one_second() -> bool:
        ours = sign_token(door, "eu-central-1", CREDENTIALS)
        theirs = client.generate_db_auth_token(door.host, door.port, door.role, "eu-central-1")
        split = [urlsplit(f"https://{token}") for token in (ours, theirs)]
        assert split[0].netloc == split[1].netloc
        first, second = (dict(parse_qsl(each.query)) for each in split)
        assert first.keys() == second.keys()
        return first == second

    wait_until(both_in_one_second)


def test_a_refused_login_says_why_and_never_shows_the_token(
    tls_server: TlsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = some_settings(direct=tls_server.door())
    responder = Responder(settings, a_policy(), connect_with_iam(settings, CREDENTIALS))
    report = responder(a_heartbeat_event(), Lambda(5))
    assert report["kind"] == "locked_out"
    assert "certificate verify failed" in report["doors"][0]["error"]
    shown = json.dumps(report) + capsys.readouterr().out + tls_server.server.postgres.log
    for secret in ("X-Amz-Signature", *CREDENTIALS.values()):
        assert secret not in shown


def test_without_credentials_the_door_is_shut_and_says_so(tls_server: TlsServer) -> None:
    settings = some_settings(direct=tls_server.door())
    report = Responder(settings, a_policy(), connect_with_iam(settings, {}))(
        a_heartbeat_event(), Lambda(4)
    )
    assert report["kind"] == "locked_out"
    missing = (
        "no credentials to sign a token with: environment variable 'AWS_ACCESS_KEY_ID' is missing"
    )
    assert report["doors"][0]["error"] == missing


def test_a_wrong_password_is_named_and_not_shown(tls_server: TlsServer) -> None:
    token = "s3cret-t0ken"
    with pytest.raises(DoorShutError, match="password authentication failed") as refused:
        tls_server.enter(tls_server.door(), tls_server.authority, token=token)
    assert isinstance(refused.value.__cause__, psycopg2.OperationalError)
    assert refused.value.door == DoorName.DIRECT
    assert token not in "".join(traceback.format_exception(refused.value))


def test_the_guards_session_is_bound_by_what_it_sets(tls_server: TlsServer) -> None:
    """It cannot write, and a search_path that others have set cannot mislead it."""
    run_sql(tls_server, f"ALTER ROLE {GUARD} SET search_path = evil")
    session = tls_server.enter(tls_server.door(), tls_server.authority)
    cursor = session.connection.cursor()
    for setting, value in {
        "search_path": "pg_catalog, pg_temp",
        "default_transaction_read_only": "on",
        "statement_timeout": "5s",
        "idle_session_timeout": "0",
        "TimeZone": "UTC",
        "application_name": "connection-guard direct",
    }.items():
        cursor.execute(f"SHOW {setting}")
        wait_until(lambda: session.connection.poll() == 0)
        assert cursor.fetchone() == (value.encode(),)
    session.close()
