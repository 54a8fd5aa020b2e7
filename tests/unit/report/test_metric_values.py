"""Every run publishes the figures that it knows, and none that it does not."""

import json
from typing import Any

import pytest

from connection_guard.adapters.aws.metric_log import write_metrics
from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.door import DoorAttempt, DoorName
from connection_guard.core.database.session import SessionState
from connection_guard.core.database.snapshot import Privileges
from connection_guard.core.decision.outcome import Result
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.metric_names import Metric
from connection_guard.core.report.metric_values import metrics_of
from tests.support.builders import a_capacity, a_measurement, a_session
from tests.support.runs import a_remediation, a_run

SHUT_PROXY = DoorAttempt(DoorName.PROXY, False, 1, 2.0, "timed out")
OPEN_DIRECT = DoorAttempt(DoorName.DIRECT, False, 3, 0.2, None)


def test_a_heartbeat_tells_how_full_the_database_is() -> None:
    measurement = a_measurement(
        used=30,
        capacity=a_capacity(79, rds_superuser=2, rds=4),
        states={"idle": 20, "active": 8, "hidden": 2},
        limits=(
            ConnectionLimit(LimitOwner.ROLE, "app", 20, 15),
            ConnectionLimit(LimitOwner.ROLE, "jobs", 10, 1),
            ConnectionLimit(LimitOwner.ROLE, "retired", 0, 0),
        ),
    )
    values = metrics_of(a_run(Kind.HEARTBEAT, measurement=measurement, seat_held=True))
    assert (values[Metric.USABLE], values[Metric.USED]) == (70, 30)
    assert values[Metric.UTILISATION] == pytest.approx(42.86, abs=0.01)
    assert (
        values[Metric.SESSIONS_IDLE],
        values[Metric.SESSIONS_ACTIVE],
        values[Metric.SESSIONS_HIDDEN],
    ) == (20, 8, 2)
    assert values[Metric.SESSIONS_IDLE_IN_TRANSACTION_ABORTED] == 0
    assert values[Metric.HIGHEST_ROLE_LIMIT_UTILISATION] == 75
    assert Metric.HIGHEST_DATABASE_LIMIT_UTILISATION not in values
    assert (values[Metric.HEARTBEAT], values[Metric.SEAT_HELD], values[Metric.LOCKED_OUT]) == (
        1,
        1,
        0,
    )


def test_every_state_has_its_metric() -> None:
    states = {state.value: 10 + place for place, state in enumerate(SessionState)} | {"hidden": 9}
    values = metrics_of(a_run(Kind.HEARTBEAT, measurement=a_measurement(states=states)))
    of_states = sorted(value for metric, value in values.items() if metric.startswith("Sessions"))
    assert of_states == [9, *range(10, 10 + len(SessionState))]


def test_a_remediation_tells_what_it_did_and_how_full_it_is_now() -> None:
    run = a_remediation(
        *(a_session() for _ in range(97)),
        terminate=31,
        results=(Result.SURVIVED, Result.MOVED_ON),
        after=a_measurement(used=68),
        doors=(SHUT_PROXY, OPEN_DIRECT),
    )
    values = metrics_of(run)
    assert (values[Metric.TERMINATED], values[Metric.SURVIVED], values[Metric.USED]) == (29, 1, 68)
    assert (values[Metric.PROXY_DOOR_OPEN], values[Metric.DIRECT_DOOR_OPEN]) == (0, 1)


def test_locked_out_nothing_is_known_but_that() -> None:
    values = metrics_of(a_run(Kind.LOCKED_OUT, doors=(SHUT_PROXY,)))
    assert values == {
        Metric.LOCKED_OUT: 1,
        Metric.PROXY_DOOR_OPEN: 0,
        Metric.SEAT_HELD: 0,
        Metric.TERMINATED: 0,
        Metric.SURVIVED: 0,
    }


def test_states_that_may_not_be_read_are_not_told_as_none() -> None:
    blind = a_measurement(
        used=97, states={"hidden": 96, "active": 1}, privileges=Privileges(False, True, True)
    )
    values = metrics_of(a_run(Kind.PREFLIGHT_FAILED, measurement=blind))
    assert (
        values[Metric.PREFLIGHT_FAILED],
        values[Metric.SESSIONS_HIDDEN],
        values[Metric.USED],
    ) == (1, 96, 97)
    assert not {
        Metric.SESSIONS_IDLE,
        Metric.SESSIONS_ACTIVE,
        Metric.OLDEST_IDLE_IN_TRANSACTION,
    } & set(values)


def test_each_run_is_one_document_for_cloudwatch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "connection-guard")
    states = {"idle in transaction": 5}
    measurement = a_measurement(
        used=12,
        capacity=a_capacity(103),
        states=states,
        limits=(ConnectionLimit(LimitOwner.DATABASE, "shop", 10, 9),),
    )
    write_metrics(a_run(Kind.HEARTBEAT, measurement=measurement))
    write_metrics(a_run(Kind.LOCKED_OUT))
    heartbeat, locked_out = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert heartbeat["Database"] == "orders-prod"
    assert values_and_units(heartbeat)["Used"] == ([12], "Count")
    assert values_and_units(heartbeat)["Utilisation"] == ([12], "Percent")
    assert values_and_units(heartbeat)["SessionsIdleInTransaction"] == ([5], "Count")
    assert values_and_units(heartbeat)["OldestIdleInTransaction"] == ([0], "Seconds")
    assert values_and_units(heartbeat)["HighestDatabaseLimitUtilisation"] == ([90], "Percent")
    assert values_and_units(locked_out)["LockedOut"] == ([1], "Count")
    assert "Used" not in values_and_units(locked_out)


def values_and_units(document: dict[str, Any]) -> dict[str, tuple[list[float], str]]:
    """What CloudWatch reads from a document: its one directive, the metrics that it names, and
    their values.
    """
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ConnectionGuard"
    assert directive["Dimensions"] == [["Database"]]
    return {
        metric["Name"]: (document[metric["Name"]], metric["Unit"])
        for metric in directive["Metrics"]
    }
