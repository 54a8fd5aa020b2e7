"""What the reporter knows of the databases: read when it is needed, and kept where it cannot be."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.channels.deadline import answer_within
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.errors import ConfigurationError, NotificationError, StoreError

REFRESHED_AFTER = timedelta(minutes=3)

# Messages wait for it: they name their database themselves, and have come for less.
LONGEST_READ_SECONDS = 5

logger = Logger(service="connection-guard")


class WatchedDatabases:
    """One per process. Nothing that fails here is raised: people are notified all the same, of what
    was known before and of what a message says itself.
    """

    def __init__(
        self,
        read: Callable[[], Iterable[WatchedDatabase | ConfigurationError]],
        now: Callable[[], datetime],
    ) -> None:
        self._read = read
        self._now = now
        self._known: dict[str, WatchedDatabase] = {}
        self._tried_at: datetime | None = None

    @property
    def known(self) -> tuple[WatchedDatabase, ...]:
        """The databases as they were last read."""
        return tuple(self._known.values())

    def refresh(self, after: timedelta = REFRESHED_AFTER) -> None:
        """Read the databases anew, unless that was tried less than `after` ago."""
        if self._tried_at is not None and self._now() - self._tried_at < after:
            return
        self._tried_at = self._now()
        found: list[WatchedDatabase | ConfigurationError] = []
        try:
            answer_within(
                LONGEST_READ_SECONDS, "Parameter Store", lambda: found.extend(self._read())
            )
        except (NotificationError, StoreError) as error:
            logger.error(f"what is known of the databases may be out of date: {error}")
            found = [*self._known.values(), *found]
        for each in found:
            if isinstance(each, ConfigurationError):
                logger.error(str(each))
        self._known = {each.identifier: each for each in found if isinstance(each, WatchedDatabase)}
