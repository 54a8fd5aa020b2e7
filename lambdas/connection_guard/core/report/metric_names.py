"""What the responder writes in one line of its log per run: a few metrics, which feed alarms and
are paid for one by one, and fields, which Logs Insights reads and which cost nothing extra.
"""

from enum import StrEnum

NAMESPACE = "ConnectionGuard"
DIMENSION = "Database"


class Metric(StrEnum):
    """A metric's name; `unit` is CloudWatch's word for what it counts. Each one feeds an alarm."""

    unit: str

    def __new__(cls, name: str, unit: str = "Count") -> "Metric":
        metric = str.__new__(cls, name)
        metric._value_ = name
        metric.unit = unit
        return metric

    USABLE = "Usable"
    UTILISATION = "Utilisation", "Percent"
    HEALTHY = "Healthy"
    HIGHEST_LIMIT_UTILISATION = "HighestLimitUtilisation", "Percent"


class Field(StrEnum):
    """The name of a field of the same line."""

    DATABASE = "database"
    KIND = "kind"
    FAULTS = "faults"
    USABLE = "usable"
    USED = "used"
    UTILISATION = "utilisation"
    SESSIONS_ACTIVE = "sessions_active"
    SESSIONS_IDLE = "sessions_idle"
    SESSIONS_IDLE_IN_TRANSACTION = "sessions_idle_in_transaction"
    SESSIONS_IDLE_IN_TRANSACTION_ABORTED = "sessions_idle_in_transaction_aborted"
    SESSIONS_FASTPATH = "sessions_fastpath"
    SESSIONS_STARTING = "sessions_starting"
    SESSIONS_DISABLED = "sessions_disabled"
    SESSIONS_HIDDEN = "sessions_hidden"
    OLDEST_IDLE_IN_TRANSACTION_SECONDS = "oldest_idle_in_transaction_seconds"
    HIGHEST_ROLE_LIMIT_UTILISATION = "highest_role_limit_utilisation"
    HIGHEST_DATABASE_LIMIT_UTILISATION = "highest_database_limit_utilisation"
    TERMINATED = "terminated"
    SURVIVED = "survived"
    PROXY_DOOR_OPEN = "proxy_door_open"
    DIRECT_DOOR_OPEN = "direct_door_open"
    SEAT_HELD = "seat_held"
