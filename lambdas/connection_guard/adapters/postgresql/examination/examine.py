"""Reads what only a person asks for: what the guard's roles may do, and the settings that others
have given them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from connection_guard.adapters.postgresql.guard_session import GuardSession, execute
from connection_guard.adapters.postgresql.names import identifier


@dataclass(frozen=True, slots=True)
class GuardRole:
    """One of the guard's roles on a server: the same for every role that asks.

    `connection_limit` is -1 without one. `uses_reserved_connections` is None where the server has
    no such privilege, `has_rds_iam` where it is not Amazon RDS. `was_paused` says that it has the
    grant that pauses it, also where the pause has expired.
    """

    name: str
    is_there: bool
    can_log_in: bool
    connection_limit: int
    reads_all_stats: bool
    signals_sessions: bool
    uses_reserved_connections: bool | None
    has_rds_iam: bool | None
    was_paused: bool


@dataclass(frozen=True, slots=True)
class SettingOfRole:
    """A setting of a role, of a database, or of a role in a database; empty is each of them.

    `value` is None for an application's own setting, which may be a secret. `is_overridden` says
    that the guard's session sets another.
    """

    role: str
    database: str
    name: str
    value: str | None
    is_overridden: bool

    @property
    def reset(self) -> str:
        """The statement that removes it."""
        setting = identifier(self.name) if "." not in self.name else self.name
        if self.role and self.database:
            owner = f"ROLE {identifier(self.role)} IN DATABASE {identifier(self.database)}"
        elif self.role:
            owner = f"ROLE {identifier(self.role)}"
        elif self.database:
            owner = f"DATABASE {identifier(self.database)}"
        else:
            owner = "ROLE ALL"
        return f"ALTER {owner} RESET {setting};"


@dataclass(frozen=True, slots=True)
class Examination:
    """What a server shows to a person who asks. `timeouts` are those that a session of the role
    that logged in begins with, by PostgreSQL's names; zero is none.
    """

    roles: tuple[GuardRole, ...]
    settings: tuple[SettingOfRole, ...]
    timeouts: Mapping[str, timedelta]


def examine(session: GuardSession, guard_roles: Collection[str], deadline: float) -> Examination:
    """Return what the server shows by the deadline (of time.monotonic). Raise DatabaseError as
    `execute` does.
    """
    parameters = {"guard_roles": list(guard_roles)}
    roles = execute(session, "guard_roles", parameters, deadline)
    settings = execute(session, "role_settings", parameters, deadline)
    timeouts = execute(session, "timeouts", {}, deadline)
    return Examination(
        tuple(GuardRole(*row) for row in roles),
        tuple(SettingOfRole(*row) for row in settings),
        {row.name: timedelta(milliseconds=row.milliseconds) for row in timeouts},
    )
