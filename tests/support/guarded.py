"""A guarded database for the integration tests: a real server, the guard's role on it, and its
responder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg2
from psycopg2.extensions import connection

from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.decision.heartbeat_watch import WatchTimes
from connection_guard.core.diagnosis.case import DIAGNOSIS_TIMES, DiagnosisTimes
from connection_guard.core.policy import Policy
from doubles.postgresql.postgres_server import PostgresServer
from responder.respond import Responder
from tests.support.builders import a_policy, an_alarm_event, some_settings

GUARD = "connection_guard"

# With these no run has time for a second look: a test that is about that passes its own.
ONE_LOOK = WatchTimes(between_looks=timedelta(hours=1), at_critical=timedelta(hours=1))


@dataclass(frozen=True)
class Lambda:
    """What the responder needs of Lambda's context object."""

    seconds_left: float = 55.0

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * self.seconds_left)


class Guarded:
    """The guard of one server. All but the login is as in production."""

    def __init__(
        self,
        server: PostgresServer,
        policy: Policy | None = None,
        *,
        proxy: tuple[str, int] | None = None,
        direct_role: str = GUARD,
        diagnosis_times: DiagnosisTimes = DIAGNOSIS_TIMES,
        watch_times: WatchTimes = ONE_LOOK,
        watch_from_percent: float = 75,
        database_name: str = "postgres",
    ) -> None:
        self.server = server
        self.settings = some_settings(
            direct=Door(DoorName.DIRECT, server.host, server.port, direct_role),
            proxy=Door(DoorName.PROXY, *proxy, GUARD) if proxy else None,
            database_name=database_name,
            watch_from_percent=watch_from_percent,
        )
        self.logins: list[Door] = []
        self.responder = Responder(
            self.settings, policy or a_policy(), self.connect, diagnosis_times, watch_times
        )

    def deliver(
        self, event: Mapping[str, Any] | None = None, *, seconds_left: float = 55.0
    ) -> dict[str, Any]:
        """Return the Report on this event, or on a critical alarm."""
        return self.responder(event or an_alarm_event(), Lambda(seconds_left))

    def connect(self, door: Door) -> connection:
        self.logins.append(door)
        return psycopg2.connect(
            host=door.host,
            port=door.port,
            user=door.role,
            dbname=self.settings.database_name,
            async_=True,
        )


def create_guard_role(server: PostgresServer) -> None:
    """Create the guard's role with the privileges that it needs, as on RDS but for rds_iam."""
    server.execute(f"CREATE ROLE {GUARD} LOGIN")
    server.execute(f"GRANT pg_monitor, pg_signal_backend TO {GUARD}")
    if server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'pg_use_reserved_connections'"):
        server.execute(f"GRANT pg_use_reserved_connections TO {GUARD}")


def fill(server: PostgresServer, **session: Any) -> list[connection]:
    """Open sessions until the server refuses a further one, and return them."""
    opened = []
    while True:
        try:
            opened.append(server.connect(**session))
        except psycopg2.OperationalError:
            return opened


def can_log_in(server: PostgresServer, role: str = "app") -> bool:
    """Return whether a new client is served."""
    try:
        server.connect(role=role).close()
    except psycopg2.OperationalError:
        return False
    return True
