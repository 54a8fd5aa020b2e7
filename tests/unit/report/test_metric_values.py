"""Every run publishes the figures that it knows, and none that it does not."""

import json
from typing import Any

import pytest

from connection_guard.adapters.aws.metric_log import write_metrics
from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.door import DoorAttempt, DoorName
from connection_guard.core.database.guard_faults import Fault
from connection_guard.core.database.session import SessionState
from connection_guard.core.database.snapshot import Privileges
from connection_guard.core.decision.outcome import Result
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.metric_names import Field, Metric
from connection_guard.core.report.metric_values import log_fields_of, metrics_of
from tests.support.builders import a_capacity, a_measurement, a_session
from tests.support.runs import a_remediation, a_run

SHUT_PROXY = DoorAttempt(DoorName.PROXY, False, 1, 2.0, "timed out")
OPEN_DIRECT = DoorAttempt(DoorName.DIRECT, False, 3, 0.2, None)


def test_a_heartbeat_shows_how_full_the_database_is() -> None:
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
    run = a_run(Kind.HEARTBEAT, measurement=measurement, seat_held=True)
    values, fields = metrics_of(run), log_fields_of(run)
    assert (values[Metric.USABLE], values[Metric.HEALTHY]) == (70, 1)
    assert values[Metric.UTILISATION] == pytest.approx(42.86, abs=0.01)
    assert values[Metric.HIGHEST_LIMIT_UTILISATION] == 75
    assert (fields[Field.USED], fields[Field.USABLE], fields[Field.UTILISATION]) == (30, 70, 42.86)
    assert (
        fields[Field.SESSIONS_IDLE],
        fields[Field.SESSIONS_ACTIVE],
        fields[Field.SESSIONS_HIDDEN],
    ) == (20, 8, 2)
    assert fields[Field.SESSIONS_IDLE_IN_TRANSACTION_ABORTED] == 0
    assert fields[Field.HIGHEST_ROLE_LIMIT_UTILISATION] == 75
    assert Field.HIGHEST_DATABASE_LIMIT_UTILISATION not in fields
    assert (fields[Field.SEAT_HELD], fields[Field.FAULTS]) == (1, [])


def test_the_limit_s_metric_is_that_of_the_role_or_database_that_is_fullest() -> None:
    limits = (
        ConnectionLimit(LimitOwner.ROLE, "app", 20, 15),
        ConnectionLimit(LimitOwner.DATABASE, "shop", 10, 9),
    )
    run = a_run(Kind.HEARTBEAT, measurement=a_measurement(limits=limits))
    assert metrics_of(run)[Metric.HIGHEST_LIMIT_UTILISATION] == 90
    assert log_fields_of(run)[Field.HIGHEST_DATABASE_LIMIT_UTILISATION] == 90
    unlimited = metrics_of(a_run(Kind.HEARTBEAT, measurement=a_measurement(limits=())))
    assert Metric.HIGHEST_LIMIT_UTILISATION not in unlimited


def test_every_state_has_its_field() -> None:
    states = {state.value: 10 + place for place, state in enumerate(SessionState)} | {"hidden": 9}
    fields = log_fields_of(a_run(Kind.HEARTBEAT, measurement=a_measurement(states=states)))
    of_states = sorted(
        value
        for field, value in fields.items()
        if field.startswith("sessions_") and isinstance(value, int)
    )
    assert of_states == [9, *range(10, 10 + len(SessionState))]


def test_a_remediation_shows_what_it_did_and_how_full_it_is_now() -> None:
    run = a_remediation(
        *(a_session() for _ in range(97)),
        terminate=31,
        results=(Result.SURVIVED, Result.MOVED_ON),
        after=a_measurement(used=68),
        doors=(SHUT_PROXY, OPEN_DIRECT),
    )
    fields = log_fields_of(run)
    assert (fields[Field.TERMINATED], fields[Field.SURVIVED], fields[Field.USED]) == (29, 1, 68)
    assert (fields[Field.PROXY_DOOR_OPEN], fields[Field.DIRECT_DOOR_OPEN]) == (0, 1)


def test_locked_out_nothing_is_known_but_that() -> None:
    run = a_run(Kind.LOCKED_OUT, doors=(SHUT_PROXY,), faults=(Fault.LOCKED_OUT,))
    assert metrics_of(run) == {Metric.HEALTHY: 0}
    assert log_fields_of(run) == {
        Field.DATABASE: "orders-prod",
        Field.KIND: Kind.LOCKED_OUT,
        Field.FAULTS: ["locked_out"],
        Field.PROXY_DOOR_OPEN: 0,
        Field.SEAT_HELD: 0,
        Field.TERMINATED: 0,
        Field.SURVIVED: 0,
    }


def test_states_that_may_not_be_read_are_not_shown_as_none() -> None:
    blind = a_measurement(
        used=97, states={"hidden": 96, "active": 1}, privileges=Privileges(False, True, True)
    )
    fields = log_fields_of(a_run(Kind.PREFLIGHT_FAILED, measurement=blind))
    assert (fields[Field.SESSIONS_HIDDEN], fields[Field.USED]) == (96, 97)
    assert not {
        Field.SESSIONS_IDLE,
        Field.SESSIONS_ACTIVE,
        Field.OLDEST_IDLE_IN_TRANSACTION_SECONDS,
    } & set(fields)


def test_each_run_is_one_document_for_cloudwatch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "connection-guard")
    measurement = a_measurement(
        used=12,
        capacity=a_capacity(103),
        states={"idle in transaction": 5},
        limits=(ConnectionLimit(LimitOwner.DATABASE, "shop", 10, 9),),
    )
    write_metrics(a_run(Kind.HEARTBEAT, measurement=measurement))
    write_metrics(a_run(Kind.LOCKED_OUT, faults=(Fault.LOCKED_OUT,)))
    heartbeat, locked_out = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert heartbeat["Database"] == heartbeat["database"] == "orders-prod"
    assert values_and_units(heartbeat) == {
        "Usable": ([100], "Count"),
        "Utilisation": ([12], "Percent"),
        "Healthy": ([1], "Count"),
        "HighestLimitUtilisation": ([90], "Percent"),
    }
    assert (heartbeat["used"], heartbeat["sessions_idle_in_transaction"]) == (12, 5)
    assert heartbeat["oldest_idle_in_transaction_seconds"] == 0
    assert (heartbeat["faults"], locked_out["faults"]) == ([], ["locked_out"])
    assert values_and_units(locked_out) == {"Healthy": ([0], "Count")}


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
