"""Looks at one database again and again, through one session as long as that lives."""

from dataclasses import dataclass

from connection_guard.adapters.postgresql.guard_session import GuardSession
from connection_guard.adapters.postgresql.observe import measure
from connection_guard.cli.access.database_access import LOGIN_SECONDS, DatabaseAccess, enter
from connection_guard.cli.live.live_look import Judgement, LiveLook, judged
from connection_guard.cli.live.live_session import look_around
from connection_guard.cli.live.plan_document import Document
from connection_guard.cli.live.top_screen import top_document
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.database.trend import with_look


@dataclass(slots=True)
class LiveWatch:
    """A session that looks again and again, and the looks that show how usage changes."""

    access: DatabaseAccess
    judgement: Judgement
    _session: GuardSession | None = None
    _looks: tuple[Measurement, ...] = ()

    def look(self, seconds_to_enter: float = LOGIN_SECONDS) -> tuple[LiveLook, Document]:
        """Return a look and its document, through the same session where it lives on.

        Raise DatabaseError where it does not, or no session can be opened.
        """
        if self._session is None:
            self._session, measurement = enter(self.access, seconds_to_enter)
        else:
            measurement = measure(self._session, self.access.guard_roles)
        snapshot = look_around(self.access, self._session, measurement)
        self._looks = with_look(self._looks, snapshot.measurement)
        look = judged(self.access.name, snapshot, self.judgement, self._looks)
        return look, top_document(look)

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()
            self._session = None
