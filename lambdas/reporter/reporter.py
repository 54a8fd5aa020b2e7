"""What the reporter does with a delivery: keep it, read it into its database's incident, and tell
people.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.aws.sns import publish
from connection_guard.adapters.aws.store import Store
from connection_guard.adapters.slack.client import SlackSecret, tell
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident import circumstances
from connection_guard.core.incident.delivery import Delivery, ReportDelivery, read_delivery
from connection_guard.core.incident.entry import entry_of
from connection_guard.core.incident.evidence_lines import (
    evidence_key,
    evidence_lines,
    report_document,
    report_key,
)
from connection_guard.core.incident.incident import Entry, Incident, absorb, followed
from connection_guard.core.notification.links import Links, links_of
from connection_guard.core.notification.summary import SNS, json_of, news_of, subject_of, text_of
from connection_guard.errors import (
    ConnectionGuardError,
    ForeignEventError,
    NotificationError,
    StoreError,
)

# The longest that this function runs: whoever has the lease longer than that has died.
LEASE = timedelta(minutes=1)

# How often others may write between this run's look at the incident and its own write.
TRIES_TO_WRITE = 20

# How often this run looks whether others have brought news while it told of the last.
ROUNDS = 5

logger = Logger(service="connection-guard")


class Sns(Protocol):
    """What is needed of boto3's client."""

    def publish(self, **message: Any) -> Mapping[str, Any]:
        """Raises what boto3 raises."""
        ...


