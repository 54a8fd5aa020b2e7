"""A clock that moves only while somebody sleeps, and lets happen what is due meanwhile."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from threading import Event, Lock, Thread
from uuid import uuid4

LAMBDA_TIMEOUT = timedelta(seconds=85)


class PlayedTime:
    """What is due while one invocation sleeps runs then, as another invocation would beside it."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._agenda: list[tuple[datetime, int, Callable[[], object]]] = []
        self._numbers = count()
        self._lock = Lock()

    def now(self) -> datetime:
        """Return the time."""
        return self._now

    def set(self, now: datetime) -> None:
        """Move to a time, without what would be due until then."""
        self._now = now

    def later(self, at: datetime, happens: Callable[[], object]) -> None:
        """Let something happen when that time comes."""
        with self._lock:
            heapq.heappush(self._agenda, (at, next(self._numbers), happens))

    def sleep(self, seconds: float) -> None:
        """Let so much time pass, and happen what is due."""
        until = self._now + timedelta(seconds=seconds)
        while happens := self._next(until):
            happens()

    def _next(self, until: datetime) -> Callable[[], object] | None:
        """Return what happens next, None once that time has come."""
        with self._lock:
            if self._agenda and self._agenda[0][0] <= until:
                at, _, happens = heapq.heappop(self._agenda)
                self._now = max(self._now, at)
                return happens
            self._now = max(self._now, until)
            return None


class PlayedInvocations:
    """A clock of many invocations, each a thread: one runs at a time, until it sleeps or ends, and
    the clock moves to what comes next.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._numbers = count()
        self._waiting: list[tuple[datetime, int, Event]] = []
        self._lock = Lock()

    def now(self) -> datetime:
        """Return the time."""
        return self._now

    def later(self, at: datetime, happens: Callable[[], object]) -> None:
        """Let an invocation begin when that time comes."""
        turn = self._wait_until(at)

        def run() -> None:
            turn.wait()
            happens()
            self._next()

        Thread(target=run, daemon=True).start()

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        turn = self._wait_until(self._now + timedelta(seconds=seconds))
        self._next()
        turn.wait()

    def play(self, until: datetime) -> None:
        """Let everything happen; return once nothing is left, or at that time."""
        while self._waiting and self._now < until:
            self.sleep(1)

    def _wait_until(self, at: datetime) -> Event:
        turn = Event()
        with self._lock:
            heapq.heappush(self._waiting, (at, next(self._numbers), turn))
        return turn

    def _next(self) -> None:
        with self._lock:
            at, _, turn = heapq.heappop(self._waiting)
            self._now = max(self._now, at)
        turn.set()


@dataclass(frozen=True)
class Invocation:
    """What Lambda shows a function of its invocation, by that clock."""

    time: PlayedTime | PlayedInvocations
    started_at: datetime
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        left = LAMBDA_TIMEOUT - (self.time.now() - self.started_at)
        return int(left.total_seconds() * 1000)


def an_invocation(time: PlayedTime | PlayedInvocations) -> Invocation:
    """Return one that starts now."""
    return Invocation(time, time.now())
