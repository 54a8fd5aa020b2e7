"""How much time a run has, and how it was spent."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from connection_guard.core.policy import Limits

# The part of the function's time for a last look at the database, packing the evidence and
# answering.
SECONDS_TO_VERIFY = 2.0
SECONDS_TO_REPORT = 3.0
# The time that a run that waits for its turn, or for its next look, keeps in reserve, besides the
# watch for reconnections: enough to look, to terminate a batch and to look again.
SECONDS_TO_ACT = 8.0


class Invocation(Protocol):
    """What the responder needs of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the function."""
        ...


@dataclass(slots=True)
class Timer:
    """When the run has to end (of time.monotonic), and how long each of its phases took."""

    deadline: float
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, invocation: Invocation) -> "Timer":
        """Return the timer of a run that begins now."""
        left = invocation.get_remaining_time_in_millis() / 1000
        return cls(time.monotonic() + left - SECONDS_TO_REPORT)

    def latest_start(self, limits: Limits) -> float:
        """Return when a round must have begun, so that it has the time to act and to verify."""
        return self.deadline - SECONDS_TO_ACT - limits.watch_for_reconnects.total_seconds()

    @property
    def last_moment(self) -> float:
        """When a statement that ends the run has to be answered: the Report waits for it."""
        return max(self.deadline, time.monotonic() + 0.5)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block as the phase's."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started
