"""An emulated account, and in it what the reporter stores things in."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto import mock_aws

from connection_guard.core.deployment.reporter_settings import (
    WatchedDatabase,
    write_watched_database,
)
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
BUCKET = "evidence"
LOG_GROUP = "/connection-guard/Guard"
DATABASES_PATH = f"{LOG_GROUP}/databases"


@contextmanager
def emulated_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every client of AWS an empty account, as a function's environment names it."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


def create_evidence_bucket() -> Any:
    """Create the bucket; return S3 as boto3 shows it."""
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


def create_incidents_table() -> Any:
    """Create the table as the stack does; return boto3's resource."""
    keys = [(PARTITION_KEY, "HASH"), (SORT_KEY, "RANGE")]
    index = [(PENDING, "HASH"), (DUE_AT, "RANGE")]
    return boto3.resource("dynamodb", region_name=REGION).create_table(
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


def put_databases(*databases: WatchedDatabase, path: str = DATABASES_PATH) -> None:
    """Write the parameter of each database as the stack does."""
    client = boto3.client("ssm", region_name=REGION)
    for each in databases:
        client.put_parameter(
            Name=f"{path}/{each.identifier}",
            Value=json.dumps(write_watched_database(each)),
            Type="String",
        )


def _schema(keys: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys]
