"""The table of incidents, with its index of what is pending, in an emulated account."""

from typing import Any

import boto3

from connection_guard.core.incident.item import (
    DUE_AT,
    PARTITION_KEY,
    PENDING,
    PENDING_INDEX,
    PENDING_PROJECTION,
    SORT_KEY,
)

REGION = "eu-central-1"
TABLE = "incidents"


def create_incidents_table(region: str) -> Any:
    """Create the table as the stack does; return boto3's resource."""
    keys = [(PARTITION_KEY, "HASH"), (SORT_KEY, "RANGE")]
    index = [(PENDING, "HASH"), (DUE_AT, "RANGE")]
    return boto3.resource("dynamodb", region_name=region).create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_schema(keys),
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name, _ in keys + index
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": PENDING_INDEX,
                "KeySchema": _schema(index),
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": list(PENDING_PROJECTION),
                },
            }
        ],
    )


def _schema(keys: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys]
