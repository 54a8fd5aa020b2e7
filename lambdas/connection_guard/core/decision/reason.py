"""Why something is decided or went wrong, as a value; report/wording.py puts it into words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from connection_guard.core.database.pause import Pause


class ReasonCode(StrEnum):
    """Names a reason for code that compares reasons; words may change, these do not."""

    # Of one session's verdict.
    GUARDS_OWN = "guard's own"
    AMAZONS_OWN = "Amazon's own"
    SUPERUSERS = "superuser's"
    STATE_UNKNOWN = "state unknown"
    PROXYS_POOL = "RDS Proxy's pool"
    ROLE_DROPPED = "role dropped"
    ROLE_PROTECTED = "role protected"
    DATABASE_PROTECTED = "database protected"
    APPLICATION_PROTECTED = "application protected"
    CLIENT_PROTECTED = "client protected"
    HOLDS_ADVISORY_LOCK = "holds advisory lock"
    LISTENS = "listens"
    IN_STATE = "in state"
    ONE_OF_POOL = "one of its pool"
    NO_RULE = "no rule matched"
    POOL_REOPENS = "pool reopens"
    RECENTLY_USED = "recently used"
    ENOUGH_OTHERS = "enough others"
    RUN_SHARE_USED = "run's share used"
    HOUR_SHARE_USED = "hour's share used"

    # Of a whole plan.
    TO_BE_TERMINATED = "to be terminated"
    ALARM_CLEARED = "alarm cleared"
    ALARM_WITHOUT_DATA = "alarm without data"
    BELOW_TARGET = "below target"
    ONLY_OBSERVES = "only observes"
    PAUSED = "paused"
    LOGIN_REFUSED = "login refused"
    POOLS_REOPEN = "pools reopen"
    NO_CANDIDATE = "no candidate"
    HOURLY_CAP = "hourly cap"
    TOO_MANY = "too many"
    ANOTHER_RUN = "another run"

    # Of an escalation, beside those of a plan.
    NO_DOOR_OPENED = "no door opened"
    NOT_THE_WRITER = "not the writer"
    MISSING_PRIVILEGE = "missing privilege"
    DATABASE_LOST = "database lost"
    ATTEMPTS_USED = "attempts used"

    # Of a problem that a run met on its way.
    REFUSED_WHILE_FULL = "refused while full"
    LOST_BEFORE_ACTING = "lost before acting"
    LOCK_TAKEN_BY_OTHERS = "lock taken by others"
    SECOND_DOOR_SHUT = "second door shut"
    DEADLINE_NEAR = "deadline near"
    ENOUGH_FREED = "enough freed"
    LOST_WHILE_TERMINATING = "lost while terminating"
    NOT_VERIFIED = "not verified"
    SERVER_CHANGED = "server changed"
    NOT_REMEMBERED = "not remembered"


Figure = str | int | float | timedelta | Pause


@dataclass(frozen=True, slots=True)
class Reason:
    """A code, and the figures by the names that its words have for them."""

    code: ReasonCode
    figures: Mapping[str, Figure] = field(default_factory=dict)
