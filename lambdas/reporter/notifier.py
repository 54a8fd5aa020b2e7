"""How people are notified of an incident: one run at a time, each piece of news once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.channels.incidents_topic import publish
from connection_guard.adapters.channels.slack_client import notify_slack
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances
from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.lifecycle import absorb, followed
from connection_guard.core.notification.channel.news import SNS, news_of
from connection_guard.core.notification.document import INCIDENT_SCHEMA_VERSION, document_of
from connection_guard.core.notification.email import subject_of, text_of
from connection_guard.core.notification.links import Links, links_of
from connection_guard.errors import (
    ConnectionGuardError,
    ForeignEventError,
    NotificationError,
    StoreError,
)
from reporter.world import World

# The longest that this function runs: a holder that has had the lease for longer has died.
LEASE = timedelta(minutes=1)

# How often others may write between this run's look at the incident and its own write.
TRIES_TO_WRITE = 20

# How often this run checks whether others have brought news while it notified people of the last.
ROUNDS = 5

logger = Logger(service="connection-guard")


class Notifier:
    """Slack and SNS, and what the incident remembers of what they were sent."""

    def __init__(self, settings: ReporterSettings, region: str, world: World) -> None:
        self._settings = settings
        self._region = region
        self._world = world
        # Lambda's next try mostly reaches the same process, and people need not be notified three
        # times of what it cannot store.
        self._notified_unkept: set[str] = set()

    def notify(
        self,
        database: WatchedDatabase,
        entry: Entry,
        holder: str,
        errors: list[ConnectionGuardError],
    ) -> None:
        """Notify people of the database's latest incident, which has the entry; what fails is added
        to `errors`.

        One run does so at a time, and the others leave it to that one: it looks again before it
        releases the lease.
        """
        store, now = self._world.store, self._world.now
        slack_errors: list[ConnectionGuardError] = []
        try:
            if not store.claim(database.identifier, holder, now=now(), until=now() + LEASE):
                return
            for _ in range(ROUNDS):
                latest = store.latest_incident(database.identifier)
                assert latest is not None
                notified = self._remember(
                    self._notified_to_the_end(latest, database, errors, slack_errors)
                )
                if store.release(database.identifier, holder, notified=notified.version):
                    break
            else:
                raise StoreError(
                    f"the incident of {database.identifier} changed {ROUNDS} times while people "
                    "were notified of it"
                )
        except StoreError as error:
            logger.error(str(error))
            errors.append(error)
            with collected(errors):
                self.notify_unkept(database, entry)
        errors += slack_errors

    def notify_unkept(self, database: WatchedDatabase, entry: Entry) -> None:
        """Notify people of an entry that the store did not take: by itself, since the rest of its
        incident is not known, and by SNS, which needs no memory.
        """
        incident = absorb(None, entry, database=database.identifier, new_id=entry.request_id).latest
        if incident is None or not incident.matters or entry.request_id in self._notified_unkept:
            return
        links = links_of(incident, database, self._settings, self._region)
        self._publish(incident, links, self._world.now())
        self._notified_unkept.add(entry.request_id)

    def notify_unreadable(self, invocation: str, error: ForeignEventError) -> None:
        """Notify people of a message without a readable Report: it may be the only sign of an
        incident.
        """
        if invocation in self._notified_unkept:
            return
        text = (
            "Connection Guard's reporter was sent a message that it cannot read. Nothing of it is "
            "stored in the table or the bucket; the dead-letter queue keeps it, and its alarm says "
            f"where.\n\n{error}"
        )
        document = {
            "schema_version": INCIDENT_SCHEMA_VERSION,
            "database": "",
            "progress": "",
            "tier": "",
            "error": str(error),
            "omitted": {},
        }
        topic = self._settings.incidents_topic
        try:
            publish(self._world.sns, topic, "[unreadable report]", text, document)
        except NotificationError as failed:
            logger.error(str(failed))
        else:
            self._notified_unkept.add(invocation)

    def _notified_to_the_end(
        self,
        incident: Incident,
        database: WatchedDatabase,
        errors: list[ConnectionGuardError],
        slack_errors: list[ConnectionGuardError],
    ) -> Incident:
        """Return the incident with what people have now been notified of, after the end of the
        incident before, which another may have followed too soon.
        """
        if incident.previous is not None:
            before = self._world.store.past_incident(database.identifier, incident.previous)
            if before is not None:
                ended = followed(before, incident.opened_at)
                notified = self._notified(ended, database, errors, slack_errors)
                if notified != before:
                    self._world.store.put_past_incident(notified)
            if not errors and not slack_errors:
                incident = replace(incident, previous=None)
        seen = self._world.look(database, self._world.now())
        incident = replace(incident, circumstances=_renewed(incident.circumstances, seen))
        return self._notified(incident, database, errors, slack_errors)

    def _notified(
        self,
        incident: Incident,
        database: WatchedDatabase,
        errors: list[ConnectionGuardError],
        slack_errors: list[ConnectionGuardError],
    ) -> Incident:
        """Return the incident with what people have now been notified of. SNS comes first: it
        answers at once.
        """
        now = self._world.now()
        links = links_of(incident, database, self._settings, self._region)
        news = news_of(incident)
        if news is not None and news not in incident.notified:
            with collected(errors):
                self._publish(incident, links, now)
                others = (each for each in incident.notified if not each.startswith(SNS))
                incident = replace(incident, notified=(*others, news))
        # Once Slack has refused, it is left to Lambda's next try: another round only notifies the
        # other channels of news.
        if self._world.slack_secret is not None and not slack_errors:
            with collected(slack_errors):
                secret = self._world.slack_secret()
                outcome = notify_slack(incident, links, now, secret=secret)
                incident = replace(incident, slack=outcome.message, notified=outcome.notified)
                if outcome.error:
                    raise outcome.error
        return incident

    def _publish(self, incident: Incident, links: Links, now: datetime) -> None:
        publish(
            self._world.sns,
            self._settings.incidents_topic,
            subject_of(incident),
            text_of(incident, links, now),
            document_of(incident, links, now),
        )

    def _remember(self, notified: Incident) -> Incident:
        """Write what people were notified of into the incident as it is by now.

        Returns the version that people know: an old one where they do not know the latest.
        """
        for _ in range(TRIES_TO_WRITE):
            latest = self._world.store.latest_incident(notified.database)
            assert latest is not None
            if latest.id != notified.id:  # another has begun
                return notified
            kept = replace(
                latest,
                slack=notified.slack,
                notified=notified.notified,
                circumstances=notified.circumstances,
                previous=notified.previous,
            )
            if kept == latest:
                return notified
            kept = replace(kept, version=latest.version + 1)
            if self._world.store.put_incident(kept, replaces=latest.version):
                return kept if latest.version == notified.version else notified
        raise StoreError(
            f"the incident of {notified.database} changed {TRIES_TO_WRITE} times in a row"
        )


@contextmanager
def collected(errors: list[ConnectionGuardError]) -> Iterator[None]:
    """Log and collect an error of the store or of a notification, so that what follows is tried."""
    try:
        yield
    except (StoreError, NotificationError) as error:
        logger.error(str(error))
        errors.append(error)


def _renewed(before: Circumstances | None, now: Circumstances) -> Circumstances:
    """Return what is new without losing how it began: events leave RDS's last hour, and the rise
    leaves the last hours' usage.
    """
    if before is None:
        return now
    events = tuple(sorted({*before.events, *now.events}, key=lambda event: event.at))
    return replace(
        now, events=events, usage=now.usage or before.usage, trend=before.trend or now.trend
    )
