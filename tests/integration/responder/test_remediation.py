"""An alarm goes in, connections become free, and a Report comes out."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger

from connection_guard.errors import ForeignEventError
from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import NEWEST
from tests.integration.responder.responder_actions import is_gone, terminated
from tests.support.builders import (
    CRITICAL_ALARM,
    WARNING_ALARM,
    a_heartbeat_at,
    a_heartbeat_event,
    an_alarm_event,
)
from tests.support.guarded import Guarded, can_log_in, create_guard_role, fill


def test_an_exhausted_database_serves_clients_again(guarded: Guarded) -> None:
    clients = fill(guarded.server, role="app")
    assert not can_log_in(guarded.server)
    report = guarded.deliver()
    assert report["kind"] == "remediation"
    assert report["before"]["used"] >= report["before"]["usable"]
    assert report["after"]["utilisation"] < 70
    assert report["recovered"] is True
    assert terminated(report) == sum(is_gone(client) for client in clients) > 0
    assert can_log_in(guarded.server)


@NEWEST
def test_every_line_of_the_log_has_the_database(guarded: Guarded) -> None:
    logger = Logger(service="connection-guard")
    logger.append_keys(database="another")

    guarded.deliver(a_heartbeat_event())

    assert logger.get_current_keys()["database"] == "orders-prod"


@NEWEST
def test_every_run_and_every_heartbeat_writes_its_metrics_into_the_log(
    guarded: Guarded, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    fill(guarded.server, role="app")
    for event, terminates in (
        (a_heartbeat_event(), False),
        (an_alarm_event(), True),
        (a_heartbeat_event(), False),
    ):
        capsys.readouterr()
        caplog.clear()
        report = guarded.deliver(event)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        (metrics,) = [line for line in lines if "_aws" in line]
        latest = report["after"] or report["before"]
        batches = [
            vars(record)["results"] for record in caplog.records if record.getMessage() == "batch"
        ]
        assert sum(map(len, batches)) == terminated(report)
        assert metrics["Database"] == "orders-prod"
        assert (metrics["used"], metrics["Usable"]) == (latest["used"], [latest["usable"]])
        assert metrics["terminated"] == terminated(report)
        assert (terminated(report) > 0) is terminates
        assert (metrics["Healthy"], metrics["faults"]) == ([1], [])
        assert (metrics["direct_door_open"], metrics["seat_held"]) == (1, 1)


@pytest.mark.parametrize(
    "event",
    [
        {"Records": [{"eventSource": "aws:s3"}]},
        an_alarm_event("arn:aws:cloudwatch:eu-central-1:123456789012:alarm:disk full"),
        an_alarm_event(database="billing-prod"),
    ],
    ids=["no alarm notification", "another alarm", "another database"],
)
@NEWEST
def test_a_foreign_event_is_refused_before_anything_is_touched(
    server: PostgresServer, event: dict[str, Any]
) -> None:
    create_guard_role(server)
    guarded = Guarded(server)
    with pytest.raises(
        ForeignEventError,
        match="expected an SNS notification from one of the 2 alarms of orders-prod",
    ):
        guarded.deliver(event)
    assert guarded.logins == []


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
def test_an_alarm_that_cleared_gets_the_live_state_and_nothing_is_terminated(
    guarded: Guarded, state: str
) -> None:
    clients = fill(guarded.server, role="app")
    report = guarded.deliver(an_alarm_event(state=state))
    assert report["kind"] == "observation"
    assert report["restraint"] == "not an alarm"
    assert report["before"]["used"] > len(clients)
    assert not any(is_gone(client) for client in clients)


@NEWEST
def test_the_same_event_twice_has_one_key_and_the_live_state_decides(guarded: Guarded) -> None:
    event = an_alarm_event()
    fill(guarded.server, role="app")
    first, second = guarded.deliver(event), guarded.deliver(event)
    assert first["event"]["key"] == second["event"]["key"]
    assert [first["event"]["is_duplicate"], second["event"]["is_duplicate"]] == [False, True]
    assert terminated(first) > 0
    assert (second["kind"], second["restraint"], terminated(second)) == (
        "observation",
        "below target",
        0,
    )


@NEWEST
def test_an_alarm_that_comes_late_counts_as_a_heartbeat(guarded: Guarded) -> None:
    clients = fill(guarded.server, role="app")
    late = an_alarm_event(changed_at=datetime.now(UTC) - timedelta(minutes=5, seconds=1))
    report = guarded.deliver(late)
    assert (report["kind"], report["event"]["is_stale"]) == ("heartbeat", True)
    assert not any(is_gone(client) for client in clients)
    report = guarded.deliver(a_heartbeat_at(1))
    assert terminated(report) > 0, "it was the first of two critical heartbeats in a row"


def test_usage_below_the_target_asks_for_nothing(guarded: Guarded) -> None:
    client = guarded.server.connect("app")
    report = guarded.deliver()
    assert (report["kind"], report["restraint"]) == ("observation", "below target")
    assert "already below the target of 70 %" in report["explanation"]
    assert not is_gone(client)


@NEWEST
def test_a_warning_observes_and_a_critical_alarm_enforces(guarded: Guarded) -> None:
    clients = fill(guarded.server, role="app")
    report = guarded.deliver(an_alarm_event(WARNING_ALARM))
    assert (report["kind"], report["tier"], report["restraint"]) == (
        "observation",
        "warning",
        "observing",
    )
    assert report["engaged"] is False
    assert guarded.deliver(a_heartbeat_event())["kind"] == "heartbeat"
    assert not any(is_gone(client) for client in clients)
    assert guarded.deliver(an_alarm_event(CRITICAL_ALARM))["kind"] == "remediation"
