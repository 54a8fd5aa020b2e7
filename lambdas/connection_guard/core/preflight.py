"""What the guard's role must be granted before anything it sees can be trusted."""

from connection_guard.core.snapshot import Measurement


def missing_grants(measurement: Measurement) -> tuple[str, ...]:
    """The GRANT that mends each privilege without which the guard is blind or powerless.

    Without pg_read_all_stats every stranger's state is NULL, and there would seem to be nothing to terminate.
    """
    privileges = measurement.privileges
    return tuple(
        _grant(privilege, measurement.role)
        for privilege, is_held in (
            ("pg_read_all_stats", privileges.reads_all_stats),
            ("pg_signal_backend", privileges.signals_sessions),
        )
        if not is_held
    )


def advisable_grants(measurement: Measurement) -> tuple[str, ...]:
    """The GRANT without which the second door stays shut on a full database, where the server knows it."""
    if measurement.privileges.uses_reserved_connections is False:
        return (_grant("pg_use_reserved_connections", measurement.role),)
    return ()


def _grant(privilege: str, role: str) -> str:
    quoted = role.replace('"', '""')
    return f'GRANT {privilege} TO "{quoted}";'
