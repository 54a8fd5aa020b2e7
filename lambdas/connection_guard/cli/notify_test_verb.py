"""The verb `notify-test`: does a test incident get through every channel of a deployed stack?"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.cli.access.aws_session import aws_options, aws_problem, aws_session
from connection_guard.cli.access.deployed_stack import required_output, stack_outputs
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.deployment.stack_output import StackOutput
from connection_guard.core.words import shown

REQUEST = {"notify_test": True}
LONGEST_ANSWER = 1000

# The reporter may take a minute. A second try would notify people twice.
ONCE = Config(connect_timeout=10, read_timeout=90, retries={"total_max_attempts": 1})


@click.command("notify-test")
@click.option("--stack", required=True, help="The stack's name, such as ConnectionGuard.")
@aws_options
def notify_test(stack: str, region: str | None, profile: str | None) -> None:
    """Send a marked test incident through every channel of a deployed stack.

    Prints what each channel answered. The exit status is 1 where one of them failed, and 2 where
    the reporter could not be invoked.

    \b
    Examples:
      connection-guard notify-test --stack ConnectionGuard
      connection-guard notify-test --stack ConnectionGuard --profile production
    """
    try:
        session = aws_session(profile, region)
        reporter = required_output(stack_outputs(session, stack), StackOutput.REPORTER, stack)
        answer = session.client("lambda", config=ONCE).invoke(
            FunctionName=reporter, Payload=json.dumps(REQUEST).encode()
        )
        payload = answer["Payload"].read()
    except (BotoCoreError, ClientError) as error:
        raise UserMistakeError(f"{aws_problem(error)} (stack {stack})") from error
    has_failed = False
    for name, said, is_failure in _answers(payload, reporter):
        print(f"{name}: {said}")
        has_failed |= is_failure
    sys.exit(1 if has_failed else 0)


def _answers(payload: bytes, reporter: str) -> Iterator[tuple[str, str, bool]]:
    """Yield each channel, what it answered, and whether that is a failure."""
    try:
        answer: Any = json.loads(payload)
        channels = [
            (str(each["channel"]), each.get("answer"), each.get("error"))
            for each in answer["channels"]
        ]
    except (LookupError, TypeError, AttributeError, ValueError):
        said = payload.decode(errors="replace")
        yield (
            "reporter",
            f"failed: {shown(said, LONGEST_ANSWER)}; see the log /aws/lambda/{reporter}",
            True,
        )
        return
    for name, delivered, error in channels:
        if error is None:
            yield name, shown(str(delivered), LONGEST_ANSWER), False
        else:
            yield name, f"failed: {shown(str(error), LONGEST_ANSWER)}", True
