"""One session of the database, as a row of pg_stat_activity and pg_locks shows it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class SessionState(StrEnum):
    """What a session is doing, in the words of policies, reports and metrics."""

    ACTIVE = "active"
    IDLE = "idle"
    IDLE_IN_TRANSACTION = "idle in transaction"
    IDLE_IN_TRANSACTION_ABORTED = "idle in transaction (aborted)"
    FASTPATH = "fastpath function call"
    STARTING = "starting"
    DISABLED = "disabled"


IN_TRANSACTION_STATES = frozenset(
    {SessionState.IDLE_IN_TRANSACTION, SessionState.IDLE_IN_TRANSACTION_ABORTED}
)


Identity = tuple[int, datetime]
"""A backend's pid and start: what names a session on one server, since pids are used again."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Sessions that one application's pool on one client most likely owns together."""

    role: str
    application_name: str
    client_address: str


@dataclass(frozen=True, slots=True)
class LastUse:
    """What the last statements of a session show of its use.

    `only_opened`: the session has done no work since it was opened. `given_back`: its pool has it,
    unused or reset. `says_nothing`: any application sends such statements, so that they do not show
    what this one does.
    """

    only_opened: bool = False
    given_back: bool = False
    says_nothing: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A client backend. All times are the database's own.

    `state` is None where the server hides it from the reader. `role_id` is the role's OID, since a
    name can be in an encoding that cannot be sent back; `role` is empty where the role was dropped
    while the session lives on. `client_address` is empty on a Unix socket. `query` is masked.
    `blocked_by` names the pids whose locks, or whose earlier place in a lock's queue, this session
    waits for.

    `is_owned_by_amazon` marks the sessions of the roles that belong to the service itself. Evidence
    holds neither that nor `last_use`: a session that is read from it has the defaults.
    """

    pid: int
    backend_start: datetime
    role: str
    role_id: int
    database: str
    application_name: str
    client_address: str
    state: SessionState | None
    state_change: datetime | None
    transaction_start: datetime | None
    query_start: datetime | None
    wait_event_type: str | None
    wait_event: str | None
    query: str
    is_superuser: bool
    is_listening: bool
    holds_advisory_lock: bool
    is_owned_by_proxy: bool
    blocked_by: tuple[int, ...]
    is_owned_by_amazon: bool = False
    last_use: LastUse = LastUse()

    @property
    def identity(self) -> Identity:
        return self.pid, self.backend_start

    @property
    def pool(self) -> Pool:
        return Pool(self.role, self.application_name, self.client_address)

    def time_in_state(self, at: datetime) -> timedelta:
        """How long the session has been in its state at the snapshot's clock; zero where that is
        not known.

        A session can change state between the reading of the clock and the reading of the row:
        never negative.
        """
        if self.state_change is None:
            return timedelta()
        return max(at - self.state_change, timedelta())
