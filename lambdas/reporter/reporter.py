"""What the reporter does with a delivery: it stores the report, adds it to the incident, and
notifies people.
"""

import json
from dataclasses import replace
from datetime import timedelta

from aws_lambda_powertools.logging import Logger

from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances, renewed
from connection_guard.core.incident.delivery import (
    Delivery,
    ReportDelivery,
    database_of,
    read_message,
)
from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.evidence_lines import (
    evidence_key,
    evidence_lines,
    report_document,
    report_key,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.lifecycle import absorb, incident_id
from connection_guard.core.incident.report_entry import entry_of
from connection_guard.errors import ConnectionGuardError, ForeignEventError, StoreError
from reporter.notifier import Notifier
from reporter.watched_databases import REFRESHED_AFTER
from reporter.world import InvocationContext, World

# How often others may write between this run's look at the incident and its own write.
TRIES_TO_WRITE = 20

SECONDS_BEFORE_SECOND_TRY = 1

# An incident is looked at from outside no more often.
LOOKS_EVERY = timedelta(minutes=1)

# A message may name a database that was added since the last look at what the stack guards.
UNKNOWN_AFTER = timedelta(seconds=10)

logger = Logger(service="connection-guard")


class Reporter:
    """Serves deliveries, one message of the queue at a time.

    It raises StoreError where something is not stored: the queue then keeps the message, and
    nothing that succeeded is repeated. That people could not be notified is no reason to store
    again: what is pending is notified by a later run.
    """

    def __init__(self, settings: ReporterSettings, notifier: Notifier, world: World) -> None:
        self._stack = settings.dashboard
        self._notifier = notifier
        self._world = world

    def serve(self, message: str, context: InvocationContext) -> None:
        """Serve what SNS put into the queue. Raises StoreError."""
        try:
            delivery = read_message(message)
        except ForeignEventError as error:
            logger.error(f"a message cannot be read, and goes to the dead-letter queue: {error}")
            self._world.put_unreadable(message)
            return
        database = self._database_of(delivery)
        entry = entry_of(delivery, evidence=_main_key(delivery))
        try:
            self._store_and_notify(delivery, database, entry, context)
        except ConnectionGuardError:
            raise
        except Exception:
            # Any other error is a fault of the reporter's own: people are notified nevertheless.
            self._notifier.announce(database, entry, context)
            raise

    def _database_of(self, delivery: Delivery) -> WatchedDatabase:
        databases, stack = self._world.databases, self._notifier.database(self._stack)
        for after in (REFRESHED_AFTER, UNKNOWN_AFTER):
            databases.refresh(after)
            database = database_of(delivery, databases.known, stack)
            if database in databases.known:
                break
        return database

    def _store_and_notify(
        self,
        delivery: Delivery,
        database: WatchedDatabase,
        entry: Entry,
        context: InvocationContext,
    ) -> None:
        failure: StoreError | None = None
        try:
            self._keep(delivery)
        except StoreError as error:
            logger.error(str(error))
            failure = error
        try:
            incident = self._absorb_at_last(database, entry)
        except StoreError as error:
            logger.error(str(error))
            self._notifier.announce(database, entry, context)
            raise
        logger.info(
            entry.headline,
            database=database.identifier,
            kind=entry.kind,
            request_id=entry.request_id,
            evidence=entry.evidence,
            incident=incident and incident.id,
            progress=incident and incident.progress,
        )
        if incident is not None and incident.matters:
            self._notifier.notify((incident.database, incident.id), context)
        if failure is not None:
            raise failure

    def _keep(self, delivery: Delivery) -> None:
        bucket = self._world.bucket
        if not isinstance(delivery, ReportDelivery):
            bucket.put(delivery.record_key, json.dumps(delivery.record).encode())
            return
        key = evidence_key(delivery)
        try:
            lines = evidence_lines(delivery)
            document = report_document(delivery, evidence=None if lines is None else key)
        except (LookupError, ValueError, TypeError, ArithmeticError) as error:
            logger.error(f"the evidence of run {delivery.request_id} is kept as it came: {error!r}")
            lines, document = None, json.dumps(delivery.report).encode()
        if lines is not None:
            bucket.put(key, lines, "application/gzip")
        bucket.put(report_key(delivery), document)

    def _absorb_at_last(self, database: WatchedDatabase, entry: Entry) -> Incident | None:
        """Return what `_absorb` does, in a second try where the first fails: a table that only
        hesitates is no reason to notify people without it.
        """
        try:
            return self._absorb(database, entry)
        except StoreError as error:
            logger.warning(f"{error}; trying again")
            self._world.sleep(SECONDS_BEFORE_SECOND_TRY)
        return self._absorb(database, entry)

    def _absorb(self, database: WatchedDatabase, entry: Entry) -> Incident | None:
        """Return the incident that has the entry by now, None for a lone heartbeat."""
        incidents, seen = self._world.incidents, None
        for _ in range(TRIES_TO_WRITE):
            current = incidents.latest(database.identifier)
            absorbed = absorb(
                current, entry, database=database.identifier, new_id=incident_id(entry)
            )
            latest = absorbed.latest
            if latest is None or latest is current:
                return latest
            is_known = database in self._world.databases.known
            if is_known and latest.matters and not self._is_fresh(latest.circumstances):
                seen = seen or self._world.look(database, self._world.now())
                around = renewed(latest.circumstances, seen, latest.opened_at)
                latest = replace(latest, circumstances=around)
            replaces = current.version if current else None
            if incidents.put(
                latest, replaces=replaces, ended=absorbed.ended, now=self._world.now()
            ):
                return latest
        raise StoreError(
            f"the incident of {database.identifier} changed {TRIES_TO_WRITE} times in a row"
        )

    def _is_fresh(self, seen: Circumstances | None) -> bool:
        if seen is None or seen.looked_at is None:
            return False
        return self._world.now() - seen.looked_at < LOOKS_EVERY


def _main_key(delivery: Delivery) -> str:
    """Return the key where people look first, written by now or when the message comes again."""
    if not isinstance(delivery, ReportDelivery):
        return delivery.record_key
    return evidence_key(delivery) if delivery.report.get("evidence") else report_key(delivery)
