"""What the responder tells is stored once and logged, in whatever order and however often it is delivered."""

import importlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from connection_guard.core.delivery import ReportDelivery, read_delivery
from connection_guard.core.incident_table import EXPIRY, PARTITION_KEY, SORT_KEY
from connection_guard.core.reporter_settings import ReporterSettings
from connection_guard.errors import ForeignEventError, StoreError
from reporter.report import logger
from tests.builders import an_alarm_event

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:responder:$LATEST"
REQUEST = "6fb81a4e-90f1-4e34-8c0c-1a5d8f6a1f1e"
REGION = "eu-central-1"

Handler = Callable[[object, object], None]


def an_example(kind: str = "remediation") -> dict[str, Any]:
    report: dict[str, Any] = json.loads((EXAMPLES / f"report-{kind}.json").read_text())
    return report


def a_notification(record: object) -> dict[str, Any]:
    """What SNS delivers of Lambda's record."""
    message = record if isinstance(record, str) else json.dumps(record)
    return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"Message": message}}]}


def a_record(condition: str, request_id: str = REQUEST, **more: object) -> dict[str, Any]:
    """Lambda's record of an asynchronous invocation."""
    return {
        "version": "1.0",
        "timestamp": "2026-11-20T15:27:38.500Z",
        "requestContext": {
            "requestId": request_id,
            "functionArn": FUNCTION,
            "condition": condition,
            "approximateInvokeCount": 1,
        },
        "requestPayload": an_alarm_event(),
        **more,
    }


def a_success(report: object, request_id: str = REQUEST) -> dict[str, Any]:
    """The responder returned a Report."""
    answer = {"statusCode": 200, "executedVersion": "$LATEST"}
    return a_record("Success", request_id, responseContext=answer, responsePayload=report)


