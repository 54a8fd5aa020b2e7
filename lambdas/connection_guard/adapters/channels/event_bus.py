"""An EventBridge bus: an event "Incident Changed" (docs/incident_changed.schema.json), from which
rules and API destinations serve all others.
"""

import json
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.adapters.channels.deadline import ONE_ATTEMPT
from connection_guard.core.notification.document import cut_to_bytes, document_of
from connection_guard.core.notification.view import View
from connection_guard.errors import NotificationError

SOURCE = "connection-guard"
DETAIL_TYPE = "Incident Changed"

# EventBridge counts the whole entry, and a rule's target adds an envelope.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
MOST_BYTES = 240_000

_OF_MESSAGE = frozenset({"InvalidArgument", "MalformedDetail", "ValidationException"})


def events_client(region: str | None = None) -> Any:
    """Return a client that makes one attempt. One per process: it takes long to make."""
    return boto3.client("events", region_name=region, config=ONE_ATTEMPT)


def send_to_event_bus(client: Any, bus: str, view: View) -> None:
    """Put an event with the incident as it is now. `bus` is a name or an ARN.

    Raises NotificationError.
    """
    alarm = view.incident.alarm
    entry = {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Detail": cut_to_bytes(document_of(view), json.dumps, MOST_BYTES),
        "Resources": [alarm.arn] if alarm else [],
    }
    try:
        answer = client.put_events(Entries=[entry])
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        raise NotificationError(
            f"event bus {bus}: {error}", is_of_message=code in _OF_MESSAGE
        ) from error
    except BotoCoreError as error:
        raise NotificationError(f"event bus {bus}: {error}") from error
    if answer.get("FailedEntryCount"):
        (failed,) = answer["Entries"]
        code, words = failed.get("ErrorCode"), failed.get("ErrorMessage")
        raise NotificationError(
            f"event bus {bus}: {code}: {words}", is_of_message=code in _OF_MESSAGE
        )
