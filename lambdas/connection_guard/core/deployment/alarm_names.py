"""The names of the alarms: written by the stack, read by the reporter and the command line."""

# While this one is on, the guard cannot do its work for the database.
UNGUARDED = "unguarded"
LIMIT = "limit"


def database_alarm_name(prefix: str, database: str, what: str) -> str:
    """Return the name of an alarm on a database. `prefix` is the stack's name, unless somebody
    chose another: two stacks may guard one database while it moves from one to the other.
    """
    return f"{prefix}-{database}-{what}"


def leaves_unprotected(alarm: str) -> bool:
    """Return whether the guard may not be able to help the database while the alarm is on."""
    return alarm.endswith(f"-{UNGUARDED}")
