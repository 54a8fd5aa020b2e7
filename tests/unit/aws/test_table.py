"""Why DynamoDB refuses makes a difference: another run was first, or the table cannot do it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.aws.lane_table import LaneTable
from connection_guard.adapters.aws.store_calls import CONFIG
from connection_guard.adapters.aws.table import (
    TRIES_AGAINST_TRANSACTION,
    Table,
    Update,
    sortable,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import DUE_AT, EXPIRY, copy_key, incident_of, latest_key
from connection_guard.core.notification.channel.notified import Notified
from connection_guard.core.policy import Tier
from connection_guard.errors import StoreError
from tests.support.builders import NOW
from tests.support.reporter.stories import absorbed, in_alarm
from tests.unit.aws.refusals import Refusals

KEY = latest_key("orders-prod")
COUNT = Update(KEY, "ADD seen :one", {":one": 1})
THROTTLED = "ProvisionedThroughputExceededException"


@pytest.fixture
def incident() -> Incident:
    return absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95)])


def refusals(table: Table, operation: str) -> Refusals:
    return Refusals(table._dynamodb, "dynamodb", operation)


def put(table: Table, incident: Incident) -> bool:
    return IncidentTable(table).put(incident, replaces=None, ended=None, now=NOW)


def test_a_write_that_meets_a_transaction_is_tried_again(table: Table) -> None:
    refused = refusals(table, "UpdateItem")
    refused.add(*["TransactionConflictException"] * (TRIES_AGAINST_TRANSACTION - 1))

    item = table.update(COUNT)

    assert item is not None
    assert item["seen"] == 1
    assert refused.requests == TRIES_AGAINST_TRANSACTION


def test_a_write_that_meets_only_transactions_is_an_error_in_the_end(table: Table) -> None:
    refused = refusals(table, "UpdateItem")
    refused.add(*["TransactionConflictException"] * TRIES_AGAINST_TRANSACTION)

    with pytest.raises(StoreError, match=r"^table incidents: .*TransactionConflict"):
        table.update(COUNT)

    assert refused.requests == TRIES_AGAINST_TRANSACTION
    assert table.item(KEY, "seen") is None


@pytest.mark.parametrize("code", ["ConditionalCheckFailed", "TransactionConflict"])
def test_a_transaction_that_met_another_run_is_lost(
    table: Table, incident: Incident, code: str
) -> None:
    refusals(table, "TransactWriteItems").add(
        "TransactionCanceledException", CancellationReasons=[{"Code": "None"}, {"Code": code}]
    )

    assert put(table, incident) is False
    assert put(table, incident) is True


@pytest.mark.parametrize("code", ["ThrottlingError", "ItemCollectionSizeLimitExceeded"])
def test_a_transaction_that_the_table_could_not_do_is_an_error_and_not_a_lost_one(
    table: Table, incident: Incident, code: str
) -> None:
    refusals(table, "TransactWriteItems").add(
        "TransactionCanceledException", CancellationReasons=[{"Code": code}, {"Code": "None"}]
    )

    with pytest.raises(StoreError, match=r"^table incidents: .*TransactionCanceled"):
        put(table, incident)


@pytest.mark.parametrize(
    ("operation", "ask"),
    [
        ("GetItem", lambda table: IncidentTable(table).latest("orders-prod")),
        ("GetItem", lambda table: LaneTable(table).wanted("slack")),
        ("UpdateItem", lambda table: LaneTable(table).want("slack")),
        ("Query", lambda table: IncidentTable(table).pending(NOW)),
    ],
)
def test_a_table_that_throttles_is_asked_twice_and_then_an_error(
    table: Table, operation: str, ask: Callable[[Table], object]
) -> None:
    refused = refusals(table, operation)
    refused.add(THROTTLED)
    ask(table)
    refused.add(THROTTLED, THROTTLED)

    with pytest.raises(StoreError, match=rf"^table incidents: .*{THROTTLED}"):
        ask(table)

    assert refused.requests == 4


def test_a_table_that_is_gone_is_an_error_that_names_it(
    table: Table, dynamodb: Any, incident: Incident
) -> None:
    dynamodb.delete()
    incidents, lanes, key = IncidentTable(table), LaneTable(table), ("orders-prod", "1")

    for ask in (
        lambda: incidents.latest("orders-prod"),
        lambda: put(table, incident),
        lambda: incidents.kept(key),
        lambda: incidents.pending(NOW),
        lambda: incidents.put_notified(key, "slack", Notified()),
        lambda: incidents.settle(key, 1, due_at=None),
        lambda: lanes.claim("slack", "first", now=NOW, until=NOW, ready_by=NOW),
        lambda: lanes.want("slack"),
        lambda: lanes.wanted("slack"),
        lambda: lanes.keep("slack", "first", until=NOW, ready_at=NOW, storms=()),
        lambda: lanes.release("slack", "first", ready_at=NOW, storms=()),
    ):
        with pytest.raises(StoreError, match=r"^table incidents: .*ResourceNotFound"):
            ask()


def test_a_store_that_does_not_answer_leaves_a_function_of_thirty_seconds_its_time() -> None:
    attempts = CONFIG.retries["total_max_attempts"]  # type: ignore[attr-defined]

    assert attempts * (CONFIG.connect_timeout + CONFIG.read_timeout) < 25  # type: ignore[attr-defined]


def test_an_item_shows_beside_the_story_what_people_look_for(
    table: Table, dynamodb: Any, incident: Incident
) -> None:
    assert put(table, incident)

    items = {item["sk"]: item for item in dynamodb.scan()["Items"]}
    assert set(items) == {"incident", f"incident#{incident.id}"}
    for item in items.values():
        assert incident_of(item["body"].value) == incident
        assert (item["version"], item["progress"]) == (incident.version, "open")
        assert item["headline"].startswith("orders-prod")
        assert item[EXPIRY] > incident.opened_at.timestamp()
    assert not {DUE_AT, "pending"} & set(items["incident"]), "only the copy is in the index"


@pytest.mark.parametrize("body", [b"not gzip", b"", b"\x1f\x8b", "text", 7], ids=repr)
def test_an_incident_that_cannot_be_read_is_an_error_that_names_its_database(
    table: Table, dynamodb: Any, incident: Incident, body: object
) -> None:
    assert put(table, incident)
    keys = [latest_key("orders-prod"), copy_key("orders-prod", incident.id)]
    for key in keys:
        dynamodb.put_item(Item={**key, "version": 1, "channels": {}, "body": body})
    incidents = IncidentTable(table)

    for ask in (
        lambda: incidents.latest("orders-prod"),
        lambda: incidents.kept(("orders-prod", incident.id)),
    ):
        with pytest.raises(StoreError, match="the incident of orders-prod cannot be read"):
            ask()


def test_what_an_unreadable_channel_was_notified_of_hides_no_other_incident(
    table: Table, dynamodb: Any, incident: Incident
) -> None:
    users = replace(incident, database="users-prod")
    assert put(table, incident)
    assert put(table, users)
    dynamodb.update_item(
        Key=copy_key("orders-prod", incident.id),
        UpdateExpression="SET channels = :channels",
        ExpressionAttributeValues={
            ":channels": {"slack": "no JSON", "incidents": '{"version": 1}'}
        },
    )

    found = {each.key[0]: each.channels for each in IncidentTable(table).pending(NOW)}

    assert found == {"orders-prod": {"incidents": Notified(version=1)}, "users-prod": {}}


def test_the_index_is_read_to_its_last_page(table: Table, incident: Incident) -> None:
    databases = {f"db-{number}" for number in range(12)}
    for database in databases:
        assert put(table, replace(incident, database=database))
    notified = Notified(replies=tuple(f"{number:0>33000}" for number in range(3)))
    incidents = IncidentTable(table)
    for database in databases:
        incidents.put_notified((database, incident.id), "slack", notified)
    query = refusals(table, "Query")

    assert {each.key[0] for each in incidents.pending(NOW)} == databases
    assert query.requests > 1


def test_times_are_sorted_as_their_texts_are() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    times = [
        NOW - timedelta(microseconds=1),
        NOW,
        (NOW + timedelta(microseconds=1)).astimezone(east),
        NOW + timedelta(seconds=1),
        datetime(2027, 1, 1, tzinfo=UTC),
    ]

    texts = [sortable(at) for at in reversed(times)]

    assert sorted(texts) == [sortable(at) for at in times]
    assert [datetime.fromisoformat(text) for text in sorted(texts)] == times
