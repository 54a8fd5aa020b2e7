"""`connection-guard plan` logs in with an IAM token, as to Amazon RDS: the real process against a
server with TLS that takes only the token which boto3 would sign.
"""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from doubles.certificates import self_signed
from tests.integration.conftest import OwnPostgres
from tests.support.cli.running import environment_of
from tests.support.configurations import EXAMPLE_FILE
from tests.support.guarded import GUARD, create_guard_role

HOST = "orders.c1abcdefghij.eu-central-1.rds.amazonaws.com"
REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "a secret"}
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

# The real command at a given time, which trusts the test's own authority in place of Amazon's.
COMMAND = f"""
import sys
from datetime import datetime, UTC
from botocore import auth
from connection_guard.adapters.postgresql import login
from connection_guard.cli.command_line import main
auth.get_current_datetime = lambda: datetime.fromisoformat("{NOW.replace(tzinfo=None)}")
login.ROOTS = dict.fromkeys(login.ROOTS, sys.argv.pop(1))
main()
"""


@pytest.fixture
def server(own_postgres: OwnPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of a server that is `HOST` by the authority in the folder."""
    tls = self_signed(tmp_path, f"DNS:{HOST}")
    server = own_postgres(tls=tls, hba=["hostssl all all 127.0.0.1/32 password"])
    create_guard_role(server)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None))
    session = boto3.Session(
        CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=REGION
    )
    token = session.client("rds").generate_db_auth_token(HOST, 5432, GUARD)
    server.execute(f"ALTER ROLE {GUARD} PASSWORD %s", (token,))
    server.execute("CREATE ROLE oncall LOGIN PASSWORD 'another'")
    (tmp_path / "guard.toml").write_text(EXAMPLE_FILE.read_text())
    return f"localhost:{server.port}"


def plan(
    folder: Path, *arguments: str, authority: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    authority = authority or folder / "server.crt"
    return subprocess.run(
        [sys.executable, "-c", COMMAND, str(authority), "plan", *arguments],
        env=environment_of(CREDENTIALS),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_token_logs_in_through_a_tunnel_where_the_server_proves_who_it_is(
    server: str, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = self_signed(tmp_path / "other", f"DNS:{HOST}").certificate

    ran = plan(tmp_path, "orders", "--host", server)
    unproven = plan(tmp_path, "orders", "--host", server, authority=stranger)
    wrong = plan(tmp_path, "orders", "--host", server, "--user", "oncall", "--iam")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert '"database": "orders"' in ran.stdout
    assert "certificate verify failed" in unproven.stderr
    assert 'password authentication failed for user "oncall"' in wrong.stderr
    for refused in (unproven, wrong):
        assert (refused.returncode, refused.stdout) == (2, "")
        assert len(refused.stderr.splitlines()) == 1
        assert f":{server.rpartition(':')[2]} (--host)" in refused.stderr
        assert "X-Amz-Signature" not in refused.stderr


def test_the_only_database_of_guard_toml_need_not_be_named_behind_a_tunnel(
    server: str, tmp_path: Path
) -> None:
    """Its policy and its certificate count, although the address is another."""
    ran = plan(tmp_path, "--host", server)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert '"database": "orders"' in ran.stdout
