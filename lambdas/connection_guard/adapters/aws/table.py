"""A DynamoDB table with Python's own values, and errors of our own."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from connection_guard.adapters.aws.store_calls import CONFIG, store_errors

# A single write can meet a transaction on the same item: that takes milliseconds, and botocore does
# not retry it.
TRIES_AGAINST_TRANSACTION = 5
SECONDS_BETWEEN_TRIES = 0.05

# Reasons of a cancelled transaction that mean that another run was first.
_LOST = frozenset({"ConditionalCheckFailed", "TransactionConflict"})

Values = Mapping[str, Any]
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Update:
    """An update of one item, in DynamoDB's own expressions."""

    key: Values
    expression: str
    values: Values
    condition: str | None = None
    names: Mapping[str, str] | None = None


class Table:
    """One per process: its client takes long to make. Every method raises StoreError where DynamoDB
    does not do it.
    """

    def __init__(self, name: str, session: boto3.Session | None = None) -> None:
        """Use the credentials of that session, and of the environment where it is None."""
        self.name = name
        self._dynamodb: Any = (session or boto3).client("dynamodb", config=CONFIG)

    def item(self, key: Values, attributes: str) -> Item | None:
        """Return the item as it was last written, None where there is none."""
        with self._errors():
            answer = self._dynamodb.get_item(
                TableName=self.name,
                Key=_serialized(key),
                ConsistentRead=True,
                ProjectionExpression=attributes,
            )
        return _deserialized(answer["Item"]) if "Item" in answer else None

    def query(
        self,
        condition: str,
        values: Values,
        *,
        index: str | None = None,
        attributes: str | None = None,
        only: str | None = None,
    ) -> list[Item]:
        """Return what the table or the index has under a key, perhaps a moment old; `only` is a
        condition on attributes that are not in the key.
        """
        parameters = {
            "TableName": self.name,
            "IndexName": index,
            "KeyConditionExpression": condition,
            "FilterExpression": only,
            "ProjectionExpression": attributes,
            "ExpressionAttributeValues": _serialized(values),
        }
        with self._errors():
            pages = self._dynamodb.get_paginator("query").paginate(**_given(parameters))
            return [_deserialized(item) for page in pages for item in page["Items"]]

    def update(self, update: Update) -> Item | None:
        """Return the updated item, None where the condition did not hold."""
        parameters = self._parameters(update)
        with self._errors():
            for tries_left in reversed(range(TRIES_AGAINST_TRANSACTION)):
                try:
                    answer = self._dynamodb.update_item(**parameters, ReturnValues="ALL_NEW")
                except self._dynamodb.exceptions.ConditionalCheckFailedException:
                    return None
                except self._dynamodb.exceptions.TransactionConflictException:
                    if not tries_left:
                        raise
                    time.sleep(SECONDS_BETWEEN_TRIES)
                else:
                    return _deserialized(answer["Attributes"])
        raise AssertionError("the last try returns or raises")

    def update_together(self, updates: Sequence[Update]) -> bool:
        """Return whether all items are updated: none is where a condition did not hold, or where
        another run was updating one of them.
        """
        with self._errors():
            try:
                self._dynamodb.transact_write_items(
                    TransactItems=[{"Update": self._parameters(each)} for each in updates]
                )
            except self._dynamodb.exceptions.TransactionCanceledException as error:
                reasons = error.response.get("CancellationReasons", [])
                if {reason.get("Code") for reason in reasons} & _LOST:
                    return False
                raise
        return True

    def _parameters(self, update: Update) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "TableName": self.name,
            "Key": _serialized(update.key),
            "UpdateExpression": update.expression,
            "ConditionExpression": update.condition,
            "ExpressionAttributeNames": update.names,
            "ExpressionAttributeValues": _serialized(update.values) or None,
        }
        return _given(parameters)

    def _errors(self) -> AbstractContextManager[None]:
        return store_errors(f"table {self.name}")


def sortable(at: datetime) -> str:
    """Return a text in the order of the times: always UTC, always as long."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _given(parameters: Values) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _serialized(values: Values) -> dict[str, Any]:
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in values.items()}


def _deserialized(item: Values) -> Item:
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in item.items()}
