"""The settings of the reporter: written at deployment, without a secret."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from connection_guard.errors import ConfigurationError

ENVIRONMENT_VARIABLE = "CONNECTION_GUARD_REPORTER_SETTINGS"

# In the root of the function's package: the environment, of 4 KB at most, would not hold many
# databases.
WATCHED_FILE = "watched.json"


@dataclass(frozen=True, slots=True)
class ReporterSettings:
    """Where reports go.

    `table` and `bucket` are names, `incidents_topic` is an ARN, `unreadable_queue` is the address
    of the queue for what cannot be read. Each secret is the name of one in AWS Secrets Manager,
    never its value, and None where that channel is not notified; `event_bus` is a name or an ARN,
    None where no event is sent. `dashboard` is the name of the stack's. `reads_deployments` says
    whether CloudTrail is asked for deployments.
    """

    table: str
    bucket: str
    incidents_topic: str
    unreadable_queue: str
    dashboard: str
    slack_secret: str | None = None
    pagerduty_secret: str | None = None
    teams_secret: str | None = None
    event_bus: str | None = None
    reads_deployments: bool = False

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels that are notified, as the incidents table has them."""
        notified = {
            "incidents": self.incidents_topic,
            "slack": self.slack_secret,
            "pagerduty": self.pagerduty_secret,
            "teams": self.teams_secret,
            "eventbridge": self.event_bus,
        }
        return tuple(name for name, place in notified.items() if place is not None)

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
class Owner:
    """Who is to act. `slack_id` is that of the user (U, W) or user group (S) whom Slack is to
    mention, None where nobody is to be mentioned.
    """

    name: str
    slack_id: str | None = None


@dataclass(frozen=True, slots=True)
class WatchedDatabase:
    """A guarded database, as the reporter knows it. `function_name` is its responder's.

    `runbook` is an address, `environment` a word such as production. `slack_channel` is where its
    incidents are posted, None for the secret's.
    """

    identifier: str
    is_cluster: bool
    function_name: str
    owner: Owner | None = None
    runbook: str | None = None
    environment: str | None = None
    slack_channel: str | None = None

    @property
    def log_group(self) -> str:
        """The log group of its responder."""
        return f"/aws/lambda/{self.function_name}"


@dataclass(frozen=True, slots=True)
class ApplicationOwner:
    """Who owns the applications whose application_name matches `pattern`, a glob; the first match
    counts.
    """

    pattern: str
    owner: Owner


@dataclass(frozen=True, slots=True)
class Watched:
    """Everything that the reporter knows of guard.toml's databases."""

    databases: tuple[WatchedDatabase, ...]
    application_owners: tuple[ApplicationOwner, ...] = ()


def write_watched(watched: Watched) -> str:
    """Return the content of WATCHED_FILE."""
    return json.dumps(asdict(watched), indent=1)


def read_watched(written: str) -> Watched:
    """Return what `write_watched` wrote; raise ConfigurationError where it is malformed."""
    try:
        fields = json.loads(written)
        return Watched(
            tuple(_database(**each) for each in fields["databases"]),
            tuple(_application_owner(**each) for each in fields["application_owners"]),
        )
    except (KeyError, ValueError, TypeError) as wrong:
        raise ConfigurationError(
            f"{WATCHED_FILE}: not what write_watched writes ({wrong})"
        ) from wrong


def _database(*, owner: Mapping[str, str] | None = None, **fields: Any) -> WatchedDatabase:
    return WatchedDatabase(**fields, owner=Owner(**owner) if owner else None)


def _application_owner(*, pattern: str, owner: Mapping[str, str]) -> ApplicationOwner:
    return ApplicationOwner(pattern, Owner(**owner))
