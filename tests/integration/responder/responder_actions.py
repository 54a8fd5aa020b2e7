"""What several tests of the responder do with a real server."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import psycopg2
from psycopg2.extensions import connection

from connection_guard.adapters.postgresql.turn import MEMORY, TURN
from connection_guard.core.decision.engagement import Engagement, ready_to_save, to_text
from connection_guard.core.policy import Policy
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.builders import (
    a_heartbeat_event,
)
from tests.support.guarded import GUARD, Guarded


def terminated(report: dict[str, Any]) -> int:
    """Return how many sessions the run terminated."""
    return int(report["outcomes"].get("terminated", 0))


def with_policy(guarded: Guarded, policy: Policy, **options: Any) -> Guarded:
    """Return another guard of the same database, which has its seat."""
    another = Guarded(guarded.server, policy, **options)
    another.deliver(a_heartbeat_event())
    return another


def run(client: connection, statement: str) -> None:
    """Run the statement in the client's session."""
    with client.cursor() as cursor:
        cursor.execute(statement)


def sessions_of_app(server: PostgresServer) -> set[int]:
    """Return the pids of the application's sessions."""
    return {
        pid for (pid,) in server.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'app'")
    }


def is_gone(client: connection) -> bool:
    """Return whether the client's session has ended."""
    try:
        run(client, "SELECT 1")
    except psycopg2.Error:
        return True
    return False


Environment = Callable[..., Guarded]


def deliver_at_once(environments: Sequence[Guarded]) -> list[dict[str, Any]]:
    """Return the reports on an alarm that all environments get at the same moment, in the order in
    which they ended.
    """
    reports: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda guard=guard: reports.append(guard.deliver()))
        for guard in environments
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


def hold_the_turn(database: PostgresServer, role: str) -> connection:
    """Return a session of the role that holds the lock by which the guard's runs take turns."""
    session = database.connect(
        role, application_name="connection-guard direct" if role == GUARD else ""
    )
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (TURN,))
    return session


def a_memory(saved_at: datetime, **engagement: Any) -> str:
    """Return what another execution environment remembered, as its role's application_name."""
    return MEMORY + to_text(ready_to_save(Engagement(**engagement), saved_at))
