"""The privileges that the guard's role needs before what it sees can be trusted."""

from connection_guard.adapters.postgresql.names import identifier
from connection_guard.adapters.postgresql.rows.reservations import RESERVED_CONNECTIONS
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.reason import Reason, ReasonCode


def missing_grants(measurement: Measurement) -> tuple[str, ...]:
    """Return the GRANT for each missing privilege without which the guard is blind or powerless.

    Without pg_read_all_stats the state of every other role's session is NULL, and nothing would
    seem to be there to terminate.
    """
    privileges = measurement.privileges
    return tuple(
        grant_statement(privilege, measurement.role)
        for privilege, is_held in (
            ("pg_read_all_stats", privileges.reads_all_stats),
            ("pg_signal_backend", privileges.signals_sessions),
        )
        if not is_held
    )


def lacking(grants: tuple[str, ...]) -> Reason:
    """Return why the guard cannot act without these grants."""
    return Reason(ReasonCode.MISSING_PRIVILEGE, {"statements": " ".join(grants)})


def shortcomings(measurement: Measurement) -> tuple[str, ...]:
    """Return what keeps the second door shut on a full database, with its remedy, where the server
    can have a reserve.

    Before PostgreSQL 16 it cannot (PostgreSQL manual, reserved_connections): the guard then depends
    on its seat.
    """
    may_use_reserve = measurement.privileges.uses_reserved_connections
    if may_use_reserve is None:
        return ()
    mends = []
    if not may_use_reserve:
        mends.append(grant_statement("pg_use_reserved_connections", measurement.role))
    if measurement.capacity.reservations[RESERVED_CONNECTIONS] == 0:
        mends.append(f"set {RESERVED_CONNECTIONS} to 2 or more in the parameter group, and reboot.")
    return tuple(mends)


def grant_statement(privilege: str, role: str) -> str:
    """Return the statement that gives a role a privilege, which in PostgreSQL is a role, too."""
    return f"GRANT {privilege} TO {identifier(role)};"
