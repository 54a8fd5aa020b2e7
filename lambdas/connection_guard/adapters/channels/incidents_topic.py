"""The SNS topic "incidents": e-mail and SMS to people, JSON to all other subscribers."""

import json
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.errors import NotificationError

# SNS takes 262,144 bytes with the attributes, and wraps the message in JSON of its own for a queue
# that takes as many.
MOST_BYTES = 250_000

FEW_SECONDS = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
)


def sns_client(region: str | None = None, endpoint_url: str | None = None) -> Any:
    """Return a client that gives up after 14 seconds. One per process: it takes long to make."""
    return boto3.client("sns", region_name=region, endpoint_url=endpoint_url, config=FEW_SECONDS)


def publish(
    client: Any, topic_arn: str, subject: str, text: str, document: Mapping[str, Any]
) -> None:
    """Notify every subscriber of the incident that the document describes.

    E-mail gets the subject and the text, SMS the subject, every other protocol the document. A
    subscription can filter by the attributes `database`, `progress` and `tier`. Where all of it is
    more than a message holds, the document's longest lists are cut and its `omitted` says so.
    Raises NotificationError; it may have been sent nevertheless, where only the answer was lost.
    """
    attributes = {
        name: document[name] for name in ("database", "progress", "tier") if document[name]
    }
    try:
        client.publish(
            TopicArn=topic_arn,
            Subject=subject,
            MessageStructure="json",
            Message=_message(subject, text, document),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )
    except (BotoCoreError, ClientError) as error:
        raise NotificationError(f"topic {topic_arn}: {error}") from error


def _message(subject: str, text: str, document: Mapping[str, Any]) -> str:
    """Return one text per protocol that does not get the document, which SNS calls the default."""
    fitting = dict(document)
    while len(message := _for_each_protocol(subject, text, fitting)) > MOST_BYTES:
        longest = max(fitting["omitted"], key=lambda name: len(json.dumps(fitting[name])))
        entries = fitting[longest]
        if not entries:
            break
        kept = entries[: len(entries) // 2]
        omitted = fitting["omitted"] | {
            longest: fitting["omitted"][longest] + len(entries) - len(kept)
        }
        fitting |= {longest: kept, "omitted": omitted}
    return message


def _for_each_protocol(subject: str, text: str, document: Mapping[str, Any]) -> str:
    """Return ASCII: as many bytes as characters, and nothing that UTF-8 cannot spell."""
    return json.dumps({"default": json.dumps(document), "email": text, "sms": subject})
