"""What keeps a plan from being carried out, by name: a Report has it, and notifications word it."""

from enum import StrEnum


class Restraint(StrEnum):
    """What keeps a whole plan from being carried out."""

    NOT_AN_ALARM = "not an alarm"
    BELOW_TARGET = "below target"
    NOTHING_MATCHES = "nothing matches"
    OBSERVING = "observing"
    PAUSED = "paused"
    HOURLY_CAP = "hourly cap"
    REFUSED = "refused"
    ANOTHER_RUN = "another run"
    POOLS_REOPEN = "pools reopen"
