"""The event that rules on an EventBridge bus get, and what becomes of refusals."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from connection_guard.adapters.channels.event_bus import events_client, send_to_event_bus
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.document import document_of
from connection_guard.errors import NotificationError
from tests.support.emulated_account import REGION, emulated_account
from tests.support.reporter.incident_stories import (
    CHECKOUT,
    a_large_incident,
    an_entry,
    an_incident,
)
from tests.support.reporter.views import a_view

DOCS = Path(__file__).parents[3] / "docs"
EVENT_SCHEMA, INCIDENT_SCHEMA = (
    json.loads((DOCS / name).read_text())
    for name in ("incident_changed.schema.json", "incident.schema.json")
)


class Bus:
    """A bus with a rule for Connection Guard's events, which a queue gets."""

    def __init__(self) -> None:
        self.client = events_client(REGION)
        self.client.create_event_bus(Name="incidents")
        self._sqs = boto3.client("sqs", region_name=REGION)
        self._queue = self._sqs.create_queue(QueueName="machines")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        pattern = {"source": ["connection-guard"], "detail-type": ["Incident Changed"]}
        self.client.put_rule(Name="all", EventBusName="incidents", EventPattern=json.dumps(pattern))
        self.client.put_targets(
            Rule="all",
            EventBusName="incidents",
            Targets=[{"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}],
        )

    def send(self, incident: Incident) -> None:
        send_to_event_bus(self.client, "incidents", a_view(incident))

    @property
    def bodies(self) -> list[str]:
        received = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
        return [message["Body"] for message in received.get("Messages", [])]


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    with emulated_account(monkeypatch):
        yield Bus()


def validated(body: str) -> dict[str, Any]:
    """Return the event, which is as docs/incident_changed.schema.json says, with the account, which
    moto leaves out.
    """
    event: dict[str, Any] = {"account": "123456789012", **json.loads(body)}
    known = Registry().with_resource(
        "incident.schema.json", Resource.from_contents(INCIDENT_SCHEMA)
    )
    Draft202012Validator(
        EVENT_SCHEMA, registry=known, format_checker=Draft202012Validator.FORMAT_CHECKER
    ).validate(event)
    return event


def test_a_rule_gets_the_incident_and_the_alarm(bus: Bus) -> None:
    incident = an_incident(an_entry(terminated=(CHECKOUT,)))

    bus.send(incident)

    (event,) = map(validated, bus.bodies)
    assert event["detail"] == document_of(a_view(incident))
    assert incident.alarm is not None
    assert event["resources"] == [incident.alarm.arn]


def test_an_incident_without_an_alarm_names_no_resource(bus: Bus) -> None:
    bus.send(an_incident(an_entry(alarm=None)))

    (event,) = map(validated, bus.bodies)
    assert event["resources"] == []


@pytest.mark.parametrize("name", ["service", "\\" * 63, "日" * 21])
def test_five_thousand_sessions_fit_and_what_was_cut_is_named(bus: Bus, name: str) -> None:
    bus.send(a_large_incident(name))

    (body,) = bus.bodies
    event = validated(body)
    assert len(json.dumps(event["detail"])) > 50_000
    assert len(body.encode()) <= 256 * 1024
    assert event["detail"]["omitted"]["terminated"] > 0


@pytest.mark.parametrize(
    ("code", "is_of_message"),
    [("ThrottlingException", False), ("InternalFailure", False), ("MalformedDetail", True)],
)
def test_an_entry_that_failed_with_status_200_is_an_error(code: str, is_of_message: bool) -> None:
    class Refusing:
        def put_events(self, **_: object) -> dict[str, Any]:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "why"}]}

    with pytest.raises(NotificationError, match=rf"^event bus incidents: {code}: why$") as raised:
        send_to_event_bus(Refusing(), "incidents", a_view(an_incident()))

    assert raised.value.is_of_message is is_of_message


def test_a_refusal_is_one_clear_error_that_names_the_bus(bus: Bus) -> None:
    bus.client.delete_event_bus(Name="incidents")

    with pytest.raises(NotificationError, match=r"^event bus incidents: ") as raised:
        bus.send(an_incident())
    assert "\n" not in str(raised.value)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(EVENT_SCHEMA)
    undescribed = [n for n, each in EVENT_SCHEMA["properties"].items() if "description" not in each]
    assert undescribed == []
