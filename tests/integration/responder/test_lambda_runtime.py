"""The responder's deployment package under Lambda's real runtime client."""

from pathlib import Path

import pytest

from connection_guard.core.database.door import Door, DoorName
from doubles.aws.lambda_runtime import ExecutionEnvironment, package_responder
from tests.support.builders import a_heartbeat_event, some_settings

HANDLER = "responder.handler.lambda_handler"


@pytest.fixture
def task_root(tmp_path: Path) -> Path:
    package_responder(tmp_path)
    return tmp_path


def test_the_deployed_function_refuses_a_foreign_event_and_answers_a_heartbeat_with_a_report(
    task_root: Path,
) -> None:
    settings = some_settings(
        direct=Door(DoorName.DIRECT, "127.0.0.1", 1, "connection_guard")
    )  # nobody listens there
    with ExecutionEnvironment(task_root, HANDLER, settings.to_environment()) as environment:
        refusal = environment.invoke({"Records": [{"eventSource": "aws:s3"}]})
        answer = environment.invoke(
            a_heartbeat_event(), timeout=6
        )  # the guard keeps knocking for as long as it may

    assert (refusal.is_error, refusal.payload["errorType"]) == (True, "ForeignEventError")
    assert refusal.payload["errorMessage"].startswith(
        "expected an SNS notification from one of the 2 alarms of orders-prod, or a scheduled "
        "event; found "
    )
    assert not answer.is_error, answer.payload
    assert (answer.payload["kind"], answer.payload["database"]) == ("locked_out", "orders-prod")
    assert "Connection refused" in answer.payload["doors"][0]["error"]
    assert '"faults":["locked_out"]' in answer.log


def test_a_function_without_its_settings_says_so_before_it_serves_anything(task_root: Path) -> None:
    with ExecutionEnvironment(task_root, HANDLER, environment={}) as environment:
        answer = environment.invoke(a_heartbeat_event())

    assert (answer.is_error, answer.payload["errorType"]) == (True, "ConfigurationError")
    assert "CONNECTION_GUARD_SETTINGS" in answer.payload["errorMessage"]
