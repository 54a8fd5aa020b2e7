"""One round of a run: a look at the sessions, what was decided, what was done, and the result.

A run has a round whenever it looks at the sessions.
"""

from dataclasses import dataclass

from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.decision.outcome import Outcome, Reconnection, Vanished
from connection_guard.core.decision.plan import Plan


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
