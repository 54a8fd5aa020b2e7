"""What an audit decides by: one look at a server, and what is set on it."""

from dataclasses import dataclass
from datetime import timedelta

from connection_guard.core.budget.service import Service
from connection_guard.core.database.login_role import ServerSettings
from connection_guard.core.database.session import IN_TRANSACTION_STATES, Session, SessionState
from connection_guard.core.database.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """`idle_for` is from when on a session counts as long idle. `services` are those that
    guard.toml declares for this database.
    """

    snapshot: Snapshot
    settings: ServerSettings
    guard_roles: tuple[str, ...]
    idle_for: timedelta
    services: tuple[Service, ...]

    @property
    def clients(self) -> tuple[Session, ...]:
        """The sessions of applications and people: neither the guard's nor Amazon's, nor those in
        RDS Proxy's own pool, whose idle clocks the proxy resets.
        """
        return tuple(
            session
            for session in self.snapshot.sessions
            if session.role not in self.guard_roles
            and not session.is_owned_by_amazon
            and not session.is_owned_by_proxy
        )

    def is_long_idle(self, session: Session) -> bool:
        """Return whether the session has been idle, in a transaction or not, for `idle_for`."""
        is_idle = session.state is SessionState.IDLE or session.state in IN_TRANSACTION_STATES
        return is_idle and session.time_in_state(self.snapshot.taken_at) >= self.idle_for
