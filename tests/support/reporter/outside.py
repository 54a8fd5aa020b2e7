"""An AWS account, a Slack, and the reporter between them, which a test can make to fail."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
from botocore.exceptions import ClientError

from connection_guard.adapters.aws.store import Store
from connection_guard.adapters.channels.incidents_topic import sns_client
from connection_guard.adapters.channels.slack_secret import SlackBot, SlackSecret
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.errors import StoreError
from doubles.slack_double import SlackDouble
from reporter.reporter import Reporter
from reporter.world import World
from tests.support.reporter.deliveries import (
    FUNCTION_NAME,
    REGION,
    a_notification,
    a_report,
)
from tests.support.reporter.incidents import a_context

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


ORDERS = WatchedDatabase("orders-prod", is_cluster=False, function_name=FUNCTION_NAME)


class Outside:
    """An AWS account, a Slack, and the reporter between them; `now` moves as a test says."""

    def __init__(self, slack: SlackDouble) -> None:
        self.slack = slack
        self.now = NOW
        self.context = a_context()
        self.during_notification: Callable[[], None] | None = None
        self.s3 = boto3.client("s3", region_name=REGION)
        self.s3.create_bucket(
            Bucket="evidence", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        boto3.client("dynamodb", region_name=REGION).create_table(
            TableName="incidents",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
            ],
        )
        topic = boto3.client("sns", region_name=REGION).create_topic(Name="incidents")["TopicArn"]
        self.settings = ReporterSettings(
            "incidents", "evidence", topic, "unreadable", "ConnectionGuard", slack_secret="slack"
        )
        self.store = BreakableStore(self.settings)
        self.sns = RecordingSns()
        self.secret: SlackSecret = SlackBot(slack.token, slack.channel, slack.base_url)
        self.reporter = self.another_process()

    def another_process(self) -> Reporter:
        """Start again with nothing remembered but what is stored."""
        world = World(self.store, self.sns, lambda: self.secret, self._look, lambda: self.now)
        return Reporter(self.settings, {ORDERS.function_name: ORDERS}, REGION, world)

    def _look(self, _database: WatchedDatabase, _now: datetime) -> Circumstances:
        if self.during_notification:
            happens, self.during_notification = self.during_notification, None
            happens()
        return self.context

    def let_happen(self, moment: str, happens: Callable[[], None]) -> None:
        """During the next notification, or after it, before the lease is released."""
        if moment == "during":
            self.during_notification = happens
        else:
            self.store.before_release = happens

    def deliver(self, record: object) -> None:
        self.reporter(a_notification(record), an_invocation())

    @property
    def incident(self) -> Incident:
        latest = Store(self.settings).latest_incident("orders-prod")
        assert latest is not None
        return latest

    def progress(self) -> Progress:
        return self.incident.progress

    @property
    def objects(self) -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket="evidence").get("Contents", [])
        return {
            each["Key"]: self.s3.get_object(Bucket="evidence", Key=each["Key"])["Body"].read()
            for each in listed
        }


@dataclass(frozen=True)
class Invocation:
    aws_request_id: str


def an_invocation() -> Invocation:
    return Invocation(str(uuid4()))


class RecordingSns:
    """Takes what SNS takes, or refuses it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.is_down = False
        self._real = sns_client(region=REGION)

    def publish(self, **message: Any) -> dict[str, Any]:
        if self.is_down:
            raise refused("Publish")
        self._real.publish(**message)
        self.messages.append(message)
        return {}

    @property
    def subjects(self) -> list[str]:
        return [message["Subject"] for message in self.messages]


class BreakableStore(Store):
    """The real store, which can be made to refuse; `meanwhile` happens before the next write
    to the table.
    """

    def __init__(self, settings: ReporterSettings) -> None:
        super().__init__(settings)
        self.bucket_is_down = False
        self.table_is_throttled = False
        self.lease_is_throttled = False
        self.meanwhile: Callable[[], None] | None = None
        self.before_release: Callable[[], None] | None = None

    def put_evidence(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        if self.bucket_is_down:
            raise StoreError("bucket evidence: SlowDown")
        super().put_evidence(key, body, content_type)

    def latest_incident(self, database: str) -> Incident | None:
        if self.table_is_throttled:
            raise StoreError("table incidents: ThrottlingException")
        return super().latest_incident(database)

    def claim(self, database: str, holder: str, *, now: datetime, until: datetime) -> bool:
        if self.lease_is_throttled:
            raise StoreError("table incidents: ThrottlingException")
        return super().claim(database, holder, now=now, until=until)

    def release(self, database: str, holder: str, *, notified: int) -> bool:
        if self.before_release:
            happens, self.before_release = self.before_release, None
            happens()
        return super().release(database, holder, notified=notified)

    def put_incident(self, incident: Incident, *, replaces: int | None) -> bool:
        if self.meanwhile:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return super().put_incident(incident, replaces=replaces)


def refused(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, operation)


def at(minute: int) -> datetime:
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
