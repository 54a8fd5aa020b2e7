"""Guards that keep looking, and runs in execution environments of their own."""

import threading
from datetime import datetime, timedelta
from typing import Any

from psycopg2.extensions import connection

from connection_guard.core.decision.heartbeat_watch import WatchTimes
from connection_guard.core.policy import Policy
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.builders import (
    a_heartbeat_event,
)
from tests.support.guarded import GUARD, Guarded

QUICK = WatchTimes(between_looks=timedelta(milliseconds=50), at_critical=timedelta(milliseconds=20))
# Of 34 connections that applications can get, so many are above the warning and below critical.
PRESSED = 27
# A watch ends eleven seconds before the function.
SECONDS_OF_SHORT_WATCH = 12.0


def watching(
    server: PostgresServer, policy: Policy | None = None, watch_from: float = 75
) -> Guarded:
    """Return a guard that has its seat and will keep looking, every 50 ms."""
    guard = Guarded(server, policy, watch_times=QUICK, watch_from_percent=watch_from)
    assert guard.deliver(a_heartbeat_event())["recovered"]  # as far as a new process knows
    return guard


def open_sessions(server: PostgresServer, number: int) -> list[connection]:
    return [server.connect("app") for _ in range(number)]


class Run(threading.Thread):
    """A run in an execution environment of its own."""

    def __init__(self, guard: Guarded, event: dict[str, Any], seconds_left: float = 55.0) -> None:
        super().__init__(daemon=True)
        self._guard, self._event, self._seconds_left = guard, event, seconds_left
        self._report: dict[str, Any] = {}
        self.start()

    def run(self) -> None:
        self._report = self._guard.deliver(self._event, seconds_left=self._seconds_left)

    def report(self) -> dict[str, Any]:
        """Return the run's report once it has ended."""
        wait_until(lambda: not self.is_alive())
        assert self._report, "the run failed"
        return self._report


def wait_for_looks(guard: Guarded, looks: int = 3) -> None:
    """Wait until the guard has measured so many times more."""
    seen = set[datetime]()
    query = "SELECT query_start FROM pg_stat_activity WHERE usename = %s"

    def has_looked() -> bool:
        seen.update(start for (start,) in guard.server.execute(query, (GUARD,)))
        return len(seen) > looks

    wait_until(has_looked)


def has_the_turn(database: PostgresServer) -> bool:
    return database.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") == [(1,)]
