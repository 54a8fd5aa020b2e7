"""The table and the bucket: of two that write at once one wins, and one at a time notifies."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest
from connection_guard.adapters.aws.store import CONFIG, Store
from moto import mock_aws

from connection_guard.core.deployment.reporter_settings import ReporterSettings
from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import PARTITION_KEY, SORT_KEY, incident_of, latest_key
from connection_guard.core.incident.lifecycle import absorb
from connection_guard.core.policy import Tier
from connection_guard.errors import StoreError
from tests.support.builders import NOW
from tests.support.reporter.stories import (
    a_whole_story,
    absorbed,
    alarm_ok,
    an_attempt,
    in_alarm,
    locked_out,
)

REGION = "eu-central-1"
SETTINGS = ReporterSettings(
    "incidents",
    "evidence",
    f"arn:aws:sns:{REGION}:123456789012:incidents",
    "unreadable",
    "dashboard",
)
LATER = NOW + timedelta(seconds=60)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        keys = [(PARTITION_KEY, "HASH"), (SORT_KEY, "RANGE")]
        boto3.client("s3").create_bucket(
            Bucket=SETTINGS.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield boto3.resource("dynamodb").create_table(
            TableName=SETTINGS.table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name, _ in keys
            ],
        )


@pytest.fixture
def store(table: Any) -> Store:
    return Store(replace(SETTINGS, table=table.name))


@pytest.fixture
def opened(store: Store) -> Incident:
    """An incident that is stored."""
    incident = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95)])
    assert store.put_incident(incident, replaces=None)
    return incident


def test_what_is_put_is_the_latest_and_another_database_has_none(store: Store) -> None:
    incident = absorbed(a_whole_story())

    assert store.latest_incident("orders-prod") is None
    assert store.put_incident(incident, replaces=None)
    assert store.latest_incident("orders-prod") == incident
    assert store.latest_incident("users-prod") is None


def test_of_two_that_saw_the_same_version_one_wins_and_the_other_has_to_look_again(
    store: Store, opened: Incident
) -> None:
    ours, theirs = (
        absorbed([locked_out(minute=1)], opened),
        absorbed([locked_out(minute=2)], opened),
    )

    assert store.put_incident(ours, replaces=opened.version)
    assert not store.put_incident(theirs, replaces=opened.version)
    assert not store.put_incident(theirs, replaces=None)
    assert store.latest_incident("orders-prod") == ours


def test_no_entry_is_lost_where_all_saw_the_same_and_write_one_after_another(
    store: Store,
) -> None:
    story = a_whole_story()

    def seen(entry: Entry) -> tuple[Incident, int | None]:
        current = store.latest_incident("orders-prod")
        incident = absorb(
            current, entry, database="orders-prod", new_id=f"by {entry.request_id}"
        ).latest
        assert incident is not None
        return incident, current.version if current else None

    waiting = story[::-1]
    while waiting:
        writes = [(entry, *seen(entry)) for entry in waiting]
        waiting = [
            entry
            for entry, incident, replaces in writes
            if not store.put_incident(incident, replaces=replaces)
        ]

    stored = store.latest_incident("orders-prod")
    assert stored is not None
    assert (stored.entries, stored.version) == (tuple(story), len(story))


def test_every_incident_stays_as_it_last_was_when_another_is_the_latest(
    store: Store, opened: Incident, table: Any
) -> None:
    closed = absorbed([alarm_ok(Tier.CRITICAL, minute=5, used=31)], opened)
    another = absorbed([in_alarm(Tier.CRITICAL, minute=9, used=95)], closed)

    assert store.put_incident(closed, replaces=opened.version)
    assert store.put_incident(another, replaces=closed.version)

    items = {item["sk"]: incident_of(item["body"].value) for item in table.scan()["Items"]}
    assert items == {
        "incident": another,
        f"incident#{closed.id}": closed,
        f"incident#{another.id}": another,
    }


def test_a_write_that_lost_leaves_no_copy_either(
    store: Store, opened: Incident, table: Any
) -> None:
    stranger = replace(opened, id="stranger")

    assert not store.put_incident(stranger, replaces=7)
    assert {item["sk"] for item in table.scan()["Items"]} == {"incident", f"incident#{opened.id}"}


def claim(store: Store, holder: str, *, now: Any = NOW) -> bool:
    return store.claim("orders-prod", holder, now=now, until=now + timedelta(seconds=60))


def test_one_run_at_a_time_may_notify_until_it_releases_or_its_time_has_passed(
    store: Store, opened: Incident
) -> None:
    assert claim(store, "first")
    assert not claim(store, "second")
    assert claim(store, "first"), "a request that was sent twice"
    assert not claim(store, "second", now=LATER - timedelta(milliseconds=1))
    assert claim(store, "second", now=LATER)

    assert store.release("orders-prod", "second", notified=opened.version)
    assert claim(store, "third")


@pytest.mark.usefixtures("opened")
def test_a_lease_that_a_run_of_an_older_version_holds_is_honoured(store: Store, table: Any) -> None:
    table.update_item(
        Key=latest_key("orders-prod"),
        UpdateExpression="SET teller = :holder, teller_until = :until",
        ExpressionAttributeValues={
            ":holder": "older",
            ":until": int(LATER.timestamp() * 1000),
        },
    )

    assert not claim(store, "newer")
    assert claim(store, "newer", now=LATER)


def test_a_database_without_an_incident_has_no_lease(store: Store, table: Any) -> None:
    assert not claim(store, "first")
    assert table.scan()["Items"] == []


def test_a_run_may_not_release_before_people_are_notified_of_the_newest(
    store: Store, opened: Incident
) -> None:
    assert claim(store, "first")
    newer = absorbed([an_attempt(minute=1, before=95, after=90)], opened)
    assert store.put_incident(newer, replaces=opened.version)
    assert not claim(store, "second"), "a change leaves the lease as it is"

    assert not store.release("orders-prod", "first", notified=opened.version)
    assert not claim(store, "second")
    assert store.release("orders-prod", "first", notified=newer.version)
    assert claim(store, "second")


def test_a_run_that_lost_the_lease_is_done_and_does_not_release_another_s(
    store: Store, opened: Incident
) -> None:
    assert claim(store, "first")
    assert claim(store, "second", now=LATER)

    assert store.release("orders-prod", "first", notified=opened.version)
    assert not claim(store, "third", now=LATER)


def test_evidence_is_kept_as_it_comes(store: Store) -> None:
    store.put_evidence("evidence/a.jsonl.gz", b"\x1f\x8b", "application/gzip")

    kept = boto3.client("s3").get_object(Bucket=SETTINGS.bucket, Key="evidence/a.jsonl.gz")
    assert (kept["Body"].read(), kept["ContentType"]) == (b"\x1f\x8b", "application/gzip")


def test_a_table_or_a_bucket_that_refuses_is_an_error_that_names_it(
    table: Any, store: Store, opened: Incident
) -> None:
    table.delete()
    boto3.client("s3").delete_bucket(Bucket=SETTINGS.bucket)

    for ask in (
        lambda: store.latest_incident("orders-prod"),
        lambda: store.put_incident(opened, replaces=None),
        lambda: claim(store, "first"),
        lambda: store.release("orders-prod", "first", notified=1),
    ):
        with pytest.raises(StoreError, match=r"^table incidents: .*ResourceNotFound"):
            ask()
    with pytest.raises(StoreError, match=r"^bucket evidence: .*NoSuchBucket"):
        store.put_evidence("a", b"")


def test_a_store_that_does_not_answer_leaves_a_function_of_thirty_seconds_its_time() -> None:
    attempts = CONFIG.retries["total_max_attempts"]  # type: ignore[attr-defined]

    assert attempts * (CONFIG.connect_timeout + CONFIG.read_timeout) < 25  # type: ignore[attr-defined]
