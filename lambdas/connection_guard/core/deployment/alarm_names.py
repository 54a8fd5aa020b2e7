"""The names of the alarms: written by the stack, read by the reporter."""

# While one of these is on, the guard cannot help the database.
NO_HEARTBEAT = "no-heartbeat"
LOCKED_OUT = "locked-out"
MISSING_PRIVILEGE = "missing-privilege"


def database_alarm_name(prefix: str, database: str, what: str) -> str:
    """Return the name of an alarm on a database. The prefix is the stack's name, unless somebody
    chose another: two stacks may guard one database while it moves from one to the other.
    """
    return f"{prefix}-{database}-{what}"


def is_alarm_of(database: str, alarm: str) -> bool:
    """Return whether the alarm may be one on the database: another's identifier may begin with
    this one's and a hyphen.
    """
    return f"-{database}-" in alarm


def leaves_unprotected(alarm: str) -> bool:
    """Return whether the guard cannot help the database while the alarm is on."""
    return alarm.endswith(
        tuple(f"-{what}" for what in (NO_HEARTBEAT, LOCKED_OUT, MISSING_PRIVILEGE))
    )
