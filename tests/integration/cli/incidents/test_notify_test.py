"""`connection-guard notify-test`, against a server that answers as CloudFormation and Lambda do."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connection_guard.cli.access.aws_session import MISSING
from tests.support.cli.invoked_reporter import CREDENTIALS, Aws, invoked_reporter
from tests.support.cli.running import Ran, at_a_terminal, in_a_pipe
from tests.support.configurations import EXAMPLE_FILE


@pytest.fixture
def aws() -> Iterator[Aws]:
    with invoked_reporter() as aws:
        yield aws


def notify_test(
    aws: Aws, *arguments: str, stack: str = "Guard", credentials: Mapping[str, str] = CREDENTIALS
) -> Ran:
    return in_a_pipe(
        "notify-test",
        "--stack",
        stack,
        *arguments,
        environment=environment_of(aws, credentials),
    )


def environment_of(aws: Aws, credentials: Mapping[str, str] = CREDENTIALS) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": aws.url, "AWS_DEFAULT_REGION": "eu-central-1", **credentials}


def test_what_each_channel_answered_is_a_line(aws: Aws) -> None:
    aws.answer = {
        "channels": [
            {"channel": "slack", "answer": "delivered"},
            {"channel": "e-mail and SNS", "answer": "delivered"},
        ]
    }

    run = notify_test(aws)

    assert (run.status, run.errors) == (0, "")
    assert run.document == {
        "stack": "Guard",
        "channels": [
            {"channel": "slack", "answer": "delivered", "is_failure": False},
            {"channel": "e-mail and SNS", "answer": "delivered", "is_failure": False},
        ],
    }
    assert aws.invocations == [
        ("/2015-03-31/functions/the-reporter/invocations", {"notify_test": True})
    ]


def test_a_channel_that_fails_is_status_1_and_hides_no_other(aws: Aws) -> None:
    aws.answer = {
        "channels": [
            {"channel": "pagerduty", "error": "PagerDuty refused:\n\x1b[31minvalid key"},
            {"channel": "slack", "answer": "delivered"},
        ]
    }

    run = at_a_terminal("notify-test", "--stack", "Guard", environment=environment_of(aws))

    assert run.status == 1
    assert run.output.splitlines() == [
        "pagerduty: failed: PagerDuty refused: �[31minvalid key",
        "slack: delivered",
    ]


@pytest.mark.parametrize(
    "answer", [{"errorType": "ForeignEventError", "errorMessage": "not a delivery"}, None, [1]]
)
def test_a_reporter_that_does_not_answer_is_status_1_and_its_log_is_named(
    aws: Aws, answer: Any
) -> None:
    aws.answer, aws.error = answer, "Unhandled"

    run = notify_test(aws)

    assert (run.status, run.errors) == (1, "")
    [channel] = run.document["channels"]
    assert channel == {
        "channel": "reporter",
        "answer": f"{json.dumps(answer)}; see the log /aws/lambda/the-reporter",
        "is_failure": True,
    }


def test_a_stack_that_does_not_exist_is_a_line_and_status_2(aws: Aws) -> None:
    run = notify_test(aws, stack="Other")

    assert (run.status, run.output) == (2, "")
    [line] = run.errors.splitlines()
    assert line.startswith("connection-guard: ")
    assert "Stack with id Other does not exist" in line
    assert aws.invocations == []


def test_a_stack_of_an_older_version_is_a_line_and_status_2(aws: Aws) -> None:
    aws.output = "DashboardAddress"

    run = notify_test(aws)

    assert (run.status, run.output) == (2, "")
    assert run.errors == (
        "connection-guard: stack Guard has no output ReporterName: it is another stack than the "
        "guard's, or of an older version; name the guard's, or run `make deploy`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "credentials", "problem"),
    [
        ((), {}, MISSING),
        (
            ("--profile", "production"),
            CREDENTIALS,
            (
                "The config profile (production) could not be found; "
                "`aws configure list-profiles` shows those that there are"
            ),
        ),
        (
            ("--quickly",),
            CREDENTIALS,
            "No such option '--quickly'; see `connection-guard notify-test --help`",
        ),
    ],
)
def test_a_mistake_of_the_user_is_a_line_and_status_2(
    aws: Aws, arguments: tuple[str, ...], credentials: Mapping[str, str], problem: str
) -> None:
    run = notify_test(aws, *arguments, credentials=credentials)

    assert (run.status, run.output) == (2, "")
    assert run.errors == f"connection-guard: {problem}\n"


def test_a_guard_file_names_its_stack(aws: Aws) -> None:
    """The example's is ConnectionGuard, which is not here."""
    arguments = ("notify-test", "--guard", EXAMPLE_FILE)
    run = in_a_pipe(*arguments, environment=environment_of(aws))

    assert run.status == 2
    assert "stack ConnectionGuard: " in run.errors
    assert "Stack with id ConnectionGuard does not exist" in run.errors


def test_a_guard_file_that_is_not_there_is_a_line(tmp_path: Path) -> None:
    run = in_a_pipe("notify-test", folder=tmp_path)

    assert (run.status, run.output) == (2, "")
    [line] = run.errors.splitlines()
    assert "guard.toml does not exist; let `connection-guard discover` write it" in line
