"""What a diagnosis names: a Report carries the name, and notifications say what to do about it."""

from enum import StrEnum


class Cause(StrEnum):
    """What exhausts a database's connections. The last two are not causes: they are the facts
    nearest to one.
    """

    LOGINS_IN_PROGRESS = "logins in progress"
    ROLE_OR_DATABASE_LIMIT = "role or database limit"
    BLOCKING_CHAIN = "blocking chain"
    POOL_REOPENS = "pool reopens"
    CONNECTION_STORM = "connection storm"
    CHURN = "no pool"
    IDLE_IN_TRANSACTION = "idle in transaction"
    LEAK = "leak"
    OVERSIZED_POOLS = "oversized pools"
    GENUINE_LOAD = "genuine load"
    NO_SINGLE_CAUSE = "no single cause"
    ENDED_BY_THEMSELVES = "ended by themselves"
