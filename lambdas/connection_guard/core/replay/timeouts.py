"""Which timeout of a role would have ended what was lost, and nothing that went on to work."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from connection_guard.core.diagnosis.case import DIAGNOSIS_TIMES, FEWEST_SESSIONS
from connection_guard.core.replay.gaps import STEPS, Ending, GapKind, GapTally, RoleTally

# A look sees a gap at a random moment of it: on average, half of it is yet to come.
MARGIN = 2

# Below this no timeout is proposed, however short the gaps were that were seen.
LEAST: Mapping[GapKind, timedelta] = {
    GapKind.IDLE_IN_TRANSACTION: DIAGNOSIS_TIMES.idle_in_transaction_for,
    # Pools close idle sessions by themselves after ten minutes or so, and are then in order.
    GapKind.IDLE: timedelta(minutes=15),
    GapKind.TRANSACTION: timedelta(minutes=5),
}

# Where none of 30 gaps is longer, at most a tenth of all is (95 % confidence: 3 / 30, the rule of
# three).
FEWEST_GAPS = 30
FEWEST_LOOKS = 10
FEWEST_DAYS = 3


class WhyNot(StrEnum):
    """Why no timeout is proposed."""

    NOTHING_LOST = "nothing lost"
    PROTECTED = "protected"
    ON_DUTY = "on duty"
    OF_PROXY = "of RDS Proxy"
    FEW_LOOKS = "few looks"
    FEW_DAYS = "few days"
    FEW_GAPS = "few gaps"


@dataclass(frozen=True, slots=True)
class TimeoutFinding:
    """What the looks say about one timeout of one role.

    `timeout` is the shortest that is clear of everything that was seen to be legitimate, None where
    that is longer than a day; it is to be proposed where `why_not` is None. It `would_end` that
    many sessions, by how their gaps ended.
    """

    role: str
    kind: GapKind
    timeout: timedelta | None
    why_not: WhyNot | None
    would_end: Mapping[Ending, int]
    tally: RoleTally

    @property
    def gaps(self) -> GapTally:
        """The gaps that it is computed from."""
        return self.tally.gaps[self.kind]


def timeout_findings(roles: Mapping[str, RoleTally]) -> Iterator[TimeoutFinding]:
    """Yield what is known of each timeout of each role, by their names."""
    for role in sorted(roles):
        for kind in GapKind:
            yield _finding(role, kind, roles[role])


def _finding(role: str, kind: GapKind, tally: RoleTally) -> TimeoutFinding:
    gaps = tally.gaps[kind]
    clear = max(LEAST[kind], MARGIN * gaps.longest, gaps.longest_at_most)
    timeout = next((step for step in STEPS if step >= clear and step > gaps.longest_at_most), None)
    would_end = dict(gaps.reaching(timeout)) if timeout else {}
    return TimeoutFinding(
        role, kind, timeout, _why_not(kind, tally, sum(would_end.values())), would_end, tally
    )


def _why_not(kind: GapKind, tally: RoleTally, would_end: int) -> WhyNot | None:
    reasons = {
        WhyNot.NOTHING_LOST: would_end < FEWEST_SESSIONS,
        WhyNot.PROTECTED: tally.is_protected,
        WhyNot.ON_DUTY: kind is GapKind.IDLE and tally.is_on_duty,
        WhyNot.OF_PROXY: kind is GapKind.IDLE and tally.is_of_proxy,
        WhyNot.FEW_LOOKS: tally.looks < FEWEST_LOOKS,
        WhyNot.FEW_DAYS: len(tally.days) < FEWEST_DAYS,
        WhyNot.FEW_GAPS: tally.gaps[kind].bounded < FEWEST_GAPS,
    }
    return next((why for why, holds in reasons.items() if holds), None)
