"""Finds which session blocks which from rows of pg_locks, as pg_blocking_pids() does, but without
its quadratic answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

# PostgreSQL manual, table 13.2 "Conflicting Lock Modes": each mode and those that it conflicts
# with.
_SHARE_ROW_EXCLUSIVE_AND_UP = frozenset(
    {"ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
)
CONFLICTS: dict[str, frozenset[str]] = {
    "AccessShareLock": frozenset({"AccessExclusiveLock"}),
    "RowShareLock": frozenset({"ExclusiveLock", "AccessExclusiveLock"}),
    "RowExclusiveLock": _SHARE_ROW_EXCLUSIVE_AND_UP | {"ShareLock"},
    "ShareUpdateExclusiveLock": _SHARE_ROW_EXCLUSIVE_AND_UP
    | {"ShareUpdateExclusiveLock", "ShareLock"},
    "ShareLock": _SHARE_ROW_EXCLUSIVE_AND_UP | {"RowExclusiveLock", "ShareUpdateExclusiveLock"},
    "ShareRowExclusiveLock": _SHARE_ROW_EXCLUSIVE_AND_UP
    | {"RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock"},
    "ExclusiveLock": _SHARE_ROW_EXCLUSIVE_AND_UP
    | {"RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock"},
    "AccessExclusiveLock": _SHARE_ROW_EXCLUSIVE_AND_UP
    | {
        "AccessShareLock",
        "RowShareLock",
        "RowExclusiveLock",
        "ShareUpdateExclusiveLock",
        "ShareLock",
    },
}

# 1,000 waiters behind 1,000 readers are a million pairs; ten names are enough to act on.
MOST_BLOCKERS = 10

_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wait:
    """A session that waits for a lock; `since` is None until the server has recorded the time."""

    pid: int
    target: str
    mode: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A session that holds a lock on a target that another waits for."""

    pid: int
    target: str
    mode: str


def blockers(waits: Iterable[Wait], holds: Iterable[Hold]) -> dict[int, tuple[int, ...]]:
    """Return the pids that each waiting session waits for, at most MOST_BLOCKERS of them.

    They are the holders of a conflicting lock. Where there are none, it is the first conflicting
    waiter ahead in the queue: PostgreSQL serves a lock's queue in order.
    """
    held: dict[tuple[str, str], list[int]] = {}
    for hold in holds:
        held.setdefault((hold.target, hold.mode), []).append(hold.pid)
    first_in_queue: dict[tuple[str, str], int] = {}
    blocked_by: dict[int, tuple[int, ...]] = {}
    for wait in sorted(waits, key=lambda wait: wait.since or _LAST):
        conflicting = sorted(CONFLICTS.get(wait.mode, ()))
        holders = [
            pid
            for mode in conflicting
            for pid in held.get((wait.target, mode), ())[: MOST_BLOCKERS + 1]
            if pid != wait.pid
        ]
        ahead = [
            first_in_queue[wait.target, mode]
            for mode in conflicting
            if (wait.target, mode) in first_in_queue
        ]
        blocked_by[wait.pid] = tuple(dict.fromkeys(holders or ahead[:1]))[:MOST_BLOCKERS]
        first_in_queue.setdefault((wait.target, wait.mode), wait.pid)
    return blocked_by
