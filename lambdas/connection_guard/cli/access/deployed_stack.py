"""A deployed stack as verbs find it: by its outputs, and by the settings of its functions."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.adapters.aws.database_parameters import database_parameters
from connection_guard.cli.access.aws_session import aws_options, aws_problem, aws_session
from connection_guard.cli.access.guard_file_option import guard_file_option
from connection_guard.cli.terminal.mistakes import UserMistakeError, nearest
from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.deployment.stack_output import StackOutput, outputs_of_guards
from connection_guard.core.words import quoted, shown

STACK_HELP = (
    "A stack by its name, in place of guard.toml's; NAME/GUARD where it has several guards."
)


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """A stack of the guard's; `outputs` are by their names in the guard's construct.

    `configuration` is the guard.toml by which the stack was named, None where it was named itself.
    """

    name: str
    region: str
    session: boto3.Session
    outputs: Mapping[str, str]
    configuration: Configuration | None

    @property
    def reporter(self) -> str:
        """Return the name of the reporter. Raise UserMistakeError where the stack has none."""
        return self.output(StackOutput.REPORTER)

    def output(self, output: StackOutput) -> str:
        """Return an output that every stack of the guard has. Raise UserMistakeError where it lacks
        it.
        """
        if output not in self.outputs:
            raise UserMistakeError(
                f"stack {self.name} has no output {output}: it is another stack than the guard's, "
                "or of an older version; name the guard's, or run `make deploy`"
            )
        return self.outputs[output]

    def reporter_settings(self) -> ReporterSettings:
        """Return what the reporter was deployed with. Raise botocore's errors, UserMistakeError
        where its environment cannot be decrypted, and ConfigurationError where it is of another
        version.
        """
        return ReporterSettings.from_environment(self._environment(self.reporter))

    def responder_settings(self, settings: ReporterSettings, database: str) -> ResponderSettings:
        """Return what the responder of the database was deployed with. Raise as
        `reporter_settings`, StoreError, and UserMistakeError where the stack does not guard it.
        """
        watched = self.watched(settings)
        if database not in watched:
            raise UserMistakeError(
                f"stack {self.name} does not guard {quoted(database)}: {nearest(database, watched)}"
            )
        environment = self._environment(watched[database].function_name)
        return ResponderSettings.from_environment(environment)

    def watched(self, settings: ReporterSettings) -> dict[str, WatchedDatabase]:
        """Return what the reporter knows of the databases, by their identifiers; a parameter that
        is malformed is none, as it is to the reporter. Raise StoreError.
        """
        found = database_parameters(settings.databases_path, self.session)
        return {each.identifier: each for each in found if isinstance(each, WatchedDatabase)}

    def unwatched(self, database: str) -> WatchedDatabase:
        """Return what is known of a database that is no longer guarded, and of the stack itself."""
        return WatchedDatabase(database, is_cluster=False, function_name=self.reporter)

    def _environment(self, function: str) -> Mapping[str, str]:
        described = self.session.client("lambda").get_function_configuration(FunctionName=function)
        environment = described.get("Environment", {})
        if problem := environment.get("Error"):
            raise UserMistakeError(
                f"the environment of {function} cannot be decrypted: "
                f"{shown(str(problem.get('Message')))}"
            )
        variables: Mapping[str, str] = environment.get("Variables", {})
        return variables


def stack_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add what names a deployed stack; the verb gets one argument, `stack`."""

    @guard_file_option
    @click.option("--stack", "stack_name", help=STACK_HELP)
    @aws_options
    @functools.wraps(verb)
    def with_stack(
        *,
        guard_file: Path,
        stack_name: str | None,
        profile: str | None,
        region: str | None,
        **others: Any,
    ) -> None:
        verb(stack=named_stack(guard_file, stack_name, profile, region), **others)

    return with_stack


def named_stack(
    guard_file: Path, stack_name: str | None, profile: str | None, region: str | None
) -> DeployedStack:
    """Return the stack of that name, or that of a guard.toml. Raise UserMistakeError or
    ConfigurationError where there is none.
    """
    configuration = None if stack_name else read_configuration(guard_file)
    if configuration is not None:
        stack_name, region = (
            configuration.target.stack_name,
            region or configuration.target.region,
        )
    assert stack_name is not None
    return deployed_stack(aws_session(profile, region), stack_name, configuration)


def deployed_stack(
    session: boto3.Session, place: str, configuration: Configuration | None
) -> DeployedStack:
    """Return the stack of that name, or the guard in it, as in "Shop/Guard". Raise UserMistakeError
    where there is none, or not only one.
    """
    is_arn = place.startswith("arn:")
    name, slash, guard = (place, "", "") if is_arn else place.partition("/")
    try:
        client = session.client("cloudformation")
        [described] = client.describe_stacks(StackName=name)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise UserMistakeError(f"stack {name}: {aws_problem(error)}") from error
    _, outputs = guard_in(name, described.get("Outputs", []), guard if slash else None)
    return DeployedStack(name, client.meta.region_name, session, outputs, configuration)


def guard_in(
    stack: str, outputs: Sequence[Mapping[str, Any]], guard: str | None
) -> tuple[str, Mapping[str, str]]:
    """Return the guard's name in the stack and its outputs, none where the stack has no guard.
    Raise UserMistakeError where it has no guard of that name, or several and none is named.
    """
    guards = outputs_of_guards({each["OutputKey"]: each["OutputValue"] for each in outputs})
    if guard in guards:
        return guard, guards[guard]
    if guard is not None or len(guards) > 1:
        problem = "several guards" if guard is None else f"no guard {quoted(guard)}"
        names = ", ".join(f"--stack {stack}/{each}" for each in sorted(guards)) or "none"
        raise UserMistakeError(f"stack {stack} has {problem}; there is {names}")
    return next(iter(guards.items()), ("", {}))
