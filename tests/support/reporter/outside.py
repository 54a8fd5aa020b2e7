"""An AWS account, a Slack, and the reporter between them, which a test can make to fail."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import boto3
from botocore.exceptions import ClientError

from connection_guard.adapters.aws.evidence_bucket import EvidenceBucket
from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.aws.lane_table import LaneTable
from connection_guard.adapters.aws.table import Table
from connection_guard.adapters.channels.slack_secret import SlackBot, SlackSecret
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.errors import ConfigurationError, StoreError
from doubles.aws.memory_store import MemoryBucket, MemoryIncidents, MemoryLanes
from doubles.slack_double import SlackDouble
from reporter.channels import incidents_channel
from reporter.notifier import Notifier
from reporter.reporter import Reporter
from reporter.slack_channel import SlackChannel
from reporter.watched_databases import WatchedDatabases
from reporter.world import World
from tests.support.emulated_account import (
    BUCKET,
    DATABASES_PATH,
    LOG_GROUP,
    TABLE,
    create_evidence_bucket,
    create_incidents_table,
)
from tests.support.reporter.deliveries import FUNCTION_NAME, REGION, a_report
from tests.support.reporter.faults import Breakable, Faults
from tests.support.reporter.incidents import a_context
from tests.support.reporter.played_time import PlayedTime, an_invocation

TOPIC = f"arn:aws:sns:{REGION}:123456789012:incidents"

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
ORDERS = WatchedDatabase("orders-prod", is_cluster=False, function_name=FUNCTION_NAME)

VISIBLE_AGAIN_AFTER = timedelta(seconds=120)


@dataclass(frozen=True)
class Stores:
    """Where the reporter keeps what it is sent."""

    bucket: EvidenceBucket
    incidents: IncidentTable
    lanes: LaneTable


def stores_in_memory() -> Stores:
    """Return what is fast enough for hundreds of stories."""
    return Stores(MemoryBucket(), MemoryIncidents(), MemoryLanes())


def stores_of_aws() -> Stores:
    """Return a bucket and a table of moto's."""
    create_evidence_bucket()
    create_incidents_table()
    table = Table(TABLE)
    return Stores(EvidenceBucket(BUCKET), IncidentTable(table), LaneTable(table))


