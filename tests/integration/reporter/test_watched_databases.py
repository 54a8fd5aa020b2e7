"""What the reporter knows of the databases, from a Parameter Store that answers or does not."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import boto3
import pytest

from connection_guard.adapters.aws import database_parameters as adapter
from connection_guard.adapters.aws.database_parameters import database_parameters
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from doubles.slack_double import SlackDouble
from reporter.watched_databases import REFRESHED_AFTER, WatchedDatabases
from tests.support.emulated_account import DATABASES_PATH, emulated_account, put_databases
from tests.support.reporter.deliveries import a_crash, a_report, a_success
from tests.support.reporter.outside import NOW, ORDERS, Outside, at, everything_said

LEDGER = WatchedDatabase("ledger", False, "guards-ledger", environment="staging")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    adapter._ssm.cache_clear()
    with emulated_account(monkeypatch):
        yield
    adapter._ssm.cache_clear()


def by_name(found: Any) -> list[WatchedDatabase]:
    return sorted(found, key=lambda each: str(each.identifier))


class Reader:
    """The reporter's knowledge of an account, by a clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.reads = 0
        self.databases = WatchedDatabases(self._read, lambda: self.now)

    def _read(self) -> Any:
        self.reads += 1
        return database_parameters(DATABASES_PATH)

    @property
    def known(self) -> list[WatchedDatabase]:
        self.databases.refresh()
        return by_name(self.databases.known)


@pytest.mark.usefixtures("account")
def test_a_hundred_databases_are_read_over_several_pages() -> None:
    many = [WatchedDatabase(f"db-{n:03}", n % 2 == 0, f"guards-{n}") for n in range(100)]
    put_databases(*many)
    put_databases(LEDGER, path="/connection-guard/Another/databases")

    assert by_name(database_parameters(DATABASES_PATH)) == many


@pytest.mark.usefixtures("account")
def test_the_databases_are_read_once_and_again_after_minutes() -> None:
    put_databases(ORDERS)
    reader = Reader()
    assert reader.known == [ORDERS]
    put_databases(LEDGER)
    assert (reader.known, reader.reads) == ([ORDERS], 1)

    reader.now += REFRESHED_AFTER

    assert (reader.known, reader.reads) == ([LEDGER, ORDERS], 2)


@pytest.mark.usefixtures("account")
def test_a_malformed_parameter_is_one_line_and_the_others_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    put_databases(ORDERS)
    name = f"{DATABASES_PATH}/torn"
    boto3.client("ssm").put_parameter(Name=name, Value='{"identifier": "torn"', Type="String")

    assert Reader().known == [ORDERS]

    [line] = caplog.messages
    assert line.startswith(f"parameter {name}: not what the stack writes (")


@pytest.mark.usefixtures("account")
def test_what_was_known_stays_known_while_parameter_store_refuses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put_databases(ORDERS)
    reader = Reader()
    assert reader.known == [ORDERS]
    reader.now += REFRESHED_AFTER
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    adapter._ssm.cache_clear()

    assert reader.known == [ORDERS]

    [line] = caplog.messages
    assert f"may be out of date: parameters {DATABASES_PATH}: Could not connect" in line


@pytest.fixture
def silent_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Parameter Store take every request and answer none."""
    ended = Event()

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            ended.wait()

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", f"http://127.0.0.1:{server.server_port}")
        adapter._ssm.cache_clear()
        yield
        adapter._ssm.cache_clear()
        ended.set()
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("silent_service")
def test_people_wait_seconds_for_a_parameter_store_that_does_not_answer(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.read_databases = partial(database_parameters, DATABASES_PATH)
    outside.another_process()
    began = datetime.now(UTC)

    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))

    assert datetime.now(UTC) - began < timedelta(seconds=9)
    assert len(slack.channel_view) == 1
    assert outside.incident.database == ORDERS.identifier


@pytest.mark.parametrize(
    "record",
    [
        lambda: a_success(a_report("remediation", at(0)), "run-1"),
        lambda: {**a_crash(), "timestamp": at(0).isoformat()},
    ],
    ids=["report", "failure"],
)
def test_parameter_store_that_is_down_keeps_nobody_from_being_notified(
    outside: Outside, slack: SlackDouble, record: Callable[[], dict[str, Any]]
) -> None:
    outside.faults.down.add("parameters")

    outside.deliver(record())
    outside.every_minute(1)

    assert len(slack.channel_view) == 1
    assert outside.sns.subjects
    assert outside.is_settled
    assert outside.unreadable == []


def test_a_database_that_a_report_names_is_looked_for_at_once(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    outside.watched = (ORDERS, LEDGER)
    outside.now = at(1)

    report = {**a_report("remediation", at(1)), "database": "ledger"}
    outside.deliver(a_success(report, "run-2", LEDGER.function_name))

    assert "staging" in json.dumps(slack.channel_view[-1].content)


def test_a_message_that_is_older_than_the_removal_of_its_database_is_reported(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.watched = (LEDGER,)

    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))

    assert ORDERS.identifier in slack.channel_view[0].text
    assert outside.incident.circumstances is None, "nothing is known that could be looked at"
    assert "$2522orders-prod$2522" in everything_said(slack), "its lines are still in the log"
