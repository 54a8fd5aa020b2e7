"""A channel's lane: one run at a time calls the channel, no faster than the channel allows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from connection_guard.adapters.aws.lane_table import LaneState, LaneTable
from connection_guard.adapters.channels.deadline import answer_within
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.errors import NotificationError

# A call that takes longer is given up; then the lane is still this run's.
CALL_SECONDS = 10
HELD_FOR = timedelta(seconds=25)

T = TypeVar("T")


class LaneLostError(NotificationError):
    """Another run has the lane by now: this one was slow."""


class Lane:
    """The right to call a channel, for as long as it is used."""

    def __init__(
        self,
        channel: str,
        seconds_between_calls: float,
        holder: str,
        state: LaneState,
        table: LaneTable,
        now: Callable[[], datetime],
    ) -> None:
        self.channel = channel
        self.ready_at = state.ready_at
        self.storms = state.storms
        self.waiting = frozenset[WatchedDatabase]()
        self._pause = timedelta(seconds=seconds_between_calls)
        self._holder = holder
        self._wanted = state.wanted
        self._table = table
        self._now = now
        self._is_held = True

    def call(self, request: Callable[[], T]) -> T:
        """Return what the request returns, which makes one call.

        Raises NotificationError, also where the answer is not complete in time.
        """
        self.ready_at = self._now() + self._pause
        self.keep()
        return answer_within(CALL_SECONDS, self.channel, request)

    def rest(self, seconds: float) -> None:
        """Leave the channel alone for so long: it refused, or did not answer."""
        self.ready_at = self._now() + timedelta(seconds=seconds)
        self.keep()

    def keep(self) -> None:
        """Write what the lane remembers; raise LaneLostError where another run has it."""
        until = self._now() + HELD_FOR
        if not self._table.keep(
            self.channel, self._holder, until=until, ready_at=self.ready_at, storms=self.storms
        ):
            self._is_held = False
            raise LaneLostError(f"{self.channel}: another run has its lane")

    def release(self) -> bool:
        """Return whether the lane is released: it is not where others have wanted it since this was
        called last.
        """
        self._is_held = not self._release(self._wanted)
        if self._is_held:
            self._wanted = self._table.wanted(self.channel)
        return not self._is_held

    def leave(self) -> None:
        """Release the lane although something may be pending: the next run goes on."""
        if self._is_held:
            self._release(None)

    def _release(self, wanted: int | None) -> bool:
        return self._table.release(
            self.channel,
            self._holder,
            ready_at=self.ready_at,
            storms=self.storms,
            wanted=wanted,
        )
