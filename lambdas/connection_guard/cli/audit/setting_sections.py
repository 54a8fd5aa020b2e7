"""What the audit finds among the settings: limits, timeouts, reserves, and what waits for a
restart.
"""

from collections.abc import Mapping

from connection_guard.adapters.postgresql.grants import grant_statement
from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.adapters.postgresql.rows.reservations import RESERVED_CONNECTIONS
from connection_guard.cli.audit.audit_facts import AuditFacts
from connection_guard.cli.audit.audit_section import AuditSection
from connection_guard.core.database.login_role import LoginRole, Timeout
from connection_guard.core.diagnosis.remedy import Remedy, RemedyKind

# What one role may have at most, of the connections that applications can get.
MOST_OF_ONE_ROLE_PERCENT = 80

_REMEDIES: Mapping[Timeout, RemedyKind] = {
    Timeout.IDLE_IN_TRANSACTION: RemedyKind.END_IDLE_TRANSACTIONS,
    Timeout.IDLE_SESSION: RemedyKind.END_IDLE_SESSIONS,
    Timeout.TRANSACTION: RemedyKind.END_LONG_TRANSACTIONS,
}


def unlimited_roles(facts: AuditFacts) -> AuditSection:
    """Return the roles of which one alone could take every connection."""
    usable = facts.snapshot.measurement.capacity.usable
    unlimited = [role for role in facts.settings.roles if role.limit is None]
    return AuditSection(
        "unlimited_roles",
        "Roles without CONNECTION LIMIT",
        "Any of these can take every connection. With a limit, a leak in one service leaves room "
        f"for the others. The statements allow {MOST_OF_ONE_ROLE_PERCENT} % of the {usable} usable "
        "connections; a service's own budget is better.",
        "Every role that applications log in as has a limit.",
        {"role": "role", "sessions": "sessions now"},
        tuple({"role": role.name, "sessions": role.sessions} for role in unlimited),
        tuple(
            f"{statement(Remedy(RemedyKind.LIMIT_ROLE, role.name, _limit(role, usable)))};"
            for role in unlimited
        ),
    )


def _limit(role: LoginRole, usable: int) -> int:
    return max(usable * MOST_OF_ONE_ROLE_PERCENT // 100, role.sessions, 1)


def missing_timeouts(facts: AuditFacts) -> AuditSection:
    """Return the timeouts that no setting turns on for a role in the databases that it uses."""
    used: dict[str, set[str]] = {}
    for session in facts.clients:
        used.setdefault(session.role, set()).add(session.database)
    timeouts = facts.settings.timeouts
    missing = [
        (role, timeout, tuple(database for database in databases if database))
        for role in facts.settings.roles
        for timeout in Timeout
        if (
            databases := sorted(
                database
                for database in used.get(role.name, {""})
                if timeouts.is_off(timeout, role.name, database)
            )
        )
    ]
    return AuditSection(
        "missing_timeouts",
        "Timeouts that are not set",
        "PostgreSQL itself can end what a client has forgotten. Before `idle_session_timeout` is "
        "set, make sure that the pool tests a connection before it lends it; before "
        "`transaction_timeout`, that the role runs no longer transactions, such as reports. "
        "`connection-guard replay` computes values from what was seen.",
        "Every role has the timeouts that this server knows.",
        {"role": "role", "timeout": "timeout", "databases": "databases now"},
        tuple(
            {"role": role.name, "timeout": str(timeout), "databases": ", ".join(databases)}
            for role, timeout, databases in missing
        ),
        tuple(
            f"{statement(Remedy(_REMEDIES[timeout], role.name))};" for role, timeout, _ in missing
        ),
    )


def pending_parameters(facts: AuditFacts) -> AuditSection:
    """Return the parameters that were changed and wait for a restart."""
    return AuditSection(
        "pending_parameters",
        "Parameters that wait for a reboot",
        "These were changed, and the server goes on with the old value until it is rebooted.",
        "The server reports none. On Amazon RDS, see also the parameter group's status, which "
        "`connection-guard discover` shows.",
        {"parameter": "parameter", "value": "value in force"},
        tuple(
            {"parameter": name, "value": value}
            for name, value in facts.settings.pending_restart.items()
        ),
    )


def unused_reserve(facts: AuditFacts) -> AuditSection:
    """Return what keeps the guard from a reserve, on servers that can have one."""
    measurement = facts.snapshot.measurement
    reserved = measurement.capacity.reservations[RESERVED_CONNECTIONS]
    can_reserve = measurement.privileges.uses_reserved_connections is not None
    lacking = [role for role in facts.guard_roles if role not in facts.settings.reserve_roles]
    rows: list[dict[str, str | int]] = []
    if can_reserve and not reserved:
        rows.append({"what": RESERVED_CONNECTIONS, "needs": "2 or more, and a reboot"})
    if can_reserve:
        rows += [{"what": role, "needs": "pg_use_reserved_connections"} for role in lacking]
    return AuditSection(
        "unused_reserve",
        "Reserved connections that nobody can use",
        "Without a reserve the guard cannot log in to a full database, unless it kept its seat.",
        f"The guard can use the {reserved} reserved connections."
        if can_reserve
        else "Before PostgreSQL 16 there are none that the guard could use.",
        {"what": "setting or role", "needs": "what it needs"},
        tuple(rows),
        tuple(
            grant_statement("pg_use_reserved_connections", role)
            for role in (lacking if can_reserve else ())
        ),
    )
