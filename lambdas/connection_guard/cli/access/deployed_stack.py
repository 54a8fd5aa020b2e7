"""What a deployed stack is made of, by the outputs that CloudFormation has of it."""

from collections.abc import Mapping

import boto3

from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.deployment.stack_output import StackOutput


def stack_outputs(session: boto3.Session, stack: str) -> Mapping[str, str]:
    """Return the outputs of a stack by their names. Raise botocore's errors where it cannot be
    described.
    """
    [described] = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {
        str(each.get("OutputKey")): str(each.get("OutputValue"))
        for each in described.get("Outputs", [])
    }


def required_output(outputs: Mapping[str, str], output: StackOutput, stack: str) -> str:
    """Return an output that every stack of the guard has. Raise UserMistakeError where it lacks
    it.
    """
    if output not in outputs:
        raise UserMistakeError(
            f"stack {stack} has no output {output}: it is another stack than the guard's, or of an "
            "older version; name the guard's, or run `make deploy`"
        )
    return outputs[output]
