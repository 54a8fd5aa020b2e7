"""The dead-letter queue, for what the reporter cannot read."""

from typing import Any

import boto3

from connection_guard.adapters.aws.store_calls import CONFIG, store_errors


class UnreadableQueue:
    """One per process: its client takes long to make."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._sqs: Any = boto3.client("sqs", config=CONFIG)

    def put(self, message: str) -> None:
        """Keep the message for people to look at. Raises StoreError."""
        with store_errors(f"queue {self._address}"):
            self._sqs.send_message(QueueUrl=self._address, MessageBody=message)
