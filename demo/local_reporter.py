"""The reporter's part of the demo: the real Reporter with a store in memory, a Slack on this
machine, and an outbox.
"""

import json
import math
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.channels.slack_secret import parse_slack_secret
from connection_guard.core.deployment.reporter_settings import (
    Owner,
    ReporterSettings,
    WatchedDatabase,
)
from connection_guard.core.incident.circumstances import Circumstances, trend_of
from demo.show.terminal import captured_output
from doubles.aws.memory_store import MemoryBucket, MemoryIncidents, MemoryLanes
from doubles.slack_double import Posted, SlackDouble
from reporter.channels import incidents_channel
from reporter.notifier import Notifier
from reporter.reporter import Reporter
from reporter.slack_channel import SlackChannel
from reporter.watched_databases import WatchedDatabases
from reporter.world import World

REGION = "eu-central-1"
ACCOUNT = "123456789012"
RESPONDER = "connection-guard-shop-production"
SETTINGS = ReporterSettings(
    table="connection-guard-incidents",
    bucket="connection-guard-evidence",
    incidents_topic=f"arn:aws:sns:{REGION}:{ACCOUNT}:connection-guard-incidents",
    unreadable_queue=f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/unreadable",
    slack_secret="connection-guard/slack",  # noqa: S106 the name of the secret
    dashboard="ConnectionGuard",
    databases_path="/connection-guard/ConnectionGuard/databases",
    log_group="/connection-guard/ConnectionGuard",
)

HOURS_BEFORE = 3


@dataclass(frozen=True, slots=True)
class ReporterContext:
    """What the handler needs of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return what the deployed function has for each run."""
        return 60_000


class Outbox:
    """Keeps what SNS would send."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def publish(self, **message: Any) -> Mapping[str, Any]:
        self.messages.append(message)
        return {"MessageId": str(uuid.uuid4())}

    @property
    def emails(self) -> list[tuple[str, str]]:
        """The subject and the text of each e-mail."""
        return [
            (message["Subject"], json.loads(message["Message"])["email"])
            for message in self.messages
        ]


class LocalReporter:
    """The reporter of one database, and everything that it notifies. The caller enters and leaves
    `slack`. Incidents are kept in memory where no table is given.
    """

    def __init__(self, database: str, incidents_table: IncidentTable | None = None) -> None:
        self.incidents_table = incidents_table or MemoryIncidents()
        self.token = f"xoxb-{secrets.token_hex(16)}"
        self.slack = SlackDouble(token=self.token)
        self.bucket = MemoryBucket()
        self.unreadable: list[str] = []
        self.outbox = Outbox()
        self.log: list[str] = []
        secret = {
            "token": self.token,
            "channel": self.slack.channel,
            "base_url": self.slack.base_url,
        }
        watched = WatchedDatabase(
            database,
            is_cluster=False,
            function_name=RESPONDER,
            owner=Owner("team-shop"),
            runbook="https://wiki.example/runbooks/connections",
            environment="production",
        )
        now = partial(datetime.now, UTC)
        world = World(
            function_name="connection-guard-reporter",
            bucket=self.bucket,
            incidents=self.incidents_table,
            lanes=MemoryLanes(),
            databases=WatchedDatabases(lambda: [watched], now),
            channels=(
                incidents_channel(self.outbox, SETTINGS.incidents_topic),
                SlackChannel(lambda *, anew=False: parse_slack_secret(json.dumps(secret))),  # noqa: ARG005
            ),
            put_unreadable=self.unreadable.append,
            look=lambda _database, now: _made_up_context(now),
            now=now,
            sleep=lambda _seconds: None,  # the Slack on this machine takes any number of calls
        )
        notifier = Notifier(SETTINGS, REGION, world)
        self._reporter = Reporter(SETTINGS, notifier, world)

    def deliver(self, event: Mapping[str, Any], report: Mapping[str, Any]) -> None:
        """Deliver the record of the responder's run as Lambda's destination does, by SNS."""
        with captured_output() as log:
            self._reporter.serve(_queued(event, report), ReporterContext(str(uuid.uuid4())))
        self.log += log

    @property
    def posted(self) -> Posted:
        """The first message in the channel."""
        return self.slack.channel_view[0]

    @property
    def details(self) -> Posted:
        """The first reply in its thread."""
        return self.slack.thread_of(self.posted)[0]

    @property
    def incidents(self) -> list[dict[str, Any]]:
        """The incident as machines got it with each e-mail (docs/incident.schema.json)."""
        documents = [json.loads(message["Message"])["default"] for message in self.outbox.messages]
        return [json.loads(document) for document in documents]

    @property
    def everything_shown(self) -> str:
        """All that people or machines can see, in one text."""
        shown = [[message.content, *message.edits] for message in self.slack.messages]
        return "\n".join(
            [
                json.dumps([shown, self.outbox.messages], ensure_ascii=False),
                *self.log,
                *(body.decode() for body in self.bucket.objects.values()),
            ]
        )


def _queued(event: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Return Lambda's record of the run as SNS puts it into the queue.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    record = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{RESPONDER}:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": report,
    }
    return json.dumps({"Type": "Notification", "Message": json.dumps(record)})


def _made_up_context(now: datetime) -> Circumstances:
    """Return hours in which a pool leaks, as CloudWatch would show them."""
    minutes = 60 * HOURS_BEFORE
    figures = [
        min(36 + 64 * minute / minutes + 3 * math.sin(minute / 4), 100)
        for minute in range(1, minutes + 1)
    ]
    usage = tuple(
        (now - timedelta(minutes=minutes - minute), figure)
        for minute, figure in enumerate(figures, start=1)
    )
    return Circumstances(events=(), usage=usage, trend=trend_of(usage), problems=())
