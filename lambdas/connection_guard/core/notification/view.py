"""What a notification is made of: the incident, and what is known around it."""

from dataclasses import dataclass
from datetime import datetime

from connection_guard.core.deployment.reporter_settings import ApplicationOwner, WatchedDatabase
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.links import Links


@dataclass(frozen=True, slots=True)
class View:
    """An incident as it is at the time `at`, with its database, the AWS region that it is in, and
    where people go on from it.
    """

    incident: Incident
    database: WatchedDatabase
    links: Links
    at: datetime
    application_owners: tuple[ApplicationOwner, ...] = ()
    region: str | None = None

    @property
    def pages(self) -> tuple[tuple[str, str], ...]:
        """Return where people go on from the incident, each page with its title."""
        pages = (
            ("Runbook", self.database.runbook),
            ("Dashboard", self.links.dashboard),
            ("Alarm", self.links.alarm),
            ("Log", self.links.logs),
            ("Evidence", self.links.evidence),
        )
        return tuple((title, page) for title, page in pages if page is not None)
