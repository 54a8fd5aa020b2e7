"""`connection-guard incidents` on a table that is empty, very full, or partly damaged."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.aws.table import Table
from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import copy_key
from tests.support.cli.deployed_account import STACK, DeployedAccount, deployed_account
from tests.support.cli.running import Ran, at_a_terminal, in_a_pipe
from tests.support.emulated_account import TABLE, emulated_account
from tests.support.reporter.incidents import an_entry
from tests.support.reporter.outside import stores_of_aws

HOSTILE = "\x1b[31m[bold]out of connections\ud83d\x9b2J"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployedAccount]:
    """An account of one test, with empty stores."""
    with emulated_account(monkeypatch):
        stores_of_aws()
        with deployed_account({"orders-prod": "guards-orders"}) as account:
            yield account


def incidents(account: DeployedAccount, *arguments: str | Path) -> Ran:
    return in_a_pipe("incidents", "--stack", STACK, *arguments, environment=account.environment)


def at_terminal(account: DeployedAccount, *arguments: str | Path) -> Ran:
    return at_a_terminal(
        "incidents", "--stack", STACK, *arguments, environment=account.environment, columns=160
    )


def put(*incidents: Incident) -> None:
    """Write incidents as the reporter does."""
    table, known = IncidentTable(Table(TABLE)), None
    for version, each in enumerate(incidents, start=1):
        assert table.put(
            replace(each, version=version), replaces=known, ended=None, now=datetime.now(UTC)
        )
        known = version


def of_minute(minute: float, *entries: Entry, **changes: Any) -> Incident:
    """Return an incident that began that many minutes after the start."""
    at = START + timedelta(minutes=minute)
    entry = an_entry(at=at, request_id=f"of-{minute}", **changes)
    return Incident("orders-prod", f"{at:%Y%m%dT%H%M%S}-of-{minute}", (entry, *entries))


def test_what_is_damaged_is_a_line_and_the_others_are_shown(
    empty: DeployedAccount, tmp_path: Path
) -> None:
    hostile = of_minute(2, headline=HOSTILE, evidence="evidence/../../\x1b[2J.jsonl.gz")
    hostile = replace(hostile, id=f"{hostile.id}\x1b[1m")
    put(of_minute(0), of_minute(1), hostile)
    table = boto3.resource("dynamodb").Table(TABLE)
    damaged = copy_key("orders-prod", of_minute(0).id)
    table.update_item(
        Key=damaged,
        UpdateExpression="SET body = :body",
        ExpressionAttributeValues={":body": b"\x1f\x8b damaged"},
    )

    ran = incidents(empty)

    assert ran.status == 1
    [line] = ran.errors.splitlines()
    assert of_minute(0).id in line
    assert "cannot be read" in line
    assert len(ran.document["incidents"]) == 2

    person = at_terminal(empty, hostile.id, "--evidence")
    assert person.status == 1
    assert "2J.jsonl.gz is not there (any more)" in person.output
    assert "\x1b" not in person.output

    saved = incidents(empty, hostile.id, "--save", tmp_path / "inner")
    assert saved.status == 1, "nothing is there to save"

    asked = incidents(empty, of_minute(0).id)
    assert (asked.status, asked.output) == (2, "")
    assert "cannot be read" in asked.errors


def test_more_incidents_than_a_page_of_the_table_holds_are_all_listed(
    empty: DeployedAccount,
) -> None:
    many = [
        of_minute(-10 * number, problems=(os.urandom(8_000).hex(),)) for number in range(200, 0, -1)
    ]
    put(*many)

    ran = incidents(empty)

    assert [each["id"] for each in ran.document["incidents"]] == [
        each.id for each in reversed(many)
    ]
    assert empty.requests.count("DynamoDB.Query") >= 3, "pages, and the stack's own incidents"


def test_an_empty_table_is_well(empty: DeployedAccount) -> None:
    ran = at_terminal(empty)

    assert ran.status == 0
    assert ran.output.startswith("There is no incident since ")
    assert incidents(empty).document["incidents"] == []
