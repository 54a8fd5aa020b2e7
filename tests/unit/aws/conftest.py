"""An emulated account, and each store twice: as deployed, and as its twin in memory."""

from collections.abc import Iterator
from typing import Any

import pytest

from connection_guard.adapters.aws.evidence_bucket import EvidenceBucket
from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.aws.lane_table import LaneTable
from connection_guard.adapters.aws.table import Table
from doubles.aws.memory_store import MemoryBucket, MemoryIncidents, MemoryLanes
from tests.support.emulated_account import (
    BUCKET,
    TABLE,
    create_evidence_bucket,
    create_incidents_table,
    emulated_account,
)

IMPLEMENTATIONS = ["AWS", "in memory"]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with emulated_account(monkeypatch):
        yield


@pytest.fixture
def dynamodb(account: None) -> Any:  # noqa: ARG001
    """Create the table; return it as boto3 shows it."""
    return create_incidents_table()


@pytest.fixture
def table(dynamodb: Any) -> Table:  # noqa: ARG001
    return Table(TABLE)


@pytest.fixture
def s3(account: None) -> Any:  # noqa: ARG001
    return create_evidence_bucket()


@pytest.fixture(params=IMPLEMENTATIONS)
def incidents(request: pytest.FixtureRequest) -> IncidentTable:
    if request.param == "in memory":
        return MemoryIncidents()
    return IncidentTable(request.getfixturevalue("table"))


@pytest.fixture(params=IMPLEMENTATIONS)
def lanes(request: pytest.FixtureRequest) -> LaneTable:
    if request.param == "in memory":
        return MemoryLanes()
    return LaneTable(request.getfixturevalue("table"))


@pytest.fixture(params=IMPLEMENTATIONS)
def bucket(request: pytest.FixtureRequest) -> EvidenceBucket:
    if request.param == "in memory":
        return MemoryBucket()
    request.getfixturevalue("s3")
    return EvidenceBucket(BUCKET)
