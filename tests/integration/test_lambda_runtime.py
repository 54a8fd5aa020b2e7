"""The responder's deployment package under Lambda's real runtime client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from connection_guard.core.door import Door, DoorName

from tests.builders import a_pulse_event, some_settings
from tests.lambda_runtime import ExecutionEnvironment, package_responder

HANDLER = "responder.handler.lambda_handler"


@pytest.fixture
def task_root(tmp_path: Path) -> Path:
    package_responder(tmp_path)
    return tmp_path


@pytest.fixture
def responder(task_root: Path) -> Iterator[ExecutionEnvironment]:
    """The function of a database that is not there: no door opens."""
    settings = some_settings(direct=Door(DoorName.DIRECT, "127.0.0.1", 1, "connection_guard"))
    with ExecutionEnvironment(task_root, HANDLER, settings.to_environment()) as environment:
        yield environment


def test_the_deployed_function_answers_a_pulse_with_a_report_and_logs_its_metrics(
    responder: ExecutionEnvironment,
) -> None:
    answer = responder.invoke(a_pulse_event())
    assert not answer.is_error, answer.payload
    assert (answer.payload["kind"], answer.payload["database"]) == ("locked_out", "orders-prod")
    assert "port 1 failed: Connection refused" in answer.payload["doors"][0]["error"]
    assert '"LockedOut":[1.0]' in answer.log.replace(" ", "")


def test_a_foreign_event_is_reported_as_an_error_that_names_what_was_expected_and_the_next_is_served(
    responder: ExecutionEnvironment,
) -> None:
    answer = responder.invoke({"Records": [{"eventSource": "aws:s3"}]})
    assert (answer.is_error, answer.payload["errorType"]) == (True, "ForeignEventError")
    assert answer.payload["errorMessage"].startswith(
        "expected an SNS notification from one of the 2 alarms of orders-prod, or a scheduled event; found "
    )
    assert not responder.invoke(a_pulse_event()).is_error


def test_a_function_without_its_settings_says_so_before_it_serves_anything(task_root: Path) -> None:
    with ExecutionEnvironment(task_root, HANDLER, {}) as environment:
        answer = environment.invoke(a_pulse_event())
    assert (answer.is_error, answer.payload["errorType"]) == (True, "ConfigurationError")
    assert "CONNECTION_GUARD_SETTINGS" in answer.payload["errorMessage"]
