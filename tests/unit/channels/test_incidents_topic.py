"""What subscribers of the topic get, each in its own form, and what becomes of SNS's refusals."""

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from jsonschema import Draft202012Validator
from moto.sns.models import sns_backends

from connection_guard.adapters.channels.incidents_topic import send_to_topic, sns_client
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.document import document_of
from connection_guard.core.notification.email import subject_of, text_of
from connection_guard.errors import NotificationError
from tests.support.emulated_account import REGION, emulated_account
from tests.support.reporter.incident_stories import (
    CHECKOUT,
    LINKS,
    SCHEMA,
    START,
    a_large_incident,
    an_entry,
    an_incident,
)
from tests.support.reporter.views import a_view

LATER = START + timedelta(minutes=12)


class Topic:
    """The topic "incidents", with queues that subscribe to it."""

    def __init__(self) -> None:
        self.client = sns_client(REGION)
        self.arn = self.client.create_topic(Name="incidents")["TopicArn"]
        self._sqs = boto3.client("sqs", region_name=REGION)

    def subscribe(self, name: str, **attributes: str) -> str:
        queue: str = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        self.client.subscribe(
            TopicArn=self.arn, Protocol="sqs", Endpoint=arn, Attributes=attributes
        )
        return queue

    def notify(self, incident: Incident) -> None:
        send_to_topic(self.client, self.arn, a_view(incident, LINKS, LATER))

    def received(self, queue: str) -> list[dict[str, Any]]:
        messages = self._sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get(
            "Messages", []
        )
        return [json.loads(message["Body"]) for message in messages]

    @property
    def sent(self) -> list[Any]:
        """Message id, message, subject, attributes, group."""
        return sns_backends[self.arn.split(":")[4]][REGION].topics[self.arn].sent_notifications


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Topic]:
    with emulated_account(monkeypatch):
        yield Topic()


def test_a_queue_gets_the_document_and_attributes_to_filter_by(topic: Topic) -> None:
    queue = topic.subscribe("machines")
    incident = an_incident(an_entry(terminated=(CHECKOUT,)))

    topic.notify(incident)

    (envelope,) = topic.received(queue)
    assert json.loads(envelope["Message"]) == document_of(a_view(incident, LINKS, LATER))
    assert envelope["Subject"] == "[CRITICAL] orders: 97 of 97 connections"
    attributes = {name: each["Value"] for name, each in envelope["MessageAttributes"].items()}
    assert attributes == {"database": "orders", "progress": "open", "tier": "critical"}


def test_people_get_words(topic: Topic) -> None:
    incident = an_incident(an_entry(escalation="the role “café” may not signal"))

    topic.notify(incident)

    ((_, message, subject, *_),) = topic.sent
    words = json.loads(message)
    assert words["email"] == text_of(a_view(incident, LINKS, LATER))
    assert "“café”" in words["email"]
    assert words["sms"] == subject == subject_of(a_view(incident))
    assert len(words["sms"]) <= 140


def test_a_subscription_can_ask_for_one_database_or_for_what_needs_people(topic: Topic) -> None:
    escalations = topic.subscribe(
        "escalations", FilterPolicy=json.dumps({"progress": ["escalated"]})
    )
    invoices = topic.subscribe("invoices", FilterPolicy=json.dumps({"database": ["invoices"]}))

    topic.notify(an_incident())
    topic.notify(an_incident(an_entry(escalation="refused")))
    topic.notify(an_incident(database="invoices"))

    assert [json.loads(each["Message"])["progress"] for each in topic.received(escalations)] == [
        "escalated"
    ]
    assert [json.loads(each["Message"])["database"] for each in topic.received(invoices)] == [
        "invoices"
    ]


def test_an_incident_without_a_tier_is_published_without_that_attribute(topic: Topic) -> None:
    topic.notify(
        an_incident(an_entry(kind="failure", tier=None, alarm=None, before=None, after=None))
    )

    ((*_, attributes, _),) = topic.sent
    assert set(attributes) == {"database", "progress"}


@pytest.mark.parametrize(
    "name",
    ["service", "\x01" * 63, "\\" * 63, "日" * 21],
    ids=["plain", "control", "backslashes", "japanese"],
)
def test_five_thousand_sessions_fit_and_what_was_cut_is_named(topic: Topic, name: str) -> None:
    queue = topic.subscribe("machines")
    incident = a_large_incident(name)
    whole = document_of(a_view(incident, LINKS, LATER))

    topic.notify(incident)

    ((_, message, *_),) = topic.sent
    assert 50_000 < len(message.encode()) <= 262_144 - 10_000
    (envelope,) = topic.received(queue)
    assert len(json.dumps(envelope).encode()) < 262_144
    document = json.loads(envelope["Message"])
    Draft202012Validator(SCHEMA).validate(document)
    assert document["omitted"]["terminated"] > 0
    for name_of_list, omitted in document["omitted"].items():
        kept = document[name_of_list]
        assert kept == whole[name_of_list][: len(kept)]
        assert len(kept) + omitted == len(whole[name_of_list])
    assert document["sessions_terminated"] == 100_000
    assert whole["omitted"] == dict.fromkeys(whole["omitted"], 0)


def test_what_fits_is_whole(topic: Topic) -> None:
    topic.notify(an_incident(an_entry(terminated=(CHECKOUT,) * 500)))

    ((_, message, *_),) = topic.sent
    assert set(json.loads(json.loads(message)["default"])["omitted"].values()) == {0}


def test_a_refusal_is_one_clear_error_that_names_the_topic(topic: Topic) -> None:
    topic.client.delete_topic(TopicArn=topic.arn)

    with pytest.raises(NotificationError, match=rf"^topic {topic.arn}: .*NotFound") as raised:
        topic.notify(an_incident())
    assert "\n" not in str(raised.value)


def test_an_endpoint_that_nobody_listens_at_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing-secret")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = sns_client(REGION, f"http://127.0.0.1:{unused.getsockname()[1]}")

        with pytest.raises(
            NotificationError, match=r"^topic some-topic: Could not connect"
        ) as raised:
            send_to_topic(client, "some-topic", a_view(an_incident()))
    assert "testing-secret" not in str(raised.value)


def test_it_tries_once_and_gives_up_before_the_deadline_of_a_call() -> None:
    config = sns_client(REGION).meta.config

    assert config.retries["total_max_attempts"] == 1
    assert config.connect_timeout + config.read_timeout < 10
