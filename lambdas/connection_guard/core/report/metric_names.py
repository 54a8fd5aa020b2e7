"""The guard's own CloudWatch metrics, spelled once for alarms, dashboards and the responder."""

from enum import StrEnum

NAMESPACE = "ConnectionGuard"
DIMENSION = "Database"


class Metric(StrEnum):
    """A metric's name; `unit` is CloudWatch's word for what it counts."""

    unit: str

    def __new__(cls, name: str, unit: str = "Count") -> "Metric":
        metric = str.__new__(cls, name)
        metric._value_ = name
        metric.unit = unit
        return metric

    USABLE = "Usable"
    USED = "Used"
    UTILISATION = "Utilisation", "Percent"
    SESSIONS_ACTIVE = "SessionsActive"
    SESSIONS_IDLE = "SessionsIdle"
    SESSIONS_IDLE_IN_TRANSACTION = "SessionsIdleInTransaction"
    SESSIONS_IDLE_IN_TRANSACTION_ABORTED = "SessionsIdleInTransactionAborted"
    SESSIONS_FASTPATH = "SessionsFastpath"
    SESSIONS_STARTING = "SessionsStarting"
    SESSIONS_DISABLED = "SessionsDisabled"
    SESSIONS_HIDDEN = "SessionsHidden"
    OLDEST_IDLE_IN_TRANSACTION = "OldestIdleInTransaction", "Seconds"
    HIGHEST_ROLE_LIMIT_UTILISATION = "HighestRoleLimitUtilisation", "Percent"
    HIGHEST_DATABASE_LIMIT_UTILISATION = "HighestDatabaseLimitUtilisation", "Percent"
    TERMINATED = "Terminated"
    SURVIVED = "Survived"
    PROXY_DOOR_OPEN = "ProxyDoorOpen"
    DIRECT_DOOR_OPEN = "DirectDoorOpen"
    SEAT_HELD = "SeatHeld"
    HEARTBEAT = "Heartbeat"
    PREFLIGHT_FAILED = "PreflightFailed"
    LOCKED_OUT = "LockedOut"
