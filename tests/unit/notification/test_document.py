"""Machines get an incident as the schema says."""

from typing import Any

import pytest

from connection_guard.core.incident.circumstances import Circumstances, RdsEvent
from connection_guard.core.incident.incident import Incident
from tests.support.reporter.incident_stories import (
    BACKUP,
    CHECKOUT,
    HOSTILE,
    LINKS,
    SCHEMA,
    START,
    a_large_incident,
    a_recovery,
    an_entry,
    an_incident,
    document,
)


def test_machines_get_the_whole_incident() -> None:
    first = an_entry(
        terminated=(CHECKOUT,), spared=(BACKUP,), escalation="refused", evidence="some/key"
    )
    context = Circumstances(
        (RdsEvent(START, "orders-1", "Failover"),), ((START, 40.0),), "jumped", ()
    )

    read = document(an_incident(first, a_recovery(12), circumstances=context))

    assert (read["id"], read["database"], read["progress"], read["tier"]) == (
        "orders-1",
        "orders",
        "closed",
        "critical",
    )
    assert (read["opened_at"], read["closed_at"]) == (
        "2026-11-20T03:00:00+00:00",
        "2026-11-20T03:12:00+00:00",
    )
    assert (read["seconds"], read["attempts"], read["sessions_terminated"]) == (720, 1, 30)
    assert read["usage"]["first"] == {"used": 97, "usable": 97, "percent": 100.0}
    assert read["usage"]["latest"] == {"used": 48, "usable": 97, "percent": 49.5}
    assert read["terminated"][0]["application"] == "checkout"
    assert read["rds_events"] == [
        {"at": "2026-11-20T03:00:00+00:00", "source": "orders-1", "message": "Failover"}
    ]
    assert (read["escalations"], read["evidence"], read["alarm"]["state"]) == (
        ["refused"],
        "some/key",
        "OK",
    )
    assert read["links"]["logs"] == LINKS.logs
    assert len(read["timeline"]) > 1


@pytest.mark.parametrize(
    "incident",
    [
        an_incident(),
        an_incident(an_entry(kind="failure", tier=None, alarm=None, before=None, after=None)),
        a_large_incident(HOSTILE),
    ],
    ids=["open", "failed", "large"],
)
def test_every_incident_is_as_the_schema_says(incident: Incident) -> None:
    read = document(incident)

    assert set(read["omitted"].values()) == {0}
    assert read["seconds"] == 720


def test_the_schema_describes_every_field() -> None:
    def undescribed(node: Any) -> list[Any]:
        inside = node.get("properties", {}).values() if isinstance(node, dict) else ()
        return [each for each in inside if "description" not in each] + [
            u for each in inside for u in undescribed(each)
        ]

    assert undescribed(SCHEMA) == []
    assert [name for name, node in SCHEMA["$defs"].items() if undescribed(node)] == []
