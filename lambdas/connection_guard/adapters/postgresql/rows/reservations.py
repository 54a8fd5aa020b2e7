"""PostgreSQL's settings that keep connections from applications."""

from typing import Any

from connection_guard.core.database.capacity import Capacity

RESERVED_CONNECTIONS = "reserved_connections"
"""The reserve of the roles that have pg_use_reserved_connections, from PostgreSQL 16 on."""

# Each is a column of measure.sql. Only Amazon RDS has the last two.
_RESERVATIONS = (
    "superuser_reserved_connections",
    RESERVED_CONNECTIONS,
    "rds_superuser_reserved_connections",
    "rds_reserved_connections",
)


def capacity_of(row: Any) -> Capacity:
    """Return the capacity that a row of measure.sql shows; a reservation that the server does not
    know is 0.
    """
    return Capacity(
        row.max_connections, {setting: getattr(row, setting) for setting in _RESERVATIONS}
    )
