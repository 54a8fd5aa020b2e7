"""What the reporter does with a delivery: it stores the report, adds it to the incident, and
notifies people.
"""

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.logging import Logger

from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.delivery import (
    Delivery,
    GuardAlarmDelivery,
    ReportDelivery,
    function_name,
    read_delivery,
)
from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.evidence_lines import (
    evidence_key,
    evidence_lines,
    report_document,
    report_key,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.lifecycle import absorb
from connection_guard.core.incident.report_entry import entry_of
from connection_guard.errors import ConnectionGuardError, ForeignEventError, StoreError
from reporter.notifier import TRIES_TO_WRITE, Notifier, collected
from reporter.world import InvocationContext, World

logger = Logger(service="connection-guard")


class Reporter:
    """The Lambda handler: it stores the report, adds it to the incident and notifies people; a
    failure in one step does not stop the others.

    Failures are raised in the end: Lambda tries again, which repeats nothing that succeeded, and
    then keeps the delivery in the dead-letter queue.
    """

    def __init__(
        self,
        settings: ReporterSettings,
        databases: Mapping[str, WatchedDatabase],
        region: str,
        world: World,
    ) -> None:
        """Keep what every delivery needs; `databases` are by the names of their responders."""
        self._databases = databases
        self._store = world.store
        self._notifier = Notifier(settings, region, world)

    def __call__(self, event: Mapping[str, Any], context: InvocationContext) -> None:
        """Serve a delivery. Raises the first of the errors; the others are in the log."""
        try:
            delivery = read_delivery(*_message_in(event))
        except ForeignEventError as error:
            self._notifier.notify_unreadable(context.aws_request_id, error)
            raise
        database = self._database_of(delivery)
        entry = entry_of(delivery, evidence=_main_key(delivery))
        try:
            self._serve(delivery, database, entry, context)
        except ConnectionGuardError:
            raise
        except Exception:
            # Any other error is a fault of the reporter's own: people are notified nevertheless.
            self._notifier.notify_unkept(database, entry)
            raise

    def _serve(
        self,
        delivery: Delivery,
        database: WatchedDatabase,
        entry: Entry,
        context: InvocationContext,
    ) -> None:
        errors: list[ConnectionGuardError] = []
        with collected(errors):
            self._keep(delivery)
        try:
            incident = self._absorb(database, entry)
        except StoreError as error:
            logger.error(str(error))
            errors.append(error)
            with collected(errors):
                self._notifier.notify_unkept(database, entry)
        else:
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
                self._notifier.notify(database, entry, context.aws_request_id, errors)
        if errors:
            raise errors[0]

    def _database_of(self, delivery: Delivery) -> WatchedDatabase:
        """Return the delivery's database, also one that is no longer in guard.toml; a failure of
        such a one is named after its function.
        """
        if isinstance(delivery, GuardAlarmDelivery):
            raise ForeignEventError(f"alarm {delivery.name} is not the reporter's to handle")
        function = function_name(delivery.function_arn)
        identifier = delivery.database if isinstance(delivery, ReportDelivery) else function
        return self._databases.get(function) or WatchedDatabase(
            identifier, is_cluster=False, function_name=function
        )

    def _keep(self, delivery: Delivery) -> None:
        if not isinstance(delivery, ReportDelivery):
            self._store.put_evidence(delivery.record_key, json.dumps(delivery.record).encode())
            return
        key = evidence_key(delivery)
        try:
            lines = evidence_lines(delivery)
            document = report_document(delivery, evidence=None if lines is None else key)
        except (LookupError, ValueError, TypeError, ArithmeticError) as error:
            logger.error(f"the evidence of run {delivery.request_id} is kept as it came: {error!r}")
            lines, document = None, json.dumps(delivery.report).encode()
        if lines is not None:
            self._store.put_evidence(key, lines, "application/gzip")
        self._store.put_evidence(report_key(delivery), document)

    def _absorb(self, database: WatchedDatabase, entry: Entry) -> Incident | None:
        for _ in range(TRIES_TO_WRITE):
            current = self._store.latest_incident(database.identifier)
            new_id = f"{entry.at:%Y%m%dT%H%M%S}-{entry.request_id}"
            incident = absorb(current, entry, database=database.identifier, new_id=new_id).latest
            if incident is None or incident is current:
                return incident
            if self._store.put_incident(incident, replaces=current.version if current else None):
                return incident
        raise StoreError(
            f"the incident of {database.identifier} changed {TRIES_TO_WRITE} times in a row"
        )


def _message_in(event: Mapping[str, Any]) -> tuple[str, str]:
    """Return the message that SNS delivered, and its id."""
    try:
        (record,) = event["Records"]
        return record["Sns"]["Message"], record["Sns"].get("MessageId", "")
    except (KeyError, TypeError, ValueError) as wrong:
        raise ForeignEventError(f"expected one SNS record; found none ({wrong!r})") from wrong


def _main_key(delivery: Delivery) -> str:
    """Return the key where people look first, written by now or by Lambda's next try."""
    if not isinstance(delivery, ReportDelivery):
        return delivery.record_key
    return evidence_key(delivery) if delivery.report.get("evidence") else report_key(delivery)
