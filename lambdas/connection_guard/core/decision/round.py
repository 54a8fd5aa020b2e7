"""One round of a run: a look at the sessions, what was decided, what was done, and the result.

A run has a round whenever it looks at the sessions.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.decision.outcome import (
    Outcome,
    Reconnection,
    Vanished,
    reconnections,
    settled,
    vanished,
)
from connection_guard.core.decision.plan import Plan
from connection_guard.core.decision.reason import Reason, ReasonCode


@dataclass(frozen=True, slots=True)
class Round:
    """What did not happen is None or empty: without outcomes the round only looked.

    `after` is the measurement of the second look, None where there was none. `reconnections` and
    `vanished` compare the two looks.
    """

    before: Snapshot
    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    after: Measurement | None = None
    reconnections: tuple[Reconnection, ...] = ()
    vanished: tuple[Vanished, ...] = ()

    @property
    def latest(self) -> Measurement:
        """The latest measurement."""
        return self.after or self.before.measurement


def verified(
    acted: Round, after: Snapshot, *, settled_after: timedelta
) -> tuple[Round, Reason | None]:
    """Return the round as a second look shows it, and why it shows nothing of the first look's
    sessions, None where it does: killed is not gone, gone is not cured.

    Sessions younger than `settled_after` do not count as ended by themselves.
    """
    seen = replace(acted, after=after.measurement)
    before = acted.before
    if after.measurement.server.started_at != before.measurement.server.started_at:
        return seen, Reason(ReasonCode.SERVER_CHANGED)
    outcomes = settled(acted.outcomes, after)
    compared = replace(
        seen,
        outcomes=outcomes,
        reconnections=reconnections(outcomes, before, after),
        vanished=vanished(outcomes, before, after, settled_after=settled_after),
    )
    return compared, None
