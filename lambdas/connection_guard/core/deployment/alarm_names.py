"""The names of the alarms: written by the stack, read by the reporter."""

_PREFIX = "connection-guard"

# While one of these is on, the guard cannot help the database.
NO_HEARTBEAT = "no-heartbeat"
LOCKED_OUT = "locked-out"
MISSING_PRIVILEGE = "missing-privilege"


def database_alarm_name(database: str, what: str) -> str:
    """Return the name of an alarm on a database."""
    return f"{_PREFIX}-{database}-{what}"


def is_alarm_of(database: str, alarm: str) -> bool:
    """Return whether the alarm may be one on the database: another's identifier may begin with
    this one's and a hyphen.
    """
    return alarm.startswith(database_alarm_name(database, ""))


def leaves_unprotected(alarm: str) -> bool:
    """Return whether the guard cannot help the database while the alarm is on."""
    return alarm.endswith(
        tuple(f"-{what}" for what in (NO_HEARTBEAT, LOCKED_OUT, MISSING_PRIVILEGE))
    )
