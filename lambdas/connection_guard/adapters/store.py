"""Where the reporter keeps what it is told: the evidence bucket and the table of incidents."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.core.incident_table import PARTITION_KEY, Item
from connection_guard.core.reporter_settings import ReporterSettings
from connection_guard.errors import StoreError


class Store:
    """Both are safe to write to again. One a process: its clients take longest to make."""

    def __init__(self, settings: ReporterSettings) -> None:
        self._bucket = settings.bucket
        self._table = settings.table
        self._s3 = boto3.client("s3")
        self._dynamodb = boto3.client("dynamodb")

    def put_evidence(self, key: str, report: Mapping[str, Any]) -> None:
        """Raises StoreError."""
        with _errors_of(f"bucket {self._bucket}"):
            self._s3.put_object(
                Bucket=self._bucket, Key=key, Body=json.dumps(report).encode(), ContentType="application/json"
            )

    def put_item(self, item: Item) -> bool:
        """Whether it is new: an item with the same keys stays as it is. Raises StoreError."""
        serialize = TypeSerializer().serialize
        with _errors_of(f"table {self._table}"):
            try:
                self._dynamodb.put_item(
                    TableName=self._table,
                    Item={name: serialize(value) for name, value in item.items()},
                    ConditionExpression=f"attribute_not_exists({PARTITION_KEY})",
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                return False
        return True


@contextmanager
def _errors_of(place: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"{place}: {error}") from None
