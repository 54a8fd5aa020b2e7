"""The packages run."""

from pathlib import Path
from typing import Any

import pytest

from doubles.aws.lambda_runtime import ExecutionEnvironment
from tests.cdk.packages.built import SETTINGS, only_where_it_runs, unpacked
from tests.support.builders import a_heartbeat_event
from tests.support.reporter.deliveries import a_report, a_success
from tests.support.reporter.outside import in_queue


@only_where_it_runs
def test_the_packaged_responder_serves_a_heartbeat(tmp_path: Path) -> None:
    package = unpacked("responder", tmp_path)

    with ExecutionEnvironment(
        package, "responder.handler.lambda_handler", SETTINGS["responder"]
    ) as environment:
        answer = environment.invoke(a_heartbeat_event(), timeout=6)

    assert not answer.is_error, answer.payload
    assert (answer.payload["kind"], answer.payload["database"]) == ("locked_out", "orders-prod")
    assert "Connection refused" in answer.payload["doors"][0]["error"]


@only_where_it_runs
@pytest.mark.parametrize(
    "event",
    [
        {"Records": [{"body": in_queue(a_success(a_report()))}]},
        a_heartbeat_event(),
    ],
    ids=["a report", "the schedule"],
)
def test_the_packaged_reporter_fails_while_the_table_is_down(
    event: dict[str, Any], tmp_path: Path
) -> None:
    package = unpacked("reporter", tmp_path)
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}

    with ExecutionEnvironment(
        package, "reporter.handler.lambda_handler", {**SETTINGS["reporter"], **nobody}
    ) as environment:
        answer = environment.invoke(event, timeout=20)

    assert (answer.is_error, answer.payload["errorType"]) == (True, "StoreError"), answer.payload
    assert answer.payload["errorMessage"].startswith("table incidents: Could not connect")
