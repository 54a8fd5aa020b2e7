"""How long sessions waited between two statements, and how each wait ended, from many looks.

A look shows how long a wait has lasted so far. Only a later look shows whether it was legitimate:
the session went on to work. A session that was never seen to change again counts as lost.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from connection_guard.core.database.session import (
    IN_TRANSACTION_STATES,
    Session,
    SessionState,
)
from connection_guard.core.decision.outcome import Result
from connection_guard.core.replay.aftermath import is_same_time
from connection_guard.core.replay.past_run import PastRun

# Between looks that are further apart it is not known when a wait ended.
LOOKS_TOGETHER = timedelta(minutes=5)

STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(1, 2, 3, 5, 10, 15, 20, 30, 45),
        *(60 * minutes for minutes in (1, 1.5, 2, 3, 5, 10, 15, 20, 30, 45)),
        *(3600 * hours for hours in (1, 1.5, 2, 3, 4, 6, 8, 12, 24)),
    )
)
"""The timeouts that may be proposed: figures that a person would write."""


class GapKind(StrEnum):
    """What is waited in, or what lasts: each has a timeout of the server's."""

    IDLE_IN_TRANSACTION = "idle in transaction"
    IDLE = "idle"
    TRANSACTION = "transaction"


class Ending(StrEnum):
    """How a gap ended. WENT_ON is legitimate: it ended by itself, and work followed. AT_WORK was
    last seen with a statement running: a transaction that may have been as long as it had to be.
    """

    WENT_ON = "went on"
    AT_WORK = "at work"
    TERMINATED = "terminated"
    VANISHED = "vanished"
    LAST_SEEN = "last seen"


LEGITIMATE = frozenset({Ending.WENT_ON, Ending.AT_WORK})


@dataclass(slots=True)
class GapTally:
    """The gaps of one role and kind.

    `longest` is the longest that a legitimate one was seen to last. `longest_at_most` is the
    longest that one may have lasted of those that are `bounded`: whose end is known to within
    LOOKS_TOGETHER. `by_step` counts endings by how many of STEPS the gap was seen to reach.
    """

    bounded: int = 0
    longest: timedelta = timedelta()
    longest_at_most: timedelta = timedelta()
    by_step: Counter[tuple[Ending, int]] = field(default_factory=Counter)

    def ended(self, seen_for: timedelta, ending: Ending, at_most: timedelta | None = None) -> None:
        """Count a gap; `at_most` is the longest that it may have lasted, None if not known."""
        self.by_step[ending, bisect_right(STEPS, seen_for)] += 1
        if ending not in LEGITIMATE:
            return
        self.longest = max(self.longest, seen_for)
        if at_most is not None and at_most - seen_for <= LOOKS_TOGETHER:
            self.bounded += 1
            self.longest_at_most = max(self.longest_at_most, at_most)

    @property
    def legitimate(self) -> int:
        """How many were legitimate."""
        return sum(count for (ending, _), count in self.by_step.items() if ending in LEGITIMATE)

    def reaching(self, timeout: timedelta) -> Counter[Ending]:
        """Return how many gaps were seen to last for that long, one of STEPS, by their endings."""
        step, counts = STEPS.index(timeout) + 1, Counter[Ending]()
        for (ending, reached), count in self.by_step.items():
            if reached >= step:
                counts[ending] += count
        return counts


@dataclass(slots=True)
class RoleTally:
    """What was seen of one role, in how many looks, on which days. `sessions` were seen at all;
    `is_on_duty` says that some listen or hold advisory locks, `is_of_proxy` that RDS Proxy owns
    some, `is_protected` that the policy protects some.
    """

    looks: int = 0
    days: set[date] = field(default_factory=set)
    sessions: int = 0
    is_on_duty: bool = False
    is_of_proxy: bool = False
    is_protected: bool = False
    gaps: dict[GapKind, GapTally] = field(
        default_factory=lambda: {kind: GapTally() for kind in GapKind}
    )


@dataclass(slots=True)
class _Gap:
    """One that lasts: since `start`, `seen_at` last, and whether a statement was running then."""

    start: datetime
    seen_at: datetime
    is_at_work: bool