class Outside:
    """An AWS account, a Slack, and the reporter between them.

    `now` moves as a test says, and while the reporter sleeps; what is due meanwhile happens then,
    as if another invocation ran.
    """

    def __init__(self, slack: SlackDouble, stores: Stores, *watched: WatchedDatabase) -> None:
        self.slack = slack
        self.time = PlayedTime(NOW)
        self.stores = stores
        self.incidents = stores.incidents
        self.context = a_context()
        self.faults = Faults()
        self.unreadable: list[str] = []
        self.settings = ReporterSettings(
            "incidents",
            "evidence",
            TOPIC,
            "unreadable",
            "ConnectionGuard",
            DATABASES_PATH,
            LOG_GROUP,
            slack_secret="slack",
        )
        self.sns = RecordingSns(self.faults)
        self.secret: SlackSecret = SlackBot(slack.token, slack.channel, slack.base_url)
        self.secret_anew: SlackSecret | None = None
        self.channels = (
            incidents_channel(self.sns, TOPIC),
            SlackChannel(self._read_secret),
        )
        self.read_databases: Callable[[], Iterable[WatchedDatabase | ConfigurationError]] = (
            self._read_watched
        )
        self.watched: Sequence[WatchedDatabase] = watched or (ORDERS,)
        self.another_process()

    def another_process(self) -> None:
        """Start again with nothing remembered but what is stored."""
        self.faults.restart()
        stores, faults = self.stores, self.faults
        world = World(
            function_name="reporter",
            bucket=cast("EvidenceBucket", Breakable("bucket", stores.bucket, faults)),
            incidents=cast("IncidentTable", Breakable("incidents", stores.incidents, faults)),
            lanes=cast("LaneTable", Breakable("lanes", stores.lanes, faults)),
            databases=WatchedDatabases(self.read_databases, self.time.now),
            channels=self.channels,
            put_unreadable=self._put_unreadable,
            look=self._look,
            now=self.time.now,
            sleep=self.time.sleep,
        )
        self.notifier = Notifier(self.settings, REGION, world)
        self.reporter = Reporter(self.settings, self.notifier, world)

    def _read_watched(self) -> Sequence[WatchedDatabase]:
        return self.faults.around(
            "parameters.read", lambda: self.watched, StoreError("parameters: ThrottlingException")
        )

    def _read_secret(self, *, anew: bool = False) -> SlackSecret:
        return self.secret_anew or self.secret if anew else self.secret

    def _look(self, _database: WatchedDatabase, now: datetime) -> Circumstances:
        return replace(self.context, looked_at=now)

    def _put_unreadable(self, message: str) -> None:
        self.faults.around(
            "queue.send_message",
            lambda: self.unreadable.append(message),
            StoreError("queue: ThrottlingException"),
        )

    # Time

    @property
    def now(self) -> datetime:
        return self.time.now()

    @now.setter
    def now(self, now: datetime) -> None:
        self.time.set(now)

    # Lambda's invocations

    def deliver(self, record: object) -> None:
        """Serve a message in which Lambda's record comes. Raises what the reporter raises."""
        self.reporter.serve(in_queue(record), an_invocation(self.time))

    def keep_delivering(self, record: object) -> None:
        """Serve a message, again and again until the reporter has taken it, as the queue does."""
        try:
            self.deliver(record)
        except StoreError:
            self.time.later(self.now + VISIBLE_AGAIN_AFTER, lambda: self.keep_delivering(record))

    def every_minute(self, minutes: int) -> None:
        """Let minutes pass, with the schedule in each."""
        for _ in range(minutes):
            self.time.sleep(60)
            self.notify_pending()

    def notify_pending(self) -> None:
        """Run what the schedule runs."""
        self.notifier.notify_pending(an_invocation(self.time))

    # What is stored

    @property
    def incident(self) -> Incident:
        latest = self.incidents.latest("orders-prod")
        assert latest is not None
        return latest

    def progress(self) -> Progress:
        return self.incident.progress

    @property
    def is_settled(self) -> bool:
        """Return whether nobody has to be notified of anything any more."""
        return not self.incidents.pending(self.now + timedelta(days=1))

    @property
    def objects(self) -> dict[str, bytes]:
        bucket = self.stores.bucket
        if isinstance(bucket, MemoryBucket):
            return bucket.objects
        s3 = boto3.client("s3", region_name=REGION)
        listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {
            each["Key"]: s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
            for each in listed
        }


class RecordingSns:
    """Takes what SNS takes, or refuses it."""

    def __init__(self, faults: Faults) -> None:
        self.messages: list[dict[str, Any]] = []
        self.is_down = False
        self._faults = faults

    def publish(self, **message: Any) -> dict[str, Any]:
        if self.is_down:
            raise refused("Publish")
        assert 0 < len(message["Subject"]) < 100
        assert message["Subject"].isascii()
        assert len(message["Message"]) <= 262_144
        self._faults.around(
            "sns.publish", lambda: self.messages.append(message), refused("Publish")
        )
        return {}

    @property
    def subjects(self) -> list[str]:
        return [message["Subject"] for message in self.messages]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """What machines got."""
        return [json.loads(json.loads(each["Message"])["default"]) for each in self.messages]


def in_queue(message: object) -> str:
    """Return the body of the queue's message that SNS makes of this one."""
    text = message if isinstance(message, str) else json.dumps(message)
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": str(uuid4()),
            "TopicArn": f"arn:aws:sns:{REGION}:123456789012:reports",
            "Message": text,
        }
    )


def refused(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, operation)


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


def on_a_heartbeat(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report as a heartbeat's."""
    return {**report, "event": {**report["event"], "type": "heartbeat", "alarm": None}}


def a_recovery(minute: int) -> dict[str, Any]:
    return on_a_heartbeat(a_report("observation", at(minute), used=60, recovered=True))


def states(outside: Outside) -> list[str]:
    """Return what the subject of each e-mail begins with."""
    return [subject.partition("]")[0] + "]" for subject in outside.sns.subjects]


def everything_said(slack: SlackDouble) -> str:
    return json.dumps([message.content for message in slack.messages], ensure_ascii=False)
