"""A session of the guard, and a proxy in front of a real server."""

import time
from collections.abc import Iterator

import pytest

from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from doubles.aws.rds_proxy_double import RdsProxyDouble
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.guarded import Guarded


@pytest.fixture
def guard(database: PostgresServer) -> Iterator[GuardSession]:
    guarded = Guarded(database)
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
    yield session
    session.close()


@pytest.fixture
def proxy(database: PostgresServer) -> Iterator[RdsProxyDouble]:
    with RdsProxyDouble((database.host, database.port)) as proxy:
        yield proxy