def a_crash(message: str = "RequestId: 6fb81a4e Error: Runtime exited with error: signal: killed") -> dict[str, Any]:
    """The responder ended without an answer."""
    return a_record(
        "RetriesExhausted",
        responseContext={"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        responsePayload={"errorType": "Runtime.ExitError", "errorMessage": message},
    )


class Account:
    """An AWS account with the table and the bucket, and the reporter in it."""

    settings = ReporterSettings("incidents", "evidence", f"arn:aws:sns:{REGION}:123456789012:incidents", None)

    def __init__(self) -> None:
        self.s3 = boto3.client("s3", region_name=REGION)
        self.dynamodb = boto3.resource("dynamodb", region_name=REGION)
        self.s3.create_bucket(Bucket=self.settings.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.table = self.create_table()
        sys.modules.pop("reporter.handler", None)
        self._handler: Handler = importlib.import_module("reporter.handler").lambda_handler

    def create_table(self) -> Any:
        return self.dynamodb.create_table(
            TableName=self.settings.table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": PARTITION_KEY, "KeyType": "HASH"},
                {"AttributeName": SORT_KEY, "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": PARTITION_KEY, "AttributeType": "S"},
                {"AttributeName": SORT_KEY, "AttributeType": "S"},
            ],
        )

    def deliver(self, record: object) -> None:
        self._handler(a_notification(record), None)

    @property
    def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.table.scan(ConsistentRead=True)["Items"]
        return items

    @property
    def evidence(self) -> dict[str, Any]:
        """Every object in the bucket by its key."""
        listed = self.s3.list_objects_v2(Bucket=self.settings.bucket).get("Contents", [])
        return {
            entry["Key"]: json.loads(self.s3.get_object(Bucket=self.settings.bucket, Key=entry["Key"])["Body"].read())
            for entry in listed
        }


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name, value in {**Account.settings.to_environment(), "AWS_DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield Account()


@pytest.fixture
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines that the reporter logged."""
    written = io.StringIO()
    before = logger.registered_handler.setStream(written)  # type: ignore[attr-defined]
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logger.registered_handler.setStream(before)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["remediation", "observation", "preflight_failed", "locked_out"])
def test_a_report_is_kept_whole_and_its_item_says_what_it_is_and_where_it_lies(account: Account, kind: str) -> None:
    report = an_example(kind)

    account.deliver(a_success(report))

    (item,) = account.items
    assert account.evidence == {item["evidence"]: report}
    assert (item["kind"], item["headline"], item["event_key"]) == (kind, report["headline"], report["event"]["key"])


def test_evidence_and_items_are_found_by_database_and_time_and_items_expire(account: Account) -> None:
    report = an_example() | {"received_at": "2026-11-20T23:30:00.250000-01:00"}

    account.deliver(a_success(report))

    (item,) = account.items
    assert item["evidence"] == f"reports/orders-prod/2026/11/21/003000.250000-{REQUEST}.json"
    assert item[PARTITION_KEY] == "database#orders-prod"
    assert item[SORT_KEY] == f"report#2026-11-21T00:30:00.250000+00:00#{REQUEST}"
    assert datetime.fromtimestamp(int(item[EXPIRY]), UTC) == datetime(2027, 12, 26, 0, 30, tzinfo=UTC)


def test_the_same_report_delivered_twice_is_stored_once_and_the_second_time_says_so(
    account: Account, log: Callable[[], list[dict[str, Any]]]
) -> None:
    account.deliver(a_success(an_example()))
    first = account.items
    account.table.update_item(
        Key={name: first[0][name] for name in (PARTITION_KEY, SORT_KEY)},
        UpdateExpression="SET seen_by = :person",
        ExpressionAttributeValues={":person": "Ada"},
    )

    account.deliver(a_success(an_example()))

    (item,) = account.items
    assert item == first[0] | {"seen_by": "Ada"}
    assert len(account.evidence) == 1
    assert [line["is_new"] for line in log()] == [True, False]


def test_two_runs_for_the_same_alarm_are_both_kept(account: Account) -> None:
    account.deliver(a_success(an_example(), request_id="first"))
    account.deliver(a_success(an_example(), request_id="second"))

    assert len(account.items) == len(account.evidence) == 2


def test_the_log_line_says_what_happened_and_where_the_evidence_lies_but_not_the_evidence(
    account: Account, log: Callable[[], list[dict[str, Any]]]
) -> None:
    report = an_example()

    account.deliver(a_success(report))

    (line,) = log()
    (evidence_key,) = account.evidence
    assert (line["level"], line["message"]) == ("INFO", report["headline"])
    assert (line["database"], line["kind"], line["evidence"]) == ("orders-prod", "remediation", evidence_key)
    assert report["evidence"]["data"] not in json.dumps(line)


def test_a_killed_responder_is_kept_with_its_error_and_the_event_that_it_left_undone(
    account: Account, log: Callable[[], list[dict[str, Any]]]
) -> None:
    crash = a_crash()

    account.deliver(crash)
    account.deliver(crash)

    (item,) = account.items
    assert (item["condition"], item["error"]) == ("RetriesExhausted", crash["responsePayload"]["errorMessage"])
    assert json.loads(item["record"]) == crash
    assert item[PARTITION_KEY] == f"function#{FUNCTION}"
    assert item[SORT_KEY] == f"failure#2026-11-20T15:27:38.500000+00:00#{REQUEST}"
    assert account.evidence == {}
    assert [(line["level"], line["is_new"]) for line in log()] == [("ERROR", True), ("ERROR", False)]


@pytest.mark.parametrize("condition", ["EventAgeExceeded", "ZeroReservedConcurrency"])
def test_an_event_that_the_responder_never_saw_is_a_failure_without_an_error(account: Account, condition: str) -> None:
    account.deliver(a_record(condition))

    (item,) = account.items
    assert (item["condition"], item["error"]) == (condition, None)


def test_an_error_of_another_shape_is_kept_as_it_is(account: Account) -> None:
    account.deliver(a_record("RetriesExhausted", responsePayload="Task timed out"))

    (item,) = account.items
    assert item["error"] == '"Task timed out"'


def without(record: dict[str, Any], *path: str) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(record))
    *parents, last = path
    inside = changed
    for parent in parents:
        inside = inside[parent]
    del inside[last]
    return changed


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (None, "no single SNS record"),
        ({"Records": []}, "no single SNS record"),
        ({"Records": a_notification("{}")["Records"] * 2}, "no single SNS record"),
        ({"Records": [{"s3": {}}]}, "KeyError: 'Sns'"),
        (a_notification("disk full"), "JSONDecodeError"),
        (a_notification([]), "TypeError"),
        (an_alarm_event(), "KeyError: 'requestContext'"),
        (a_notification(a_success(None)), "TypeError"),
        (a_notification(a_success("OK")), "TypeError"),
        (a_notification(a_success(an_example() | {"received_at": "yesterday"})), "yesterday"),
        (a_notification(a_success(an_example() | {"received_at": "2026-11-20T15:27:38"})), "has no time zone"),
        (a_notification(a_success(an_example() | {"database": None})), "None is no text"),
        (a_notification(a_success(an_example() | {"headline": ""})), "'' is no text"),
        *(
            (a_notification(without(a_success(an_example()), *path)), f"KeyError: '{path[-1]}'")
            for path in (
                ("requestContext", "requestId"),
                ("responsePayload",),
                ("responsePayload", "database"),
                ("responsePayload", "kind"),
                ("responsePayload", "event"),
            )
        ),
        *(
            (a_notification(without(a_crash(), *path)), f"KeyError: '{path[-1]}'")
            for path in (("timestamp",), ("requestContext", "functionArn"), ("requestContext", "condition"))
        ),
    ],
)
def test_a_malformed_message_is_one_clear_error_so_that_it_is_tried_again_and_kept_aside(
    event: object, found: str
) -> None:
    with pytest.raises(ForeignEventError) as raised:
        read_delivery(event)

    assert str(raised.value).startswith(
        "expected an SNS notification with Lambda's record of a Report or of a failure; found "
    )
    assert found in str(raised.value)
    assert "\n" not in str(raised.value)


def test_fields_that_are_not_known_yet_are_kept() -> None:
    report = an_example() | {"something_new": 1}

    delivery = read_delivery(a_notification(a_success(report) | {"new_too": 2}))

    assert isinstance(delivery, ReportDelivery)
    assert delivery.report == report


def test_a_bucket_that_refuses_is_an_error_that_names_it_and_no_item_points_to_what_is_not_there(
    account: Account,
) -> None:
    account.s3.delete_bucket(Bucket=account.settings.bucket)

    with pytest.raises(StoreError, match=r"^bucket evidence: .*NoSuchBucket"):
        account.deliver(a_success(an_example()))

    assert account.items == []


def test_a_table_that_refuses_is_an_error_that_names_it_and_the_report_is_stored_when_it_comes_again(
    account: Account,
) -> None:
    account.table.delete()

    with pytest.raises(StoreError, match=r"^table incidents: .*ResourceNotFound"):
        account.deliver(a_success(an_example()))

    account.table = account.create_table()
    account.deliver(a_success(an_example()))
    assert len(account.items) == len(account.evidence) == 1
