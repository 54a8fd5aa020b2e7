"""The names of the alarms: written by the stack, read by the reporter and the command line."""

from connection_guard.core.policy import Tier

USAGE_TIERS = {
    "warning": Tier.WARNING,
    "critical": Tier.CRITICAL,
    "critical-measured": Tier.CRITICAL,
}

# While this one is on, the guard cannot do its work for the database.
UNGUARDED = "unguarded"
LIMIT = "limit"

_OF_DATABASE = (*USAGE_TIERS, UNGUARDED, LIMIT)


def database_alarm_name(prefix: str, database: str, what: str) -> str:
    """Return the name of an alarm on a database. `prefix` is the stack's name, unless somebody
    chose another: two stacks may guard one database while it moves from one to the other.
    """
    return f"{prefix}-{database}-{what}"


def alarms_on_same_database(alarm: str) -> tuple[str, ...]:
    """Return the names of all alarms on the database that one is on, none where it is on no
    database.
    """
    for what in _OF_DATABASE:
        if alarm.endswith(f"-{what}"):
            return tuple(f"{alarm.removesuffix(what)}{each}" for each in _OF_DATABASE)
    return ()


def leaves_unprotected(alarm: str) -> bool:
    """Return whether the guard may not be able to help the database while the alarm is on."""
    return alarm.endswith(f"-{UNGUARDED}")
