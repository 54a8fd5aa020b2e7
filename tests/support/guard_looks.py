"""What several tests of the adapter do with a real server."""

from collections.abc import Collection
from typing import Any

from psycopg2.extensions import connection

from connection_guard.adapters.postgresql.guard_session import GuardSession
from connection_guard.adapters.postgresql.observe import measure, take_snapshot
from connection_guard.core.database.session import Session
from connection_guard.core.database.snapshot import Snapshot
from doubles.aws.rds_proxy_double import RdsProxyDouble
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.guarded import GUARD, Guarded


def look(guard: GuardSession, proxy_addresses: Collection[str] = ()) -> Snapshot:
    """Return the snapshot that the guard takes now."""
    return take_snapshot(guard, measure(guard, [GUARD]), proxy_addresses)


def seen(guard: GuardSession, client: connection) -> Session:
    """Return the client's session as the guard sees it."""
    (session,) = [each for each in look(guard).sessions if each.pid == client.info.backend_pid]
    return session


def behind(proxy: RdsProxyDouble, database: PostgresServer, **options: Any) -> Guarded:
    """Return the guard of a database behind a proxy."""
    return Guarded(database, proxy=(proxy.host, proxy.port), **options)


def doors_of(report: dict[str, Any]) -> list[tuple[str, bool, bool]]:
    """Return which doors were tried, whether their session was kept, and whether they opened."""
    return [(door["door"], door["is_reused"], door["error"] is None) for door in report["doors"]]


def guards(database: PostgresServer) -> dict[str, int]:
    """Return the guard's sessions: the latest pid by application name."""
    sessions = (
        "SELECT application_name, pid FROM pg_stat_activity WHERE usename LIKE %s ORDER BY "
        "backend_start"
    )
    return dict(database.execute(sessions, (f"{GUARD}%",)))
