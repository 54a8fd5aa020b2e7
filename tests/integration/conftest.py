"""Real servers for the integration tests.

A test that takes `server` runs once on each of PostgreSQL 14, 16 and 18, on a server shared with
the other tests and cleaned after each. `@pytest.mark.parametrize("postgres", [18], indirect=True)`
narrows that to one version. A test that restarts the server, or needs settings of its own, starts
one with `own_postgres`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer
from doubles.slack_double import SlackDouble
from tests.support.guarded import create_guard_role

ROOT = Path(__file__).parents[2]

# Marks of tests that run on some versions only.
NEWEST = pytest.mark.parametrize("postgres", [18], indirect=True)
OLDEST = pytest.mark.parametrize("postgres", [14], indirect=True)
WITH_RESERVED_CONNECTIONS = pytest.mark.parametrize("postgres", [16, 18], indirect=True)


def settings_for(version: int) -> dict[str, str | int]:
    """Return settings with few connections, so that a test can use all: 34 for ordinary roles where
    both reservations exist, else 37.
    """
    reserved = {"reserved_connections": 3} if version >= 16 else {}
    return {"max_connections": 40, "superuser_reserved_connections": 3, **reserved}


class OwnPostgres(Protocol):
    def __call__(
        self, version: int = 18, settings: dict[str, str | int] | None = None, **options: Any
    ) -> PostgresServer:
        """Start a server; `settings` are added to the shared servers', `options` are
        EmbeddedPostgres's.
        """


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Callable[[int], EmbeddedPostgres]]:
    """Return the one server of a version that tests share, started when the first of them asks."""
    servers: dict[int, EmbeddedPostgres] = {}
    with ExitStack() as stack:

        def shared(version: int) -> EmbeddedPostgres:
            if version not in servers:
                servers[version] = stack.enter_context(
                    EmbeddedPostgres(postgres_binaries.installed(version), settings_for(version))
                )
            return servers[version]

        yield shared


@pytest.fixture(
    scope="session", params=sorted(postgres_binaries.PACKAGES), ids=lambda version: f"pg{version}"
)
def postgres(
    request: pytest.FixtureRequest, shared_postgres: Callable[[int], EmbeddedPostgres]
) -> EmbeddedPostgres:
    return shared_postgres(request.param)


@pytest.fixture
def server(postgres: EmbeddedPostgres) -> Iterator[PostgresServer]:
    server = PostgresServer(postgres)
    yield server
    server.clean()


@pytest.fixture
def database(server: PostgresServer) -> PostgresServer:
    """Return a server with the guard's role and an application's."""
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    return server


@pytest.fixture
def own_postgres() -> Iterator[OwnPostgres]:
    with ExitStack() as stack:

        def own(
            version: int = 18, settings: dict[str, str | int] | None = None, **options: Any
        ) -> PostgresServer:
            install = postgres_binaries.installed(version)
            postgres = EmbeddedPostgres(
                install, settings_for(version) | (settings or {}), **options
            )
            server = PostgresServer(stack.enter_context(postgres))
            stack.callback(server.close_connections)
            return server

        yield own


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackDouble]:
    """Yield a workspace; slack_sdk would ask a proxy also for this machine."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with SlackDouble() as slack:
        yield slack


def pip(*arguments: str | Path) -> None:
    """Run pip, which has to do without an index."""
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        env=os.environ | {"PIP_NO_INDEX": "1"},
        check=True,
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from a copy of the source: a folder that is not versioned."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    unversioned = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT, source, symlinks=True, ignore=unversioned, dirs_exist_ok=True)
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", built, source)
    [wheel] = built.glob("*.whl")
    return wheel
