"""Several environments of the function at once, over one table: real threads, real HTTP."""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from queue import SimpleQueue
from random import Random
from threading import Lock
from typing import Any
from uuid import uuid4

import pytest
from botocore.client import BaseClient

from connection_guard.adapters.channels.slack_secret import SlackBot
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances
from doubles.slack_double import SlackDouble
from reporter.channels import incidents_channel
from reporter.notifier import Notifier
from reporter.reporter import Reporter
from reporter.slack_channel import SlackChannel
from reporter.watched_databases import WatchedDatabases
from reporter.world import World
from tests.support.reporter.deliveries import REGION, a_report, a_success
from tests.support.reporter.outside import TOPIC, Outside, Stores, in_queue

ENVIRONMENTS, ATTEMPTS = 6, 5
DATABASES = tuple(
    WatchedDatabase(f"db-{n}", is_cluster=False, function_name=f"responder-{n}") for n in range(2)
)


@dataclass(frozen=True)
class InTime:
    """An invocation that has just begun."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def invocation() -> InTime:
    return InTime(str(uuid4()))


class QuickSlack(SlackChannel):
    """Slack without its pace."""

    seconds_between_calls = 0.0


@pytest.fixture
def atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one call at a time into moto, which does not lock what a condition has looked at."""
    real, lock = BaseClient._make_api_call, Lock()  # type: ignore[attr-defined]

    def call(client: BaseClient, *arguments: Any) -> Any:
        with lock:
            return real(client, *arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)


def environment(outside: Outside, stores: Stores) -> tuple[Notifier, Reporter]:
    slack = outside.slack
    bot = SlackBot(slack.token, slack.channel, slack.base_url)
    world = World(
        function_name="reporter",
        bucket=stores.bucket,
        incidents=stores.incidents,
        lanes=stores.lanes,
        databases=WatchedDatabases(lambda: DATABASES, partial(datetime.now, UTC)),
        channels=(incidents_channel(outside.sns, TOPIC), QuickSlack(lambda **_: bot)),
        put_unreadable=outside.unreadable.append,
        look=lambda _database, now: Circumstances((), (), None, (), looked_at=now),
        now=partial(datetime.now, UTC),
        sleep=time.sleep,
    )
    notifier = Notifier(outside.settings, REGION, world)
    return notifier, Reporter(outside.settings, notifier, world)


def a_story(database: WatchedDatabase, now: datetime) -> Sequence[Mapping[str, Any]]:
    reports = {
        f"{database.identifier}-run-{n}": a_report(
            "remediation",
            now - timedelta(seconds=60 - n),
            alarm="ALARM" if n == 0 else None,
            attempt=n + 1,
        )
        for n in range(ATTEMPTS)
    }
    end = a_report("observation", now - timedelta(seconds=1), alarm="OK", used=40)
    return [
        a_success({**report, "database": database.identifier}, run, database.function_name)
        for run, report in {**reports, f"{database.identifier}-end": end}.items()
    ]


@pytest.mark.usefixtures("atomic")
def test_shuffled_and_repeated_deliveries_to_several_environments_are_one_message_per_incident(
    on_aws: Outside, slack: SlackDouble
) -> None:
    now = datetime.now(UTC)
    records = [record for database in DATABASES for record in a_story(database, now)]
    records += records[::3]
    Random(7).shuffle(records)  # noqa: S311 the same order each time
    environments = SimpleQueue[tuple[Notifier, Reporter]]()
    for _ in range(ENVIRONMENTS):
        environments.put(environment(on_aws, on_aws.stores))

    def deliver(record: Mapping[str, Any]) -> None:
        notifier, reporter = environments.get()
        reporter.serve(in_queue(record), invocation())
        environments.put((notifier, reporter))

    with ThreadPoolExecutor(ENVIRONMENTS) as executor:
        list(executor.map(deliver, records))
    notifier, _ = environments.get()
    notifier.notify_pending(invocation())

    assert len(slack.channel_view) == len(DATABASES)
    assert all("recovered" in message.text for message in slack.channel_view)
    posted = json.dumps([message.content for message in slack.messages])
    runs = [record["requestContext"]["requestId"] for record in records]
    assert [run for run in runs if run not in posted] == []
    shown = [(message.thread, json.dumps(message.content)) for message in slack.messages]
    assert len(shown) == len(set(shown)), "nothing is shown twice"
    assert on_aws.unreadable == []