class Context(Protocol):
    """What the reporter needs of Lambda's context object."""

    @property
    def aws_request_id(self) -> str:
        """Names the invocation: the same for each of Lambda's tries, another where SNS delivers
        twice.
        """
        ...


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside that the reporter asks. `slack_secret` is None where Slack is not told."""

    store: Store
    sns: Sns
    slack_secret: Callable[[], SlackSecret] | None
    look: Callable[[WatchedDatabase, datetime], circumstances.Context]
    now: Callable[[], datetime]


class Reporter:
    """The Lambda handler: one delivery in, and its incident stored and told.

    Each step is tried whatever became of the others, and what failed is raised in the end: Lambda
    tries again, which repeats nothing that succeeded, and then keeps the delivery in the
    dead-letter queue.
    """

    def __init__(
        self,
        settings: ReporterSettings,
        databases: Mapping[str, WatchedDatabase],
        region: str,
        world: World,
    ) -> None:
        """`databases` go by the names of their responders."""
        self._settings = settings
        self._databases = databases
        self._region = region
        self._world = world
        # Lambda's next try mostly comes to the same process. People need not be told thrice of what
        # it cannot keep.
        self._told_unkept: set[str] = set()

    def __call__(self, event: object, context: Context) -> None:
        """Raises the first of the errors; the others are in the log."""
        try:
            delivery = read_delivery(event)
        except ForeignEventError as error:
            self._tell_unreadable(context.aws_request_id, error)
            raise
        database = self._database_of(delivery)
        entry = entry_of(delivery, evidence=_main_key(delivery))
        try:
            self._serve(delivery, database, entry, context)
        except ConnectionGuardError:
            raise
        except Exception:
            # Whatever it is, it is a fault of the reporter's own, and no reason to leave people
            # untold.
            self._tell_unkept(database, entry)
            raise

    def _serve(
        self, delivery: Delivery, database: WatchedDatabase, entry: Entry, context: Context
    ) -> None:
        errors: list[ConnectionGuardError] = []
        with _collected(errors):
            self._keep(delivery)
        try:
            incident = self._absorb(database, entry)
        except StoreError as error:
            logger.error(str(error))
            errors.append(error)
            with _collected(errors):
                self._tell_unkept(database, entry)
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
                self._tell(database, entry, context.aws_request_id, errors)
        if errors:
            raise errors[0]

    def _database_of(self, delivery: Delivery) -> WatchedDatabase:
        """One that is no longer in guard.toml is told of all the same; a failure then goes by its
        function's name.
        """
        function = delivery.function_arn.split(":function:")[-1].partition(":")[0]
        identifier = delivery.database if isinstance(delivery, ReportDelivery) else function
        return self._databases.get(function) or WatchedDatabase(
            identifier, is_cluster=False, function_name=function
        )

    # Evidence

    def _keep(self, delivery: Delivery) -> None:
        store = self._world.store
        if not isinstance(delivery, ReportDelivery):
            store.put_evidence(delivery.record_key, json.dumps(delivery.record).encode())
            return
        key = evidence_key(delivery)
        try:
            lines = evidence_lines(delivery)
            document = report_document(delivery, evidence=None if lines is None else key)
        except (LookupError, ValueError, TypeError, ArithmeticError) as error:
            logger.error(f"the evidence of run {delivery.request_id} is kept as it came: {error!r}")
            lines, document = None, json.dumps(delivery.report).encode()
        if lines is not None:
            store.put_evidence(key, lines, "application/gzip")
        store.put_evidence(report_key(delivery), document)

    # The incident

    def _absorb(self, database: WatchedDatabase, entry: Entry) -> Incident | None:
        for _ in range(TRIES_TO_WRITE):
            current = self._world.store.latest_incident(database.identifier)
            new_id = f"{entry.at:%Y%m%dT%H%M%S}-{entry.request_id}"
            incident = absorb(current, entry, database=database.identifier, new_id=new_id)
            if incident is None or incident is current:
                return incident
            if self._world.store.put_incident(
                incident, replaces=current.version if current else None
            ):
                return incident
        raise StoreError(
            f"the incident of {database.identifier} changed {TRIES_TO_WRITE} times in a row"
        )

    # People

    def _tell(
        self,
        database: WatchedDatabase,
        entry: Entry,
        holder: str,
        errors: list[ConnectionGuardError],
    ) -> None:
        """One run at a time; another leaves, because whoever tells looks again before letting
        go.
        """
        store, now = self._world.store, self._world.now
        slack_errors: list[ConnectionGuardError] = []
        try:
            if not store.claim(database.identifier, holder, now=now(), until=now() + LEASE):
                return
            for _ in range(ROUNDS):
                latest = store.latest_incident(database.identifier)
                assert latest is not None
                told = self._remember(self._told_to_the_end(latest, database, errors, slack_errors))
                if store.release(database.identifier, holder, told=told.version):
                    break
            else:
                raise StoreError(
                    f"the incident of {database.identifier} changed {ROUNDS} times while it was "
                    "told"
                )
        except StoreError as error:
            logger.error(str(error))
            errors.append(error)
            with _collected(errors):
                self._tell_unkept(database, entry)
        errors += slack_errors

    def _told_to_the_end(
        self,
        incident: Incident,
        database: WatchedDatabase,
        errors: list[ConnectionGuardError],
        slack_errors: list[ConnectionGuardError],
    ) -> Incident:
        """With what there still is to be told of the incident before, which another may have
        followed too soon.
        """
        if incident.previous is not None:
            before = self._world.store.past_incident(database.identifier, incident.previous)
            if before is not None:
                told = self._told(
                    followed(before, incident.opened_at), database, errors, slack_errors
                )
                if told != before:
                    self._world.store.put_past_incident(told)
            if not errors and not slack_errors:
                incident = replace(incident, previous=None)
        context = _renewed(incident.context, self._world.look(database, self._world.now()))
        return self._told(replace(incident, context=context), database, errors, slack_errors)

    def _told(
        self,
        incident: Incident,
        database: WatchedDatabase,
        errors: list[ConnectionGuardError],
        slack_errors: list[ConnectionGuardError],
    ) -> Incident:
        """The incident with what people have now been told of it. SNS comes first: it answers at
        once.
        """
        now = self._world.now()
        links = links_of(incident, database, self._settings, self._region)
        news = news_of(incident)
        if news is not None and news not in incident.told:
            with _collected(errors):
                self._publish(incident, links, now)
                others = (each for each in incident.told if not each.startswith(SNS))
                incident = replace(incident, told=(*others, news))
        # Once refused, Slack is left to Lambda's next try: another round is to tell the others what
        # is new.
        if self._world.slack_secret is not None and not slack_errors:
            with _collected(slack_errors):
                telling = tell(incident, links, now, secret=self._world.slack_secret())
                incident = replace(incident, slack=telling.message, told=telling.told)
                if telling.error:
                    raise telling.error
        return incident

    def _publish(self, incident: Incident, links: Links, now: datetime) -> None:
        publish(
            self._world.sns,
            self._settings.incidents_topic,
            subject_of(incident),
            text_of(incident, links, now),
            json_of(incident, links, now),
        )

    def _remember(self, told: Incident) -> Incident:
        """Writes what was told into whatever the incident has become meanwhile.

        Gives the version that people know: an old one where they do not know the latest.
        """
        for _ in range(TRIES_TO_WRITE):
            latest = self._world.store.latest_incident(told.database)
            assert latest is not None
            if latest.id != told.id:  # another has begun
                return told
            kept = replace(
                latest,
                slack=told.slack,
                told=told.told,
                context=told.context,
                previous=told.previous,
            )
            if kept == latest:
                return told
            kept = replace(kept, version=latest.version + 1)
            if self._world.store.put_incident(kept, replaces=latest.version):
                return kept if latest.version == told.version else told
        raise StoreError(f"the incident of {told.database} changed {TRIES_TO_WRITE} times in a row")

    # What cannot be kept

    def _tell_unkept(self, database: WatchedDatabase, entry: Entry) -> None:
        """By itself, since what else belongs to its incident is not known: by SNS, which asks for
        no memory.
        """
        incident = absorb(None, entry, database=database.identifier, new_id=entry.request_id)
        if incident is None or not incident.matters or entry.request_id in self._told_unkept:
            return
        self._publish(
            incident, links_of(incident, database, self._settings, self._region), self._world.now()
        )
        self._told_unkept.add(entry.request_id)

    def _tell_unreadable(self, invocation: str, error: ForeignEventError) -> None:
        """A message without a Report that can be read may be the only word of an incident."""
        if invocation in self._told_unkept:
            return
        text = (
            "Connection Guard's reporter was sent what it cannot read. Nothing of it is stored; "
            "it is kept in the "
            f"dead-letter queue, whose alarm says where.\n\n{error}"
        )
        document = {
            "schema_version": 1,
            "database": "",
            "progress": "",
            "tier": "",
            "error": str(error),
            "omitted": {},
        }
        try:
            publish(
                self._world.sns,
                self._settings.incidents_topic,
                "[unreadable report]",
                text,
                document,
            )
        except NotificationError as untold:
            logger.error(str(untold))
        else:
            self._told_unkept.add(invocation)


@contextmanager
def _collected(errors: list[ConnectionGuardError]) -> Iterator[None]:
    """What goes wrong keeps nothing else from being tried."""
    try:
        yield
    except (StoreError, NotificationError) as error:
        logger.error(str(error))
        errors.append(error)


def _main_key(delivery: Delivery) -> str:
    """Where a person looks first. Known whether or not it could be written yet: Lambda's next try
    does.
    """
    if not isinstance(delivery, ReportDelivery):
        return delivery.record_key
    return evidence_key(delivery) if delivery.report.get("evidence") else report_key(delivery)


def _renewed(
    before: circumstances.Context | None, now: circumstances.Context
) -> circumstances.Context:
    """What is new, without losing how it began: events leave RDS's last hour, the rise leaves the
    picture.
    """
    if before is None:
        return now
    events = tuple(sorted({*before.events, *now.events}, key=lambda event: event.at))
    return replace(
        now, events=events, usage=now.usage or before.usage, trend=before.trend or now.trend
    )
