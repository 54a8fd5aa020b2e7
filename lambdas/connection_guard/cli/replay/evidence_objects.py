"""Evidence in S3: in any bucket by its address, or in that of a deployed guard."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from connection_guard.cli.replay.evidence_source import (
    EvidenceSource,
    as_json,
    as_text,
    comparable,
)
from connection_guard.cli.replay.stored_names import may_be_evidence, stored_name
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.words import shown

SCHEME = "s3://"
SIDE_BY_SIDE = 8

_CONFIG = Config(
    connect_timeout=10,
    read_timeout=30,
    retries={"mode": "standard"},
    max_pool_connections=SIDE_BY_SIDE,
)
_MISSING = frozenset({"NoSuchKey", "404"})


def evidence_at(address: str, session: boto3.Session) -> Iterator[EvidenceSource]:
    """Yield the evidence whose keys begin with an s3:// address. Raise UserMistakeError where there
    is none, and botocore's errors where S3 does not list it.
    """
    bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise UserMistakeError(f"{shown(address)} names no bucket: write {SCHEME}BUCKET/PREFIX")
    found = evidence_objects(bucket, prefix, session)
    first = next(found, None)
    if first is None:
        raise UserMistakeError(f"{shown(address)} holds no evidence: correct the bucket or prefix")
    yield first
    yield from found


def evidence_objects(
    bucket: str, prefix: str, session: boto3.Session, *, first_key: str = ""
) -> Iterator[EvidenceSource]:
    """Yield the evidence whose keys begin with a prefix, from `first_key` on in their order."""
    s3: Any = session.client("s3", config=_CONFIG)
    seen = set[str]()
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, **({"StartAfter": first_key} if first_key else {})
    )
    for page in pages:
        for listed in page.get("Contents", []):
            key = listed["Key"]
            if not may_be_evidence(key):
                continue
            source = _object(s3, bucket, key, comparable(listed["LastModified"]))
            if source.name not in seen:
                seen.add(source.name)
                yield source


def _object(s3: Any, bucket: str, key: str, modified_at: str) -> EvidenceSource:
    stored = stored_name(key)
    report = f"{stored.report}.json" if stored else key
    return EvidenceSource(
        f"{SCHEME}{bucket}/{report}",
        stored.database if stored else "",
        stored.at if stored else modified_at,
        partial(_read, s3, bucket, report),
        partial(_lines, s3, bucket),
    )


def _read(s3: Any, bucket: str, key: str) -> object:
    return as_json(_body(s3, bucket, key))


def _lines(s3: Any, bucket: str, packed: dict[str, Any]) -> str:
    key = str(packed["key"])
    try:
        return as_text(_body(s3, bucket, key))
    except ValueError as wrong:
        raise ValueError(f"its evidence, {shown(key)}: {wrong}") from wrong


def _body(s3: Any, bucket: str, key: str) -> Any:
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            raise ValueError("it is missing in the bucket") from error
        raise
