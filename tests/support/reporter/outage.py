"""A hundred databases fail at once, played in seconds: what Slack is asked, and when."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from connection_guard.adapters.channels.slack_secret import SlackBot, SlackSecret
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances
from doubles.aws.memory_store import MemoryBucket, MemoryIncidents, MemoryLanes
from doubles.slack_double import SlackDouble
from reporter.notifier import Notifier
from reporter.reporter import Reporter
from reporter.slack_channel import SlackChannel
from reporter.watched_databases import WatchedDatabases
from reporter.world import World
from tests.support.reporter.deliveries import REGION, a_report, a_success
from tests.support.reporter.outside import in_queue
from tests.support.reporter.played_time import PlayedInvocations, an_invocation

START = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
SETTINGS = ReporterSettings(
    "incidents", "evidence", "arn", "unreadable", "ConnectionGuard", "/databases", "/log"
)
LONGEST = timedelta(hours=2)


@dataclass(frozen=True)
class Shown:
    """What became of the outage.

    `waited` is how long each database waited for its first message, in seconds; `missing` names the
    runs without a reply, `open` the databases whose message does not say that they recovered;
    `refused` is the share of calls that Slack answered with 429.
    """

    waited: Mapping[str, float]
    missing: Sequence[str]
    open: Sequence[str]
    refused: float
    calls: int
    unreadable: int
    settled_after: timedelta


class Outage:
    """`databases` databases, each with `runs` reports within a minute, and their recoveries."""

    def __init__(self, slack: SlackDouble, databases: int, runs: int) -> None:
        self.slack = slack
        self.time = PlayedInvocations(START)
        slack.limit_to(1, lambda: self.time.now().timestamp())
        self.databases = tuple(
            WatchedDatabase(f"db-{n:03}", is_cluster=False, function_name=f"responder-{n:03}")
            for n in range(databases)
        )
        self.incidents = MemoryIncidents()
        self._unreadable: list[str] = []
        self._runs = runs
        self._random = Random(3)  # noqa: S311 the same moments each time
        self._opened: dict[str, datetime] = {}
        self._runs_of_all: list[str] = []
        world = World(
            function_name="reporter",
            bucket=MemoryBucket(),
            incidents=self.incidents,
            lanes=MemoryLanes(),
            databases=WatchedDatabases(lambda: self.databases, self.time.now),
            channels=(SlackChannel(self._secret),),
            put_unreadable=self._unreadable.append,
            look=lambda _database, now: Circumstances((), (), None, (), looked_at=now),
            now=self.time.now,
            sleep=self.time.sleep,
        )
        self._notifier = Notifier(SETTINGS, REGION, world)
        self._reporter = Reporter(SETTINGS, self._notifier, world)

    def play(self) -> Shown:
        """Let it happen, and people be notified of everything."""
        for database in self.databases:
            self._schedule(database)
        self.time.later(START + timedelta(minutes=1), self._every_minute)
        self.time.play(until=START + LONGEST)
        return Shown(
            waited=self._waited(),
            missing=self._missing(),
            open=self._open(),
            refused=self.slack.refused / len(self.slack.requests),
            calls=len(self.slack.requests),
            unreadable=len(self._unreadable),
            settled_after=self.time.now() - START,
        )

    def _schedule(self, database: WatchedDatabase) -> None:
        moments = sorted(self._random.uniform(0, 60) for _ in range(self._runs))
        self._opened[database.identifier] = START + timedelta(seconds=moments[0])
        for number, moment in enumerate(moments):
            at = START + timedelta(seconds=moment)
            is_last = number == self._runs - 1
            report = (
                a_report("observation", at, alarm="OK", used=40)
                if is_last
                else a_report("remediation", at, alarm="ALARM", attempt=number + 1)
            )
            run = f"{database.identifier}-run-{number}"
            record = a_success(
                {**report, "database": database.identifier}, run, database.function_name
            )
            self._runs_of_all.append(run)
            self.time.later(at, partial(self._deliver, record))

    def _deliver(self, record: Mapping[str, Any]) -> None:
        self._reporter.serve(in_queue(record), an_invocation(self.time))

    def _every_minute(self) -> None:
        if self.incidents.pending(self.time.now() + LONGEST):
            self.time.later(self.time.now() + timedelta(minutes=1), self._every_minute)
        self._notifier.notify_pending(an_invocation(self.time))

    def _secret(self, *, anew: bool = False) -> SlackSecret:  # noqa: ARG002
        return SlackBot(self.slack.token, self.slack.channel, self.slack.base_url)

    def _waited(self) -> dict[str, float]:
        waited: dict[str, float] = {}
        for message in self.slack.messages:
            for database, opened in self._opened.items():
                if database in message.first_text and database not in waited:
                    waited[database] = message.posted_at - opened.timestamp()
        return waited

    def _missing(self) -> list[str]:
        posted = json.dumps([message.content for message in self.slack.messages])
        return [run for run in self._runs_of_all if run not in posted]

    def _open(self) -> list[str]:
        resolved = {
            message.text for message in self.slack.messages if "recovered after" in message.text
        }
        return [name for name in self._opened if not any(name in text for text in resolved)]
