"""What happened to the sessions that a plan chose, and to the pools they belonged to."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from connection_guard.core.database.session import Pool, SessionState
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.plan import Verdict

# Where half of what was terminated is back within the watch, terminating more frees next to
# nothing. That two of two came back proves little.
REOPENED_PERCENT = 50
FEWEST_TERMINATED = 3


class Result(StrEnum):
    """What happened to one chosen session.

    TERMINATED was signalled and seen gone; SURVIVED was signalled and is still there; MOVED_ON had
    changed or ended before it could be signalled, and was not signalled; DENIED may not be
    signalled by the guard's role; UNKNOWN was in hand when the connection to the database was lost,
    and nobody has looked since; LEFT was not attempted.
    """

    TERMINATED = "terminated"
    SURVIVED = "survived"
    MOVED_ON = "moved on"
    DENIED = "denied"
    UNKNOWN = "unknown"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one chosen session."""

    verdict: Verdict
    result: Result

    @property
    def is_signalled(self) -> bool:
        """Whether a signal was, or may have been, sent."""
        return self.result in (Result.TERMINATED, Result.SURVIVED, Result.UNKNOWN)


UNMOVED = frozenset({Result.SURVIVED, Result.MOVED_ON, Result.DENIED, Result.UNKNOWN})
"""The results of sessions that were chosen and attempted, and may still be there."""


@dataclass(frozen=True, slots=True)
class Reconnection:
    """How many of a pool's sessions were terminated, and how many it opened within the watch and
    left idle.
    """

    pool: Pool
    terminated: int
    reopened: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """The counts of a pool: its sessions that ended by themselves while others were terminated."""

    pool: Pool
    terminated: int
    gone: int


def settled(outcomes: Iterable[Outcome], after: Snapshot) -> tuple[Outcome, ...]:
    """Return the outcomes as a later snapshot of the same server shows them.

    A session that survived at first may be gone by now, and one whose signal nobody saw answered
    may or may not be gone.
    """
    there = {session.identity for session in after.sessions}

    def result(outcome: Outcome) -> Result:
        if outcome.result not in (Result.SURVIVED, Result.UNKNOWN):
            return outcome.result
        return Result.SURVIVED if outcome.verdict.session.identity in there else Result.TERMINATED

    return tuple(replace(outcome, result=result(outcome)) for outcome in outcomes)


def reconnections(
    outcomes: Iterable[Outcome], before: Snapshot, after: Snapshot
) -> tuple[Reconnection, ...]:
    """Return for each pool that lost sessions how many it has opened since and only keeps; the pool
    with the most terminated comes first.

    A new session that works, or has worked, serves a client, which is what terminating was for.
    """
    lost = Counter(
        outcome.verdict.session.pool for outcome in outcomes if outcome.result is Result.TERMINATED
    )
    opened = Counter(
        session.pool
        for session in after.sessions
        if session.backend_start > before.taken_at
        and session.state is SessionState.IDLE
        and session.last_use.only_opened
    )
    return tuple(
        Reconnection(pool, terminated, opened[pool]) for pool, terminated in lost.most_common()
    )


def vanished(
    outcomes: Iterable[Outcome], before: Snapshot, after: Snapshot, *, settled_after: timedelta
) -> tuple[Vanished, ...]:
    """Return for each pool that lost sessions how many more of its sessions are gone; the pool with
    the most comes first.

    A client that opens a session for each use ends sessions all the time: those younger than
    `settled_after` do not count.
    """
    results = {outcome.verdict.session.identity: outcome.result for outcome in outcomes}
    terminated = Counter(
        outcome.verdict.session.pool for outcome in outcomes if outcome.result is Result.TERMINATED
    )
    there = {session.identity for session in after.sessions}
    gone = Counter(
        session.pool
        for session in before.sessions
        if session.pool in terminated
        and session.identity not in there
        and results.get(session.identity) is not Result.TERMINATED
        and before.taken_at - session.backend_start > settled_after
    )
    return tuple(Vanished(pool, terminated[pool], count) for pool, count in gone.most_common())


def reopening_applications(
    each_pool: Iterable[Reconnection],
) -> dict[tuple[str, str], list[Reconnection]]:
    """Return, by role and application, the pools that reopen what is terminated.

    Terminating more of their sessions frees next to nothing.
    """
    applications: dict[tuple[str, str], list[Reconnection]] = {}
    for each in each_pool:
        applications.setdefault((each.pool.role, each.pool.application_name), []).append(each)
    return {name: pools for name, pools in applications.items() if _reopens(pools)}


def _reopens(pools: Iterable[Reconnection]) -> bool:
    terminated = sum(each.terminated for each in pools)
    reopened = sum(each.reopened for each in pools)
    return terminated >= FEWEST_TERMINATED and 100 * reopened >= REOPENED_PERCENT * terminated
