"""What was seen of the database: a Measurement of its limits and counts, and a Snapshot of its
sessions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connection_guard.core.database.capacity import Capacity, ConnectionLimit
from connection_guard.core.database.pause import Pause
from connection_guard.core.database.session import Session


@dataclass(frozen=True, slots=True)
class Server:
    """The server that answered, by which a failover or a restart can be recognised. `version` is as
    its engine writes it.
    """

    address: str
    port: int
    started_at: datetime
    version: str
    database: str
    is_in_recovery: bool


@dataclass(frozen=True, slots=True)
class Privileges:
    """What the guard's role may do. `uses_reserved_connections` is None where the server has no
    such privilege.
    """

    reads_all_stats: bool
    signals_sessions: bool
    uses_reserved_connections: bool | None


@dataclass(frozen=True, slots=True)
class LoginStatistics:
    """Logins since the server's statistics were reset, and how many of their sessions lost their
    client (`abandoned`) or ended with an error (`fatal`).

    `by_database` holds the databases with the most logins.
    """

    total: int
    abandoned: int
    fatal: int
    by_database: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one look shows without the sessions themselves: all that a heartbeat needs.

    `used` counts the slots that are taken: sessions, and the `logins_in_progress` where no session
    shows them. `refused_a_login` says that the server refused the guard itself for want of a slot
    just before. `sessions_by_state` counts sessions under the values of SessionState, under
    `hidden` where the state is hidden, and under the server's own word where the guard does not
    know it; `other_backends` counts all other processes by their type. `memories` are the
    engagements that earlier runs kept in the database; `has_stale_seats` says that their execution
    environments left sessions behind. `logins` is None where the server does not count them.
    `pause` is None where the guard is not paused, or no longer.
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
    pause: Pause | None = None

    @property
    def utilisation(self) -> float:
        """Percent of the usable connections in use: over 100 once a reserve is in use."""
        return self.utilisation_by(self.used)

    def utilisation_by(self, used: int) -> float:
        """Return what percentage that many slots are. A server that refuses logins is full, even if
        fewer are seen.
        """
        return max(100 * used / self.capacity.usable, 100.0 if self.refused_a_login else 0.0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A measurement and every session; `taken_at` is when the sessions were read, by the database's
    clock.
    """

    measurement: Measurement
    taken_at: datetime
    sessions: tuple[Session, ...]

    @property
    def used(self) -> int:
        """The slots that are taken: by sessions, and by logins in progress."""
        return len(self.sessions) + self.measurement.logins_in_progress

    @property
    def utilisation(self) -> float:
        """Percent of the usable connections in use."""
        return self.measurement.utilisation_by(self.used)
