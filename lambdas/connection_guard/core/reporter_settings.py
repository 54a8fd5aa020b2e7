"""What the reporter is told at deploy: spelled here once, written by infra, read by the function. Holds no secret."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from connection_guard.errors import ConfigurationError

ENVIRONMENT_VARIABLE = "CONNECTION_GUARD_REPORTER_SETTINGS"


@dataclass(frozen=True, slots=True)
class ReporterSettings:
    """Where reports go.

    `table` and `bucket` are names, `incidents_topic` is an ARN. `slack_secret` is the name of a secret in AWS Secrets
    Manager, never its value, and None where Slack is not told.
    """

    table: str
    bucket: str
    incidents_topic: str
    slack_secret: str | None

    def to_environment(self) -> dict[str, str]:
        """The environment variable that infra gives the function."""
        return {ENVIRONMENT_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ReporterSettings":
        """Reads what `to_environment` wrote; raises ConfigurationError where it is missing or malformed."""
        try:
            return cls(**json.loads(environment[ENVIRONMENT_VARIABLE]))
        except KeyError as missing:
            raise ConfigurationError(f"environment variable {ENVIRONMENT_VARIABLE}: {missing} is missing") from None
        except (ValueError, TypeError) as wrong:
            problem = f"not what ReporterSettings.to_environment writes ({wrong})"
            raise ConfigurationError(f"environment variable {ENVIRONMENT_VARIABLE}: {problem}") from None
