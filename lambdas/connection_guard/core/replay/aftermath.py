"""What a run leaves to those of the next hour, as far as the reports say."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connection_guard.core.database.session import Identity, Pool
from connection_guard.core.decision.engagement import HOUR
from connection_guard.core.decision.outcome import UNMOVED
from connection_guard.core.replay.past_run import PastRun

# Evidence has times to the millisecond before the look: two looks see the same time up to two
# milliseconds apart.
SAME_TIME = timedelta(milliseconds=2)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What earlier runs of one database did. `unmoved` maps pids to when their sessions began."""

    terminations: tuple[tuple[datetime, int], ...] = ()
    reopening: Mapping[Pool, datetime] = field(default_factory=dict)
    unmoved: Mapping[int, datetime] = field(default_factory=dict)

    def terminated_within_an_hour(self, run: PastRun) -> int:
        """Return how many sessions count against the run's share of the hour."""
        at = run.snapshot.taken_at
        return sum(count for when, count in self.terminations if timedelta() <= at - when < HOUR)

    def reopening_pools(self, run: PastRun) -> frozenset[Pool]:
        """Return the pools that reopen what they lose, by what the run itself knew, too."""
        at = run.snapshot.taken_at
        known = {pool for pool, when in self.reopening.items() if at - when < HOUR}
        return frozenset(known | run.known_to_reopen)

    def unmoved_sessions(self, run: PastRun) -> frozenset[Identity]:
        """Return the sessions that earlier runs of the same shortage could not move."""
        return frozenset(
            session.identity
            for session in run.snapshot.sessions
            if session.pid in self.unmoved
            and is_same_time(self.unmoved[session.pid], session.backend_start)
        )

    def after(self, run: PastRun) -> "Aftermath":
        """Return what the run leaves, too."""
        at = run.snapshot.taken_at
        unmoved = {
            each.session.pid: each.session.backend_start
            for each in run.sessions
            if each.result in UNMOVED
        }
        return replace(
            self,
            terminations=(
                *((when, count) for when, count in self.terminations if at - when < HOUR),
                *([(at, run.signalled)] if run.signalled else []),
            ),
            reopening={pool: when for pool, when in self.reopening.items() if at - when < HOUR}
            | dict.fromkeys(run.reopening, at),
            unmoved={} if run.is_eased else {**self.unmoved, **unmoved},
        )


def is_same_time(one: datetime, other: datetime) -> bool:
    """Return whether two looks may have seen the same moment."""
    return abs(one - other) <= SAME_TIME
