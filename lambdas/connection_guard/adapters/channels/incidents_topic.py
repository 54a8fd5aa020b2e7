"""The SNS topic "incidents": e-mail and SMS to people, JSON to all other subscribers."""

import json
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.adapters.channels.deadline import ONE_ATTEMPT
from connection_guard.core.notification.document import JsonObject, cut_to_bytes, document_of
from connection_guard.core.notification.email import subject_of, text_of
from connection_guard.core.notification.view import View
from connection_guard.errors import NotificationError

# SNS takes 262,144 bytes with the attributes, and wraps the message in JSON of its own for a queue
# that takes as many.
MOST_BYTES = 250_000


def sns_client(region: str | None = None, endpoint_url: str | None = None) -> Any:
    """Return a client that makes one attempt. One per process: it takes long to make."""
    return boto3.client("sns", region_name=region, endpoint_url=endpoint_url, config=ONE_ATTEMPT)


def send_to_topic(client: Any, topic_arn: str, view: View) -> None:
    """Notify every subscriber of the incident as it is now.

    E-mail gets words, SMS the subject, every other protocol the document. A subscription can filter
    by the attributes `database`, `progress` and `tier`. Raises NotificationError; it may have been
    sent nevertheless, where only the answer was lost.
    """
    document, subject, text = document_of(view), subject_of(view), text_of(view)

    def written(fitting: JsonObject) -> str:
        return json.dumps({"default": json.dumps(fitting), "email": text, "sms": subject})

    try:
        client.publish(
            TopicArn=topic_arn,
            Subject=subject,
            MessageStructure="json",
            Message=cut_to_bytes(document, written, MOST_BYTES),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": document[name]}
                for name in ("database", "progress", "tier")
                if document[name]
            },
        )
    except (BotoCoreError, ClientError) as error:
        raise NotificationError(f"topic {topic_arn}: {error}") from error