@dataclass(slots=True)
class _Tracked:
    """A session, and what lasts in it."""

    backend_start: datetime
    role: str
    gaps: dict[GapKind, _Gap] = field(default_factory=dict)


class GapLedger:
    """The gaps of one database, from its looks in the order of time. What it keeps grows with the
    sessions of one look and the roles, and not with the looks.
    """

    def __init__(self) -> None:
        self.roles: dict[str, RoleTally] = {}
        self._tracked: dict[int, _Tracked] = {}

    def look(
        self, run: PastRun, protected: Collection[str] = (), ignored: Collection[str] = ()
    ) -> None:
        """Add what a run saw. Sessions of `ignored` roles, superusers and the service do not
        count.
        """
        at = run.snapshot.taken_at
        results = {each.session.pid: each.result for each in run.sessions}
        sessions = [
            each
            for each in run.snapshot.sessions
            if each.role
            and each.role not in ignored
            and not each.is_superuser
            and not each.is_owned_by_amazon
        ]
        if not run.omitted:  # Otherwise a session that is missing may be there.
            self._end_all(set(self._tracked) - {each.pid for each in sessions}, Ending.VANISHED)
        for session in sessions:
            self._follow(session, at)
            if results[session.pid] == Result.TERMINATED:
                self._end_all([session.pid], Ending.TERMINATED)
        for role in {each.role for each in sessions}:
            tally = self.roles[role]
            tally.looks += 1
            tally.days.add(at.astimezone(UTC).date())
            tally.is_protected |= role in protected

    def close(self) -> Mapping[str, RoleTally]:
        """Return what was seen of each role; nothing is added after that."""
        self._end_all(list(self._tracked), Ending.LAST_SEEN)
        return self.roles

    def _follow(self, session: Session, at: datetime) -> None:
        tracked = self._tracked.get(session.pid)
        if tracked and not is_same_time(tracked.backend_start, session.backend_start):
            self._end_all([session.pid], Ending.VANISHED)
            tracked = None
        role = self.roles.setdefault(session.role, RoleTally())
        role.is_on_duty |= session.is_listening or session.holds_advisory_lock
        role.is_of_proxy |= session.is_owned_by_proxy
        if tracked is None:
            role.sessions += 1
            tracked = _Tracked(session.backend_start, session.role)
            self._tracked[session.pid] = tracked
        if session.state is None:  # hidden: nothing is known of it at this look
            return
        lasting = _lasting(session, at)
        for kind, gap in list(tracked.gaps.items()):
            if kind in lasting and is_same_time(lasting[kind].start, gap.start):
                continue
            went_on = _went_on(session, gap.seen_at, at)
            role.gaps[kind].ended(_seen_for(gap), Ending.WENT_ON, went_on - gap.start)
        tracked.gaps = lasting

    def _end_all(self, pids: Iterable[int], ending: Ending) -> None:
        for pid in list(pids):
            tracked = self._tracked.pop(pid)
            for kind, gap in tracked.gaps.items():
                is_at_work = kind is GapKind.TRANSACTION and gap.is_at_work
                self.roles[tracked.role].gaps[kind].ended(
                    _seen_for(gap), Ending.AT_WORK if is_at_work else ending
                )


def _lasting(session: Session, at: datetime) -> dict[GapKind, _Gap]:
    starts = {
        GapKind.IDLE_IN_TRANSACTION: session.state_change
        if session.state in IN_TRANSACTION_STATES
        else None,
        GapKind.IDLE: session.state_change if session.state is SessionState.IDLE else None,
        GapKind.TRANSACTION: session.transaction_start,
    }
    is_at_work = session.state not in IN_TRANSACTION_STATES
    return {
        kind: _Gap(min(start, at), at, is_at_work)
        for kind, start in starts.items()
        if start is not None
    }


def _went_on(session: Session, seen_at: datetime, at: datetime) -> datetime:
    """Return by when a session that was seen waiting had gone on."""
    later = (session.query_start, session.transaction_start, session.state_change)
    return min((time for time in later if time is not None and time > seen_at), default=at)


def _seen_for(gap: _Gap) -> timedelta:
    return gap.seen_at - gap.start
