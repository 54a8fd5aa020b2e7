"""A deployed stack as verbs find it: by its outputs, and by the settings of its reporter."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.adapters.aws.database_parameters import database_parameters
from connection_guard.cli.access.aws_session import aws_options, aws_problem, aws_session
from connection_guard.cli.access.guard_file_option import guard_file_option
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.deployment.stack_output import StackOutput, guarded_by
from connection_guard.core.words import shown


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """A stack of the guard's.

    `outputs` are by their names, `responders` the functions by the databases that they guard.
    `configuration` is the guard.toml by which the stack was named, None where it was named itself.
    """

    name: str
    region: str
    session: boto3.Session
    outputs: Mapping[str, str]
    responders: Mapping[str, str]
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
        described = self.session.client("lambda").get_function_configuration(
            FunctionName=self.reporter
        )
        environment = described.get("Environment", {})
        if problem := environment.get("Error"):
            raise UserMistakeError(
                f"the environment of {self.reporter} cannot be decrypted: "
                f"{shown(str(problem.get('Message')))}"
            )
        return ReporterSettings.from_environment(environment.get("Variables", {}))

    def watched(self, settings: ReporterSettings) -> dict[str, WatchedDatabase]:
        """Return what the reporter knows of the databases, by their identifiers; a parameter that
        is malformed is none, as it is to the reporter. Raise StoreError.
        """
        found = database_parameters(settings.databases_path, self.session)
        return {each.identifier: each for each in found if isinstance(each, WatchedDatabase)}

    def unwatched(self, database: str) -> WatchedDatabase:
        """Return what is known of a database that is no longer guarded, and of the stack itself."""
        return WatchedDatabase(database, is_cluster=False, function_name=self.reporter)


def stack_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add what names a deployed stack; the verb gets one argument, `stack`."""

    @guard_file_option
    @click.option("--stack", "stack_name", help="A stack by its name, in place of guard.toml's.")
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
    session: boto3.Session, name: str, configuration: Configuration | None
) -> DeployedStack:
    """Return the stack of that name. Raise UserMistakeError where it cannot be described."""
    try:
        client = session.client("cloudformation")
        [described] = client.describe_stacks(StackName=name)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise UserMistakeError(f"stack {name}: {aws_problem(error)}") from error
    outputs: list[Mapping[str, Any]] = list(described.get("Outputs", []))
    guarding = {guarded_by(each.get("Description", "")): each["OutputValue"] for each in outputs}
    return DeployedStack(
        name,
        client.meta.region_name,
        session,
        {each["OutputKey"]: each["OutputValue"] for each in outputs},
        {database: str(value) for database, value in guarding.items() if database is not None},
        configuration,
    )
