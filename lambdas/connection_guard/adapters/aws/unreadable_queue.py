"""The dead-letter queue, for what the reporter cannot read."""

from functools import cache
from typing import Any

import boto3

from connection_guard.adapters.aws.store_calls import CONFIG, store_errors


def put_unreadable(address: str, message: str) -> None:
    """Keep the message in the queue for people to look at. Raises StoreError."""
    with store_errors(f"queue {address}"):
        _sqs().send_message(QueueUrl=address, MessageBody=message)


@cache
def _sqs() -> Any:
    """Return one client per process, made only when it is needed: it takes a while to make."""
    return boto3.client("sqs", config=CONFIG)
