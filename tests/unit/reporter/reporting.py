"""A reporter's notifications by a clock that a test moves, and people who are notified."""

from dataclasses import replace
from datetime import datetime, timedelta

from connection_guard.adapters.aws.incident_table import IncidentKey, Kept
from connection_guard.core.deployment.reporter_settings import ReporterSettings
from connection_guard.core.incident.circumstances import Circumstances
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.view import View
from connection_guard.core.policy import Tier
from connection_guard.errors import NotificationError, StoreError
from doubles.aws.memory_store import MemoryBucket, MemoryIncidents, MemoryLanes
from reporter.channel import Channel
from reporter.notifier import Notifier
from reporter.watched_databases import WatchedDatabases
from reporter.world import World
from tests.support.builders import NOW
from tests.support.reporter.deliveries import REGION
from tests.support.reporter.played_time import PlayedTime, an_invocation
from tests.support.reporter.stories import absorbed, in_alarm

SETTINGS = ReporterSettings(
    "incidents", "evidence", "topic", "unreadable", "Guard", "/databases", "/log"
)
OPENED = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95)])
DOWN = NotificationError("the channel did not answer")
REFUSED = NotificationError("invalid", is_of_message=True)


class Incidents(MemoryIncidents):
    """The table, some of whose calls fail."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: set[str] = set()
        self.fails_to_settle = False

    def kept(self, key: IncidentKey) -> Kept | None:
        if key[0] in self.unreadable:
            raise StoreError(f"table incidents: the incident of {key[0]} cannot be read")
        return super().kept(key)

    def settle(self, key: IncidentKey, version: int, *, due_at: datetime | None) -> None:
        if self.fails_to_settle:
            raise StoreError("table incidents: ThrottlingException")
        super().settle(key, version, due_at=due_at)


class Reached:
    """What people get through a channel, which fails for a database as a test says."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.failures: dict[str, Exception] = {}

    def send(self, view: View) -> None:
        database = view.incident.database
        if database in self.failures:
            raise self.failures[database]
        self.messages.append((database, view.incident.progress.value))

    @property
    def databases(self) -> list[str]:
        return [database for database, _ in self.messages]


class Reporting:
    """A reporter's notifications by a clock that a test moves."""

    def __init__(self, *channels: Channel) -> None:
        self.time = PlayedTime(NOW)
        self.incidents = Incidents()
        self.bucket = MemoryBucket()
        self.lanes = MemoryLanes()
        self.channels = channels

    @property
    def notifier(self) -> Notifier:
        """Return that of a new process."""
        world = World(
            function_name="reporter",
            bucket=self.bucket,
            incidents=self.incidents,
            lanes=self.lanes,
            databases=WatchedDatabases(tuple, self.time.now),
            channels=self.channels,
            put_unreadable=lambda _: None,
            look=lambda _database, now: Circumstances((), (), None, (), looked_at=now),
            now=self.time.now,
            sleep=self.time.sleep,
        )
        return Notifier(SETTINGS, REGION, world)

    def store(self, incident: Incident, replaces: Incident | None = None) -> Incident:
        assert self.incidents.put(
            incident,
            replaces=None if replaces is None else replaces.version,
            ended=None,
            now=self.time.now(),
        )
        return incident

    def deliver(self, incident: Incident) -> None:
        self.notifier.notify((incident.database, incident.id), an_invocation(self.time))

    def every_minute(self, minutes: int = 1) -> None:
        for _ in range(minutes):
            self.time.sleep(60)
            self.notifier.notify_pending(an_invocation(self.time))

    @property
    def pending(self) -> set[str]:
        found = self.incidents.pending(self.time.now() + timedelta(days=1))
        return {each.key[0] for each in found}


def of(database: str) -> Incident:
    return replace(OPENED, database=database)
