"""The settings of the reporter: written at deployment, without a secret."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from connection_guard.errors import ConfigurationError

ENVIRONMENT_VARIABLE = "CONNECTION_GUARD_REPORTER_SETTINGS"

# In the root of the function's package: the environment, of 4 KB at most, would not hold many
# databases.
DATABASES_FILE = "databases.json"


@dataclass(frozen=True, slots=True)
class ReporterSettings:
    """Where reports go.

    `table` and `bucket` are names, `incidents_topic` is an ARN. `slack_secret` is the name of a
    secret in AWS Secrets Manager, never its value, and None where Slack is not notified.
    `dashboard` is the name of the stack's.
    """

    table: str
    bucket: str
    incidents_topic: str
    slack_secret: str | None
    dashboard: str

    def to_environment(self) -> dict[str, str]:
        """Return the environment variable for the function."""
        return {ENVIRONMENT_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ReporterSettings":
        """Return what `to_environment` wrote.

        Raises ConfigurationError where it is missing or malformed.
        """
        try:
            return cls(**json.loads(environment[ENVIRONMENT_VARIABLE]))
        except KeyError as missing:
            raise ConfigurationError(
                f"environment variable {ENVIRONMENT_VARIABLE}: {missing} is missing"
            ) from missing
        except (ValueError, TypeError) as wrong:
            problem = f"not what ReporterSettings.to_environment writes ({wrong})"
            raise ConfigurationError(
                f"environment variable {ENVIRONMENT_VARIABLE}: {problem}"
            ) from wrong


@dataclass(frozen=True, slots=True)
class WatchedDatabase:
    """A guarded database, as the reporter knows it. `function_name` is its responder's."""

    identifier: str
    is_cluster: bool
    function_name: str

    @property
    def log_group(self) -> str:
        """The log group of its responder."""
        return f"/aws/lambda/{self.function_name}"


def write_databases(databases: Sequence[WatchedDatabase]) -> str:
    """Return the content of DATABASES_FILE."""
    return json.dumps([asdict(database) for database in databases], indent=1)


def read_databases(written: str) -> tuple[WatchedDatabase, ...]:
    """Return what `write_databases` wrote; raise ConfigurationError where it is malformed."""
    try:
        return tuple(WatchedDatabase(**each) for each in json.loads(written))
    except (ValueError, TypeError) as wrong:
        raise ConfigurationError(
            f"{DATABASES_FILE}: not what write_databases writes ({wrong})"
        ) from wrong
