"""How a run gets in, gets its turn, and knows what earlier runs did."""

import time
from collections.abc import Collection
from contextlib import suppress

from connection_guard.adapters.postgresql.doors import Doors
from connection_guard.adapters.postgresql.guard_session import GuardSession
from connection_guard.adapters.postgresql.names import identifier
from connection_guard.adapters.postgresql.turn import Turn, end_turn, remember, take_turn
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.engagement import (
    Engagement,
    at_present,
    has_to_be_saved,
    ready_to_save,
    recalled,
    saved_last,
)
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.policy import Limits
from connection_guard.errors import DatabaseError
from responder.timer import Timer

SECONDS_BETWEEN_TURNS = 0.2

Entered = tuple[GuardSession, Measurement]


class Entrance:
    """Lets one run after another in, whichever execution environments they are in.

    `engagement` is what the guard is doing about a shortage, as the latest run left it; `stored` is
    what the database remembers of that.
    """

    def __init__(self, doors: Doors, guard_roles: Collection[str], limits: Limits) -> None:
        self.engagement = Engagement()
        self.has_turn = False
        self.turns_missed = 0
        self._doors = doors
        self._guard_roles = guard_roles
        self._limits = limits
        self.stored = self.engagement
        self._turn: Turn | None = None

    def enter(self, timer: Timer) -> Entered:
        """Enter through the first door that opens.

        Raises DatabaseError where no door opens.
        """
        self._turn = None
        with timer.phase("connect"):
            return self._recalled(self._doors.enter(timer.deadline))

    def keep_looking(self, timer: Timer) -> Entered:
        """Measure again in a later look of the same run, as it is without a turn.

        Raises DatabaseError where the session is lost and no door opens.
        """
        self._turn = None
        with timer.phase("watch"):
            return self._recalled(self._doors.enter_again(timer.deadline))

    def enter_again(self, timer: Timer) -> Entered:
        """Enter in the middle of a run that lost its session, and take a turn with the new one.

        Raises DatabaseError where no door opens.
        """
        session, _ = self._doors.enter_again(timer.deadline)
        return self.take_turn(session, timer)

    def look_again(self, timer: Timer) -> Entered:
        """Measure again, through the same session where it lives on; a new one has no turn.

        Raises DatabaseError where no door opens.
        """
        held = self._doors.seat
        session, measurement = self._doors.enter_again(timer.deadline)
        self.has_turn = self.has_turn and session is held
        return session, measurement

    @property
    def another_run(self) -> Reason | None:
        """Why this run must not act: another has the turn and did not end in time."""
        if self.has_turn:
            return None
        holder = self._turn and self._turn.holder
        return Reason(ReasonCode.ANOTHER_RUN, {"pid": holder or "not known"})

    @property
    def stranger(self) -> Reason | None:
        """Why two runs may act at once: a role that is not the guard's holds the guard's lock."""
        if self._turn is None or self._turn.is_guard:
            return None
        holder = {"role": identifier(self._turn.role), "pid": self._turn.holder or "not known"}
        return Reason(ReasonCode.LOCK_TAKEN_BY_OTHERS, holder)

    def save(self, now: Measurement | None, timer: Timer) -> Reason | None:
        """Keep the engagement for the next run; return why it may not be kept, None where it is."""
        session = self._doors.seat
        if not self.has_turn or now is None or session is None:
            return None
        if not has_to_be_saved(self.engagement, self.stored, now.taken_at):
            return None
        engagement = ready_to_save(self.engagement, now.taken_at)
        try:
            remember(session, engagement, timer.last_moment)
        except DatabaseError as error:
            return Reason(ReasonCode.NOT_REMEMBERED, {"error": str(error)})
        self.engagement = self.stored = engagement
        return None

    def end_turn(self, timer: Timer) -> None:
        """Leave the turn to another run, even if this one failed: the seat lives on."""
        if self.has_turn and self._doors.seat is not None:
            with suppress(DatabaseError):  # the turn ends with its session, too
                end_turn(self._doors.seat, timer.last_moment)
        self.has_turn = False

    def take_turn(self, session: GuardSession, timer: Timer) -> Entered:
        """Wait for the run that has the turn, then look at what it left.

        `has_turn` is False where that run does not end in time. Raises DatabaseError where the
        session is lost and no door opens.
        """
        latest = timer.latest_start(self._limits)
        with timer.phase("turn"):
            while True:
                turn = self._try_turn(session, timer)
                is_mine = turn is not None and (turn.is_taken or not turn.is_guard)
                is_late = time.monotonic() + SECONDS_BETWEEN_TURNS >= latest
                if is_mine or is_late or turn is None:
                    again, measurement = self._recalled(self._doors.enter_again(timer.deadline))
                    if is_late or (is_mine and again is session):
                        break
                    session = again
                time.sleep(SECONDS_BETWEEN_TURNS)
        self.has_turn = is_mine and again is session
        self.turns_missed = 0 if self.has_turn else self.turns_missed + 1
        self._turn = turn
        return again, measurement

    def _try_turn(self, session: GuardSession, timer: Timer) -> Turn | None:
        try:
            return take_turn(session, self._guard_roles, timer.deadline)
        except DatabaseError:
            return None

    def _recalled(self, entered: Entered) -> Entered:
        """Adopt what another execution environment has remembered since, where it was the last."""
        _, measurement = entered
        now = measurement.taken_at
        self.stored = recalled(measurement.memories, now)
        self.engagement = at_present(saved_last([self.engagement, self.stored]), now)
        return entered
