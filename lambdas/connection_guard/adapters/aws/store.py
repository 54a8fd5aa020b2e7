"""Where the reporter keeps what it is sent: the evidence bucket and the table of incidents."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.core.deployment.reporter_settings import ReporterSettings
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import attributes_of, copy_key, incident_of, latest_key
from connection_guard.core.notification.status import headline_of
from connection_guard.errors import StoreError

# botocore retries where AWS throttles. Attempts that all time out leave time for what does not need
# the store.
CONFIG = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)

# A single write can meet a transaction on the same item: that takes milliseconds, and botocore does
# not retry it.
TRIES_AGAINST_TRANSACTION = 5
SECONDS_BETWEEN_TRIES = 0.05

# Reasons of a cancelled transaction that mean that another run was first.
_LOST = frozenset({"ConditionalCheckFailed", "TransactionConflict"})

# The lease's attributes keep their first names: while a new version is deployed, a run of the old
# one may hold it.
_HOLDER = "teller"
_HELD_UNTIL = "teller_until"

Attributes = Mapping[str, Any]


class Store:
    """One per process: its clients take longest to make. Every method raises StoreError where AWS
    does not do it.
    """

    def __init__(self, settings: ReporterSettings) -> None:
        self._bucket = settings.bucket
        self._table = settings.table
        self._s3 = boto3.client("s3", config=CONFIG)
        self._dynamodb = boto3.client("dynamodb", config=CONFIG)

    def put_evidence(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        """Write an object. Safe to repeat: the bucket keeps every version."""
        with _errors_of(f"bucket {self._bucket}"):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)

    def latest_incident(self, database: str) -> Incident | None:
        """Return the latest of the database, as it was last written."""
        return self._incident(database, latest_key(database))

    def past_incident(self, database: str, incident_id: str) -> Incident | None:
        """Return one that is no longer the latest."""
        return self._incident(database, copy_key(database, incident_id))

    def put_past_incident(self, incident: Incident) -> None:
        """Write one that is no longer the latest; only the holder of the database's lease does."""
        with _errors_of(f"table {self._table}"):
            self._dynamodb.update_item(
                **self._update(_copy_key_of(incident), _attributes_of(incident))
            )

    def _incident(self, database: str, key: Mapping[str, str]) -> Incident | None:
        with _errors_of(f"table {self._table}"):
            answer = self._dynamodb.get_item(
                TableName=self._table,
                Key=_serialized(key),
                ConsistentRead=True,
                ProjectionExpression="body",
            )
        if "Item" not in answer:
            return None
        try:
            return incident_of(answer["Item"]["body"]["B"])
        except (LookupError, TypeError, ValueError, OSError, EOFError) as error:
            raise StoreError(
                f"table {self._table}: the incident of {database} cannot be read: {error!r}"
            ) from error

    def put_incident(self, incident: Incident, *, replaces: int | None) -> bool:
        """Return whether it is now the database's latest: it is not where the stored one no longer
        has version `replaces` (None: there is none).

        Its copy is written with it: both or neither. The lease stays as it is.
        """
        condition = "attribute_not_exists(version)" if replaces is None else "version = :replaces"
        latest = self._update(latest_key(incident.database), _attributes_of(incident))
        latest["ConditionExpression"] = condition
        if replaces is not None:
            latest["ExpressionAttributeValues"] |= _serialized({":replaces": replaces})
        copy = self._update(_copy_key_of(incident), _attributes_of(incident))
        with _errors_of(f"table {self._table}"):
            try:
                self._dynamodb.transact_write_items(
                    TransactItems=[{"Update": latest}, {"Update": copy}]
                )
            except self._dynamodb.exceptions.TransactionCanceledException as error:
                reasons = {
                    reason.get("Code") for reason in error.response.get("CancellationReasons", [])
                }
                if reasons & _LOST:
                    return False
                raise
        return True

    def claim(self, database: str, holder: str, *, now: datetime, until: datetime) -> bool:
        """Return whether `holder`, a name that no other run has, may notify people of the latest
        incident until then.

        It may not while another run may; that run looks again before it releases the lease.
        """
        return self._try(
            database,
            f"SET {_HOLDER} = :holder, {_HELD_UNTIL} = :until",
            f"attribute_exists(version) AND (attribute_not_exists({_HOLDER}) OR "
            f"{_HOLDER} = :holder OR {_HELD_UNTIL} <= :now)",
            {":holder": holder, ":until": _milliseconds(until), ":now": _milliseconds(now)},
        )

    def release(self, database: str, holder: str, *, notified: int) -> bool:
        """Release the lease where the latest incident is still of version `notified`.

        Returns False where the holder has newer news to notify people of. Where it no longer holds
        the lease, there is nothing to release.
        """
        if self._try(
            database,
            f"REMOVE {_HOLDER}, {_HELD_UNTIL}",
            f"{_HOLDER} = :holder AND version = :notified",
            {":holder": holder, ":notified": notified},
        ):
            return True
        with _errors_of(f"table {self._table}"):
            answer = self._dynamodb.get_item(
                TableName=self._table,
                Key=_serialized(latest_key(database)),
                ConsistentRead=True,
                ProjectionExpression=_HOLDER,
            )
        current: dict[str, Any] = answer.get("Item", {}).get(_HOLDER, {})
        return current.get("S") != holder

    def _try(self, database: str, update: str, condition: str, values: Attributes) -> bool:
        """Return whether the condition held and the latest incident's item is updated."""
        with _errors_of(f"table {self._table}"):
            for tries_left in reversed(range(TRIES_AGAINST_TRANSACTION)):
                try:
                    self._dynamodb.update_item(
                        TableName=self._table,
                        Key=_serialized(latest_key(database)),
                        UpdateExpression=update,
                        ConditionExpression=condition,
                        ExpressionAttributeValues=_serialized(values),
                    )
                except self._dynamodb.exceptions.ConditionalCheckFailedException:
                    return False
                except self._dynamodb.exceptions.TransactionConflictException:
                    if not tries_left:
                        raise
                    time.sleep(SECONDS_BETWEEN_TRIES)
                else:
                    return True
        raise AssertionError("the last try gives or raises")

    def _update(self, key: Mapping[str, str], attributes: Attributes) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "Key": _serialized(key),
            "UpdateExpression": "SET " + ", ".join(f"{name} = :{name}" for name in attributes),
            "ExpressionAttributeValues": _serialized(
                {f":{name}": value for name, value in attributes.items()}
            ),
        }


def _attributes_of(incident: Incident) -> Attributes:
    return attributes_of(incident, headline_of(incident))


def _copy_key_of(incident: Incident) -> dict[str, str]:
    return copy_key(incident.database, incident.id)


def _serialized(attributes: Attributes) -> dict[str, Any]:
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in attributes.items()}


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@contextmanager
def _errors_of(place: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"{place}: {error}") from error
