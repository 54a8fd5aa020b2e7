"""Whether a heartbeat keeps looking within its minute, and when it looks next."""

from dataclasses import dataclass
from datetime import timedelta

from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.engagement import LOOKS_TO_ENGAGE, Engagement


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """How long a heartbeat that keeps looking waits before its next look."""

    between_looks: timedelta = timedelta(seconds=5)
    # The look that decides whether usage at critical was only a peak.
    at_critical: timedelta = timedelta(seconds=2)


WATCH_TIMES = WatchTimes()


def keeps_looking(
    measurement: Measurement, engagement: Engagement, watch_from_percent: float
) -> bool:
    """Return whether a heartbeat whose first look showed that does not leave it at one look."""
    return engagement.is_pressed or measurement.utilisation >= watch_from_percent


def until_next_look(engagement: Engagement, times: WatchTimes) -> timedelta | None:
    """Return how long a watch waits before its next look, None where another run has engaged: the
    shortage is left to that one.
    """
    if engagement.tier is not None:
        return None
    is_undecided = 0 < engagement.critical_looks < LOOKS_TO_ENGAGE
    return times.at_critical if is_undecided else times.between_looks
