"""The packages run."""

from pathlib import Path

from doubles.aws.lambda_runtime import ExecutionEnvironment
from tests.cdk.packages.built import REPORTER_SETTINGS, SETTINGS, only_where_it_runs, unpacked
from tests.support.builders import a_heartbeat_event, an_alarm_event


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
def test_the_packaged_reporter_refuses_what_is_not_a_delivery(tmp_path: Path) -> None:
    package = unpacked("reporter", tmp_path)

    with ExecutionEnvironment(
        package, "reporter.handler.lambda_handler", SETTINGS["reporter"]
    ) as environment:
        answer = environment.invoke(a_heartbeat_event())

    assert (answer.is_error, answer.payload["errorType"]) == (True, "ForeignEventError"), (
        answer.payload
    )
    assert answer.payload["errorMessage"].startswith(
        "expected an SNS notification with Lambda's record of a Report"
    )


@only_where_it_runs
def test_the_packaged_reporter_ignores_its_own_message_on_the_incidents_topic(
    tmp_path: Path,
) -> None:
    """Alarms come from there, too: if it took its own message for a report, it would never stop."""
    package = unpacked("reporter", tmp_path)
    event = an_alarm_event()
    topic = REPORTER_SETTINGS.incidents_topic
    event["Records"][0]["Sns"] |= {"TopicArn": topic, "Message": '{"database": "orders-prod"}'}

    with ExecutionEnvironment(
        package, "reporter.handler.lambda_handler", SETTINGS["reporter"]
    ) as environment:
        answer = environment.invoke(event)

    assert (answer.is_error, answer.payload) == (False, None), answer.payload
