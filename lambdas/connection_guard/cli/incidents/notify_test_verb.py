"""The verb `notify-test`: does a test incident get through every channel of a deployed stack?"""

import json
import sys
from typing import Any

import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from connection_guard.cli.access.aws_session import aws_problem
from connection_guard.cli.access.deployed_stack import DeployedStack, stack_options
from connection_guard.cli.terminal.mistakes import FINDING_STATUS, UserMistakeError
from connection_guard.cli.terminal.output import json_option, write
from connection_guard.core.words import shown

REQUEST = {"notify_test": True}
LONGEST_ANSWER = 1000

# The reporter may take a minute. A second try would notify people twice.
ONCE = Config(connect_timeout=10, read_timeout=90, retries={"total_max_attempts": 1})


@click.command("notify-test")
@stack_options
@json_option
def notify_test(stack: DeployedStack) -> None:
    """Send a marked test incident through every channel of a deployed stack.

    Shows what each channel answered. The exit status is 1 where one of them failed, and 2 where the
    reporter could not be invoked.

    \b
    Examples:
      connection-guard notify-test
      connection-guard notify-test --stack ConnectionGuard --profile production
    """
    reporter = stack.reporter
    try:
        answer = stack.session.client("lambda", config=ONCE).invoke(
            FunctionName=reporter, Payload=json.dumps(REQUEST).encode()
        )
        payload = answer["Payload"].read()
    except (BotoCoreError, ClientError) as error:
        raise UserMistakeError(f"stack {stack.name}: {aws_problem(error)}") from error
    channels = _channels_in(payload, reporter)
    lines = [
        Text(f"{each['channel']}: {'failed: ' if each['is_failure'] else ''}{each['answer']}")
        for each in channels
    ]
    write({"stack": stack.name, "channels": channels}, *lines)
    if any(each["is_failure"] for each in channels):
        sys.exit(FINDING_STATUS)


def _channels_in(payload: bytes, reporter: str) -> list[dict[str, Any]]:
    """Return each channel, what it answered, and whether that is a failure."""
    try:
        answer: Any = json.loads(payload)
        return [
            {
                "channel": str(each["channel"]),
                "answer": shown(str(each.get("error") or each.get("answer")), LONGEST_ANSWER),
                "is_failure": each.get("error") is not None,
            }
            for each in answer["channels"]
        ]
    except (LookupError, TypeError, AttributeError, ValueError):
        said = shown(payload.decode(errors="replace"), LONGEST_ANSWER)
        problem = f"{said}; see the log /aws/lambda/{reporter}"
        return [{"channel": "reporter", "answer": problem, "is_failure": True}]
