"""The idle sessions that a drill opens. They are sockets of this very process and of no other: the
server ends them when it ends, however it ends.
"""

import resource
import select
import time
from datetime import UTC, datetime, timedelta

import psycopg2

from connection_guard.adapters.postgresql.guard_session import (
    GuardSession,
    execute,
    open_session,
)
from connection_guard.cli.access.database_access import LOGIN_SECONDS, DatabaseAccess
from connection_guard.cli.drill.filling import APPLICATION
from connection_guard.cli.terminal.mistakes import UserMistakeError

# The server ends a session itself that its client has forgotten for that much longer than the drill
# may last.
GRACE = timedelta(minutes=1)

# Those of Python, of AWS's clients, and of the local drill.
OTHER_FILES = 100


class MarkedSessions:
    """Opens idle sessions, notices which of them the server has ended, and closes the others."""

    def __init__(self, access: DatabaseAccess, limit: timedelta) -> None:
        self._access = access
        self._limit = limit
        self._open: dict[int, GuardSession] = {}
        self._poll = select.poll()
        self.opened = 0
        self.ended = 0
        self.first_end: datetime | None = None

    @property
    def held(self) -> int:
        """Return how many are open now."""
        return len(self._open)

    def open_one(self) -> None:
        """Open another. Raise DatabaseError where the server refuses it."""
        session = open_session(
            self._access.connect, self._access.door, time.monotonic() + LOGIN_SECONDS
        )
        try:
            mark(session, APPLICATION, self._limit)
        except BaseException:
            session.close()
            raise
        self._open[session.connection.fileno()] = session
        self._poll.register(session.connection.fileno(), select.POLLIN)
        self.opened += 1

    def wait(self, seconds: float) -> None:
        """Wait that long, or until the server ends some."""
        ready = self._poll.poll(1000 * seconds)
        while ready:
            for descriptor, _ in ready:
                self._read(descriptor)
            ready = self._poll.poll(0)

    def _read(self, descriptor: int) -> None:
        """Read what the server says to an idle session: mostly that it ends."""
        session = self._open[descriptor]
        try:
            session.connection.poll()
        except psycopg2.Error:
            self._poll.unregister(descriptor)
            del self._open[descriptor]
            session.close()
            self.ended += 1
            self.first_end = self.first_end or datetime.now(UTC)

    def close(self) -> None:
        """Close all."""
        while self._open:
            descriptor, session = self._open.popitem()
            self._poll.unregister(descriptor)
            session.close()


def permit_sockets(count: int) -> None:
    """Let this process open so many more files than the few that it has. Raise UserMistakeError
    where its user may not.
    """
    needed = count + OTHER_FILES
    permitted, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if permitted == resource.RLIM_INFINITY or permitted >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
    except (OSError, ValueError) as error:
        raise UserMistakeError(
            f"the drill needs {needed} open files, and the shell permits only {most}: see "
            f"`ulimit -Hn {needed}`"
        ) from error


def mark(session: GuardSession, application: str, limit: timedelta) -> None:
    """Make a session recognisable, and let the server end it once it has been idle for too long.

    Raise DatabaseError.
    """
    seconds = (limit + GRACE).total_seconds()
    parameters = {"application_name": application, "idle_session_timeout": f"{seconds:.0f}s"}
    execute(session, "mark_drill_session", parameters)
