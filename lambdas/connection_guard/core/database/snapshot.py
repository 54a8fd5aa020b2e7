"""What was seen of the database: its limits (a Measurement, one round trip) and its sessions (a
Snapshot, one more).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connection_guard.core.database.capacity import Capacity, ConnectionLimit
from connection_guard.core.database.session import Session


@dataclass(frozen=True, slots=True)
class Server:
    """Which server answered: enough to tell a failover or a restart from the same server still
    running.
    """

    address: str
    port: int
    started_at: datetime
    version: int
    database: str
    is_in_recovery: bool


@dataclass(frozen=True, slots=True)
class Privileges:
    """What the guard's role may do. `uses_reserved_connections` is None before PostgreSQL 16: there
    is no such role.
    """

    reads_all_stats: bool
    signals_sessions: bool
    uses_reserved_connections: bool | None
    is_paused: bool


@dataclass(frozen=True, slots=True)
class LoginStatistics:
    """Logins since the server's statistics were reset, and sessions that ended badly
    (pg_stat_database).

    `by_database` holds the databases with the most logins.
    """

    total: int
    abandoned: int
    fatal: int
    by_database: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one look at the whole gives, without its sessions: enough for a heartbeat.

    `used` counts the slots that are taken: client sessions, and before PostgreSQL 18 the
    `logins_in_progress`, which no session shows. `refused_a_login` says that the server refused the
    guard itself for want of a slot just before. `sessions_by_state` counts client backends under
    PostgreSQL's state literals, `hidden` where the state is NULL; `other_backends` counts every
    other kind of backend by its backend_type. `memories` are the engagements that earlier runs kept
    in the database; `has_stale_seats` says that their execution environments left sessions behind.
    `logins` is None before PostgreSQL 15.
    """

    taken_at: datetime
    server: Server
    role: str
    privileges: Privileges
    capacity: Capacity
    used: int
    sessions_by_state: Mapping[str, int]
    oldest_idle_in_transaction: timedelta
    limits: tuple[ConnectionLimit, ...]
    other_backends: Mapping[str, int]
    memories: tuple[str, ...] = ()
    has_stale_seats: bool = False
    logins_in_progress: int = 0
    refused_a_login: bool = False
    logins: LoginStatistics | None = None

    @property
    def utilisation(self) -> float:
        """Percent of the usable connections in use: over 100 once a reserve is in use."""
        return self.utilisation_by(self.used)

    def utilisation_by(self, used: int) -> float:
        """Return the percentage that so many slots are: a server that refuses logins is full,
        whatever can be seen.
        """
        return max(100 * used / self.capacity.usable, 100.0 if self.refused_a_login else 0.0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A measurement and every client backend, both from the database's own clock; `taken_at` is the
    sessions' clock.
    """

    measurement: Measurement
    taken_at: datetime
    sessions: tuple[Session, ...]

    @property
    def used(self) -> int:
        """How many slots are taken: by the sessions, and by logins in progress that are none
        yet.
        """
        return len(self.sessions) + self.measurement.logins_in_progress

    @property
    def utilisation(self) -> float:
        """Percent of the usable connections in use."""
        return self.measurement.utilisation_by(self.used)
