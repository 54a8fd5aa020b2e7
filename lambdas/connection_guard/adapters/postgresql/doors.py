"""The two doors and the seat: how the guard logs in, even when no one else can."""

import time
from contextlib import suppress
from dataclasses import replace
from math import inf

from connection_guard.adapters.postgresql.guard_session import Connect, GuardSession, open_session
from connection_guard.adapters.postgresql.observe import clear_seats, measure
from connection_guard.core.database.door import Door, DoorAttempt, DoorName
from connection_guard.core.database.guard_faults import DirectDoor
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.errors import (
    ConnectionLostError,
    DatabaseError,
    DoorShutError,
    Refusal,
    StatementError,
)

# A frozen execution environment may wake up with a connection that no server answers any more.
SEAT_SECONDS = 2.0
# On a full database the proxy queues a client for ConnectionBorrowTimeout, 120 s by default, which
# is too long to wait. At the direct door others compete for the same slots: try again until the
# deadline.
DOOR_SECONDS = {DoorName.PROXY: 2.0, DoorName.DIRECT: 8.0}
SECONDS_BETWEEN_TRIES = 0.1
# How long a server that refused a login counts as full. Looks that follow at once see the same
# state.
REFUSAL_SECONDS = 2.0
# A login with less time left than this would only be cut off, and hide the server's last answer.
SHORTEST_TRY_SECONDS = 0.5


class Doors:
    """Opens the guard's sessions, and keeps its seat between runs. There is one per process.

    `attempts` and `reconnected` describe only the present run, from `enter` on; `direct` is the
    direct door as it was when it was last tried, in any run.
    """

    def __init__(self, settings: ResponderSettings, connect: Connect) -> None:
        self._settings = settings
        self._connect = connect
        self._seat: GuardSession | None = None
        self._refused_at = -inf
        self.attempts: list[DoorAttempt] = []
        self.reconnected = 0
        self.direct = DirectDoor()

    def enter(self, deadline: float) -> tuple[GuardSession, Measurement]:
        """Return a session on the writer and what it measures, by the deadline (of time.monotonic).

        It is the seat of the previous run if that still answers, else a fresh login through the
        first door that opens. Raise DoorShutError when none does; `attempts` then holds each door's
        error.
        """
        self.attempts, self.reconnected, self._refused_at = [], 0, -inf
        started = time.monotonic()
        session, measurement = self.enter_again(deadline)
        if not self.attempts:
            self._note(session.door, started, 0)
        return session, measurement

    def enter_again(self, deadline: float) -> tuple[GuardSession, Measurement]:
        """Do as `enter` does in the middle of a run: return the same session where it lives on,
        else a fresh one, which `reconnected` counts.
        """
        if self._seat is not None:
            started = time.monotonic()
            try:
                measurement = self._look_around(self._seat, min(deadline, started + SEAT_SECONDS))
            except DatabaseError as error:
                self._note(self._seat.door, started, 0, error)
                self.leave()
                self.reconnected += 1
            else:
                return self._seat, measurement
        reason: DoorShutError | None = None
        for door in self._settings.doors:
            try:
                self._seat, measurement = self._try_door(door, deadline)
            except DoorShutError as error:
                reason = error
                continue
            return self._seat, measurement
        errors = "; ".join(f"{each.door} door: {each.error}" for each in self.attempts)
        raise DoorShutError(errors) from reason

    @property
    def holds_seat(self) -> bool:
        """Whether a session is kept open."""
        return self._seat is not None and not self._seat.connection.closed

    @property
    def seat(self) -> GuardSession | None:
        """The session of the present run, None where no door has opened."""
        return self._seat

    def try_second_door(self, deadline: float) -> Measurement | None:
        """Return what the direct door measures, opened and closed where the seat is the proxy's;
        None where it is shut.

        An outage must not be the first time that it is tried.
        """
        if self._seat is None or self._seat.door == self._settings.direct:
            return None
        try:
            session, measurement = self._try_door(self._settings.direct, deadline)
        except DoorShutError:
            return None
        session.close()
        return measurement

    def leave(self) -> None:
        """Give up the seat."""
        if self._seat is not None:
            self._seat.close()
            self._seat = None

    def settle(self) -> None:
        """Keep the seat for the next run unless it is the second door's, which is for outages."""
        if self._seat is not None and self._seat.door != self._settings.doors[0]:
            self.leave()

    def _try_door(self, door: Door, deadline: float) -> tuple[GuardSession, Measurement]:
        started = time.monotonic()
        latest = min(deadline, started + DOOR_SECONDS[door.name])
        tries = 0
        while True:
            tries += 1
            try:
                session = open_session(self._connect, door, latest)
                measurement = self._look_around(session, latest)
            except DatabaseError as error:
                refusal = _refusal_of(error)
                self._refused_at = time.monotonic() if refusal is Refusal.FULL else -inf
                is_late = time.monotonic() + SHORTEST_TRY_SECONDS >= latest
                if is_late or door.name is DoorName.PROXY:
                    self._note(door, started, tries, error)
                    # A door that is only full works.
                    if door == self._settings.direct and refusal is not Refusal.FULL:
                        self.direct = DirectDoor(is_open=False)
                    raise DoorShutError(
                        str(error), refusal, door=door.name, sqlstate=error.sqlstate
                    ) from error
                time.sleep(SECONDS_BETWEEN_TRIES)
            else:
                self._note(door, started, tries)
                if door == self._settings.direct:
                    self.direct = DirectDoor(True, measurement.privileges)
                return session, measurement

    def _look_around(self, session: GuardSession, deadline: float) -> Measurement:
        """Return what the session measures. Close it, and raise DatabaseError, where its server is
        not the writer of the guarded database.
        """
        try:
            measurement = measure(session, self._settings.roles, deadline)
        except DatabaseError:
            session.close()
            raise
        server = measurement.server
        if server.is_in_recovery:
            session.close()
            raise DoorShutError(
                f"{server.address}:{server.port} is in recovery: not the writer, but a standby or "
                "reader",
                Refusal.NOT_THE_WRITER,
                door=session.door.name,
            )
        if server.database != self._settings.database_name:
            session.close()
            raise ConnectionLostError(
                f"this is database {server.database}, not {self._settings.database_name}"
            )
        if measurement.has_stale_seats:
            with suppress(StatementError):  # they only cost slots
                clear_seats(session, self._settings.roles, deadline)
        return replace(
            measurement, refused_a_login=time.monotonic() - self._refused_at < REFUSAL_SECONDS
        )

    def _note(self, door: Door, started: float, tries: int, error: Exception | None = None) -> None:
        seconds = time.monotonic() - started
        self.attempts.append(
            DoorAttempt(
                door.name,
                tries == 0,
                tries,
                seconds,
                str(error) if error else None,
                _refusal_of(error),
            )
        )


def _refusal_of(error: Exception | None) -> Refusal | None:
    return error.refusal if isinstance(error, DoorShutError) else None
