"""The function's entry point, with everything around it that Lambda gives it: in an emulated
account, and over real HTTP.
"""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from connection_guard.core.deployment.reporter_settings import (
    APPLICATION_OWNERS_FILE,
    ReporterSettings,
    write_application_owners,
)
from doubles.slack_double import SlackDouble
from tests.support.emulated_account import (
    BUCKET,
    DATABASES_PATH,
    LOG_GROUP,
    TABLE,
    create_evidence_bucket,
    create_incidents_table,
    emulated_account,
    put_databases,
)
from tests.support.reporter.deliveries import REGION, a_report, a_success
from tests.support.reporter.outside import ORDERS, in_queue
from tests.support.reporter.played_time import LAMBDA_TIMEOUT, Invocation, PlayedTime

MODULE = "reporter.handler"


class Deployed:
    """The function in its account, as it is after a cold start."""

    def __init__(self, unreadable_queue: str) -> None:
        self._queue = unreadable_queue
        self._handler: Callable[..., object] = importlib.import_module(MODULE).lambda_handler

    def invoke(self, event: object, after: timedelta = timedelta()) -> object:
        """Invoke it; `after` is what has gone of its time before."""
        time = PlayedTime(datetime.now(UTC))
        return self._handler(event, Invocation(time, time.now() - after))

    def receive(self, body: str, times: int = 1, after: timedelta = timedelta()) -> object:
        """Serve a message that the queue has delivered so often."""
        attributes = {"ApproximateReceiveCount": str(times)}
        return self.invoke({"Records": [{"body": body, "attributes": attributes}]}, after)

    @property
    def unreadable(self) -> list[str]:
        received = boto3.client("sqs").receive_message(QueueUrl=self._queue, VisibilityTimeout=0)
        return [message["Body"] for message in received.get("Messages", [])]


@pytest.fixture
def deployed(
    slack: SlackDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Deployed]:
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "reporter")
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    (tmp_path / APPLICATION_OWNERS_FILE).write_text(write_application_owners(()))
    with emulated_account(monkeypatch):
        create_evidence_bucket()
        create_incidents_table()
        put_databases(replace(ORDERS, environment="production"))
        topic = boto3.client("sns").create_topic(Name="incidents")["TopicArn"]
        queue = boto3.client("sqs").create_queue(QueueName="unreadable")["QueueUrl"]
        bot = {"token": slack.token, "channel": slack.channel, "base_url": slack.base_url}
        # Each test has a name of its own: a process remembers secrets.
        secret = f"slack-{tmp_path.name}"
        boto3.client("secretsmanager").create_secret(Name=secret, SecretString=json.dumps(bot))
        settings = ReporterSettings(
            TABLE, BUCKET, topic, queue, "guard", DATABASES_PATH, LOG_GROUP, slack_secret=secret
        )
        for name, value in settings.to_environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.delitem(sys.modules, MODULE, raising=False)
        yield Deployed(queue)
        sys.modules.pop(MODULE, None)


def a_message(**changes: Any) -> str:
    return in_queue(a_success(a_report("remediation", datetime.now(UTC), **changes), "run-1"))


def test_a_message_is_notified_and_the_schedule_notifies_what_could_not_be(
    deployed: Deployed, slack: SlackDouble
) -> None:
    deployed.receive(a_message(), after=LAMBDA_TIMEOUT)
    assert slack.channel_view == [], "it had no time left"

    deployed.invoke({"source": "aws.events", "detail-type": "Scheduled Event"})
    deployed.receive(a_message())

    assert len(slack.channel_view) == 1
    assert "production" in json.dumps(slack.channel_view[0].content), "as its parameter says"
    assert deployed.unreadable == []


def test_a_test_of_the_channels_says_what_each_answered(
    deployed: Deployed, slack: SlackDouble
) -> None:
    slack.refuse("invalid_auth", times=10)

    answer = deployed.invoke({"notify_test": True})

    assert isinstance(answer, dict)
    incidents, of_slack = answer["channels"]
    assert incidents == {"channel": "incidents", "answer": "delivered"}
    assert (of_slack["channel"], "invalid_auth" in of_slack["error"]) == ("slack", True)


@pytest.mark.parametrize("junk", ["", "null", "[]", "7", "{}", '{"Message": "[]"}', "\x00"])
def test_what_cannot_be_read_waits_in_the_dead_letter_queue(deployed: Deployed, junk: str) -> None:
    body = in_queue(junk)

    deployed.receive(body)

    assert deployed.unreadable == [body]


def test_a_message_that_keeps_failing_for_a_fault_of_the_function_is_given_up(
    deployed: Deployed, slack: SlackDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporter.reporter.absorb", lambda *_, **__: 1 / 0)
    body = a_message(escalation="refused: 80 % of all sessions")
    for times in range(1, 5):
        with pytest.raises(ZeroDivisionError):
            deployed.receive(body, times)
    assert deployed.unreadable == []

    deployed.receive(body, 5)

    assert deployed.unreadable == [body]
    assert len(slack.channel_view) == 1, "people have the headline, once"
