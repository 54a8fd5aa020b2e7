"""What a server has set for the roles that log in to it, and for itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Timeout(StrEnum):
    """What ends a session by itself, in the server's own words."""

    IDLE_IN_TRANSACTION = "idle_in_transaction_session_timeout"
    IDLE_SESSION = "idle_session_timeout"
    TRANSACTION = "transaction_timeout"


@dataclass(frozen=True, slots=True)
class LoginRole:
    """A role that applications log in as; `limit` is its own, None where it has none."""

    name: str
    limit: int | None
    sessions: int


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    """Which timeouts are on.

    `of_server` holds those that the server knows: None where the present session cannot see its
    value. `of_roles` holds what is set by role, by database, by both or, with two empty names, for
    all.
    """

    of_server: Mapping[Timeout, bool | None]
    of_roles: Mapping[tuple[str, str, Timeout], bool]

    def is_off(self, timeout: Timeout, role: str, database: str) -> bool:
        """Return whether it is known not to end sessions of the role in the database.

        The nearest setting counts (PostgreSQL manual, ALTER ROLE): the role's in this database, the
        role's, the database's, that of all, the server's.
        """
        if timeout not in self.of_server:
            return False
        for who in ((role, database), (role, ""), ("", database), ("", "")):
            if (is_on := self.of_roles.get((*who, timeout))) is not None:
                return not is_on
        return self.of_server[timeout] is False


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the whole server has set.

    `pending_restart` maps each changed parameter that waits for a restart to the value that still
    holds. `database_limits` holds the databases that have a limit of their own, `reserve_roles`
    the roles without other privileges that may use the reserve.
    """

    roles: tuple[LoginRole, ...]
    timeouts: TimeoutSettings
    pending_restart: Mapping[str, str]
    database_limits: Mapping[str, int]
    reserve_roles: frozenset[str]
