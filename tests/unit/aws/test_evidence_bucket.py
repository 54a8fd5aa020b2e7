"""Evidence is kept as it comes, and what has to happen once happens once."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from connection_guard.adapters.aws.evidence_bucket import EvidenceBucket
from connection_guard.adapters.aws.unreadable_queue import put_unreadable
from connection_guard.errors import StoreError
from doubles.aws.memory_store import MemoryBucket
from tests.support.emulated_account import BUCKET
from tests.unit.aws.refusals import Refusals


def test_evidence_is_kept_as_it_comes(s3: Any) -> None:
    bucket = EvidenceBucket(BUCKET)

    bucket.put("evidence/a.jsonl.gz", b"\x1f\x8b", "application/gzip")
    bucket.put("report.json", b"{}")

    kept = [s3.get_object(Bucket=BUCKET, Key=key) for key in ("evidence/a.jsonl.gz", "report.json")]
    assert [(each["Body"].read(), each["ContentType"]) for each in kept] == [
        (b"\x1f\x8b", "application/gzip"),
        (b"{}", "application/json"),
    ]


def test_the_twin_in_memory_keeps_evidence_as_people_read_it() -> None:
    bucket = MemoryBucket()

    bucket.put("evidence/a.jsonl.gz", gzip.compress(b"a line"), "application/gzip")
    bucket.put("report.json", b"{}")

    assert bucket.objects == {"evidence/a.jsonl.gz": b"a line", "report.json": b"{}"}


def test_only_the_first_write_of_a_key_is_the_first(bucket: EvidenceBucket) -> None:
    assert bucket.put_first("announced/slack/orders/1")
    assert not bucket.put_first("announced/slack/orders/1")
    assert not bucket.put_first("announced/slack/orders/1")
    assert bucket.put_first("announced/slack/orders/2")


def test_what_was_put_before_is_not_the_first(bucket: EvidenceBucket) -> None:
    bucket.put("announced/slack/orders/1", b"")

    assert not bucket.put_first("announced/slack/orders/1")


def test_a_write_that_meets_another_of_the_same_key_is_not_the_first(s3: Any) -> None:
    bucket = EvidenceBucket(BUCKET)
    Refusals(bucket._s3, "s3", "PutObject").add_xml("ConditionalRequestConflict", status=409)

    assert not bucket.put_first("announced/slack/orders/1")
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


@pytest.mark.parametrize(
    "put", [lambda bucket: bucket.put("a", b""), lambda bucket: bucket.put_first("a")]
)
def test_a_bucket_that_refuses_is_an_error_that_names_it(
    s3: Any, put: Callable[[EvidenceBucket], object]
) -> None:
    bucket = EvidenceBucket(BUCKET)
    refused = Refusals(bucket._s3, "s3", "PutObject")
    refused.add_xml("SlowDown", "SlowDown", status=503)

    with pytest.raises(StoreError, match=r"^bucket evidence: .*SlowDown"):
        put(bucket)
    assert refused.requests == 2

    s3.delete_bucket(Bucket=BUCKET)
    with pytest.raises(StoreError, match=r"^bucket evidence: .*NoSuchBucket"):
        put(bucket)


@pytest.mark.usefixtures("account")
def test_what_cannot_be_read_is_kept_for_people_as_it_came() -> None:
    sqs = boto3.client("sqs")
    address = sqs.create_queue(QueueName="unreadable")["QueueUrl"]
    message = json.dumps({"Message": "ü \u2028 \U0001f600"}, ensure_ascii=False)

    put_unreadable(address, message)

    (kept,) = sqs.receive_message(QueueUrl=address)["Messages"]
    assert kept["Body"] == message


@pytest.mark.usefixtures("account")
def test_a_queue_that_is_gone_is_an_error_that_names_it() -> None:
    address = "https://sqs.eu-central-1.amazonaws.com/123456789012/gone"

    with pytest.raises(StoreError, match=rf"^queue {address}: .*does not exist"):
        put_unreadable(address, "message")
