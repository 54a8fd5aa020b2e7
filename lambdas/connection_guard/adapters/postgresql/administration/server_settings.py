"""Reads what a server has set for its roles, its databases and itself."""

from collections.abc import Collection

from connection_guard.adapters.postgresql.guard_session import GuardSession, execute
from connection_guard.adapters.postgresql.roles import AMAZON_ROLES
from connection_guard.core.database.login_role import (
    LoginRole,
    ServerSettings,
    Timeout,
    TimeoutSettings,
)

# It is Amazon's, too, and logs in; the guard never meets a session of it.
_TOPOLOGY_MANAGER = "rdstopmgr"


def read_server_settings(session: GuardSession, guard_roles: Collection[str]) -> ServerSettings:
    """Return the settings. Raise DatabaseError as `execute` does."""
    names = {"names": [str(timeout) for timeout in Timeout]}
    excluded = {
        "guard_roles": list(guard_roles),
        "amazon_roles": [*AMAZON_ROLES, _TOPOLOGY_MANAGER],
    }
    (server,) = execute(session, "server_settings", names)
    return ServerSettings(
        roles=tuple(
            LoginRole(row.role, row.connection_limit, row.sessions)
            for row in execute(session, "login_roles", excluded)
        ),
        timeouts=TimeoutSettings(
            of_server={
                Timeout(name): is_on
                for name, is_on in zip(server.timeouts, server.are_on, strict=True)
            },
            of_roles={
                (row.role, row.database, Timeout(row.name)): row.is_on
                for row in execute(session, "timeouts_of_roles", names)
            },
        ),
        pending_restart=dict(zip(server.pending, server.pending_values, strict=True)),
        database_limits=dict(zip(server.limited_databases, server.database_limits, strict=True)),
        reserve_roles=frozenset(server.reserve_roles),
    )
