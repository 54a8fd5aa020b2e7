"""One session of the database."""

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
"""A pid and when its session began, which identify a session on one server: pids are reused."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The role, application and client whose sessions most likely belong to one pool."""

    role: str
    application_name: str
    client_address: str


@dataclass(frozen=True, slots=True)
class LastUse:
    """What the last statements of a session show about its use.

    `only_opened`: the session has done no work since it was opened. `given_back`: its pool has it,
    unused or reset. `says_nothing`: any application sends such statements, so that they do not show
    what this one does.
    """

    only_opened: bool = False
    given_back: bool = False
    says_nothing: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A client's session. All times are the database's own.

    `state` is None where the server hides it or the guard does not know it. `role_id` identifies
    the role to the server, since a name can be in an encoding that cannot be sent back; `role` is
    empty where the role was dropped before its session ended. `client_address` is empty on a Unix
    socket. `query` is masked. `blocked_by` holds the pids whose locks, or whose earlier place in a
    lock's queue, this session waits for.

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
        """Return how long the session has been in its state; zero where that is not known.

        It is never negative, although a session can change state after the snapshot's clock was
        read.
        """
        if self.state_change is None:
            return timedelta()
        return max(at - self.state_change, timedelta())
