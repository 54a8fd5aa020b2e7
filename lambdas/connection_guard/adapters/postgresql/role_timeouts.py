"""The timeouts that PostgreSQL has for the sessions of a role."""

from collections.abc import Mapping
from datetime import timedelta

from connection_guard.adapters.postgresql.names import identifier
from connection_guard.core.replay.gaps import GapKind

SETTINGS: Mapping[GapKind, str] = {
    GapKind.IDLE_IN_TRANSACTION: "idle_in_transaction_session_timeout",
    GapKind.IDLE: "idle_session_timeout",
    GapKind.TRANSACTION: "transaction_timeout",
}
"""PostgreSQL manual, 20.11.1. The first ends transactions that failed, too."""

FIRST_WITH_TRANSACTION_TIMEOUT = 17

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def has_timeout(kind: GapKind, version: str) -> bool:
    """Return whether a server of that version, such as 16.4, knows the setting."""
    if kind is not GapKind.TRANSACTION:
        return True
    major = version.partition(".")[0]
    return major.isdecimal() and int(major) >= FIRST_WITH_TRANSACTION_TIMEOUT


def set_timeout(role: str, kind: GapKind, timeout: timedelta) -> str:
    """Return the statement that sets the timeout for new sessions of the role."""
    value = in_its_unit(timeout).replace(" ", "")
    return f"ALTER ROLE {identifier(role)} SET {SETTINGS[kind]} = '{value}';"


def in_its_unit(timeout: timedelta) -> str:
    """Return the timeout in the largest of PostgreSQL's units that it is a whole number of."""
    seconds = timeout // timedelta(seconds=1)
    unit, length = next(each for each in _UNITS if seconds % each[1] == 0)
    return f"{seconds // length} {unit}"
