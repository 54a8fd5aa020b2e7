"""The facts that a diagnosis is made from, and what it consists of."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import ceil

from connection_guard.core.database.session import Pool, Session, SessionState
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.database.trend import Logins
from connection_guard.core.decision.outcome import Reconnection, Vanished
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.remedy import Advice

# Below this share of the usable connections there is no shortage to explain. All pools together are
# sized to it, too: that is below the warning at 75 % and keeps room for deploys, jobs and people.
COMFORTABLE_PERCENT = 60
# A remedy for less than a tenth of the usable connections does not bring a full database below its
# critical alarm at 90 %.
CONSIDERABLE_PERCENT = 10
# On a tiny database a tenth is one session; fewer than three are a coincidence.
FEWEST_SESSIONS = 3

Figures = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class DiagnosisTimes:
    """The durations that distinguish one cause from another."""

    # A lull in the traffic leaves sessions unused for a minute or two. After five minutes no client
    # is about to come back.
    unused_for: timedelta = timedelta(minutes=5)
    # A pool that lends its sessions in turn uses all of them within minutes, even in light traffic.
    # Sessions that fell out of use one by one over a longer time were lost while the application
    # ran.
    leak_grows_over: timedelta = timedelta(minutes=5)
    storm_window: timedelta = timedelta(minutes=2)
    # No statement, network round trip or retry leaves a transaction idle for a whole minute: the
    # client has forgotten the transaction, or is waiting for something else.
    idle_in_transaction_for: timedelta = timedelta(minutes=1)


DIAGNOSIS_TIMES = DiagnosisTimes()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One cause: how many sessions it explains, since when (None where that is not known), the
    figures that show it, and what to change.

    `evidence` holds strings and numbers under names that a reader understands.
    """

    cause: Cause
    sessions: int
    since: datetime | None
    summary: str
    evidence: Mapping[str, str | int | float]
    advice: Advice


@dataclass(frozen=True)
class Case:
    """The snapshot to be diagnosed, and what else a run knows (see `diagnose`)."""

    snapshot: Snapshot
    times: DiagnosisTimes = DIAGNOSIS_TIMES
    guard_roles: Collection[str] = ()
    protected_roles: Collection[str] = ()
    reconnections: tuple[Reconnection, ...] = ()
    reopening_pools: Collection[Pool] = ()
    terminated_since: datetime | None = None
    vanished: tuple[Vanished, ...] = ()
    logins: Logins | None = None

    @cached_property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions without the guard's own, which are neither load nor a mistake."""
        own = {self.snapshot.measurement.role, *self.guard_roles}
        return tuple(session for session in self.snapshot.sessions if session.role not in own)

    @property
    def at(self) -> datetime:
        """The time of the snapshot."""
        return self.snapshot.taken_at

    @property
    def usable(self) -> int:
        """The connections that applications can really get."""
        return self.snapshot.measurement.capacity.usable

    @property
    def considerable(self) -> int:
        """The fewest sessions that it matters to explain."""
        return max(ceil(self.usable * CONSIDERABLE_PERCENT / 100), FEWEST_SESSIONS)

    def is_fresh(self, session: Session) -> bool:
        """Return whether the session was opened just now."""
        return self.at - session.backend_start <= self.times.storm_window

    def is_unused(self, session: Session) -> bool:
        """Return whether the session is idle without a purpose. A listener and the holder of an
        advisory lock serve a purpose by being idle.
        """
        is_free = (
            session.state is SessionState.IDLE
            and not session.is_listening
            and not session.holds_advisory_lock
        )
        return is_free and session.time_in_state(self.at) >= self.times.unused_for


def idle(sessions: Collection[Session]) -> int:
    """Return how many of them are idle."""
    return sum(session.state is SessionState.IDLE for session in sessions)
