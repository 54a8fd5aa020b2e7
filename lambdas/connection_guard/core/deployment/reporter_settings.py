"""The settings of the reporter: written at deployment, without a secret."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from connection_guard.errors import ConfigurationError

ENVIRONMENT_VARIABLE = "CONNECTION_GUARD_REPORTER_SETTINGS"

# In the root of the function's package: the environment holds 4 KB at most.
APPLICATION_OWNERS_FILE = "application_owners.json"


@dataclass(frozen=True, slots=True)
class ReporterSettings:
    """Where reports go.

    `table` and `bucket` are names, `incidents_topic` is an ARN, `unreadable_queue` is the address
    of the queue for what cannot be read. Below `databases_path`, Systems Manager has a parameter
    for each database; `log_group` is the name of the one that all responders write to. Each secret
    is the name of one in AWS Secrets Manager, never its value, and None where that channel is not
    notified; `event_bus` is a name or an ARN, None where no event is sent. `dashboard` is the name
    of the stack's. `reads_deployments` says whether CloudTrail is asked for deployments.
    """

    table: str
    bucket: str
    incidents_topic: str
    unreadable_queue: str
    dashboard: str
    databases_path: str
    log_group: str
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
        """Return what `to_environment` wrote. Where a parameter of a template was left empty, the
        setting is None.

        Raises ConfigurationError where it is missing or malformed.
        """
        try:
            written: dict[str, Any] = json.loads(environment[ENVIRONMENT_VARIABLE])
            given: dict[str, Any] = {name: each for name, each in written.items() if each != ""}
            return cls(**given)
        except KeyError as missing:
            raise ConfigurationError(
                f"environment variable {ENVIRONMENT_VARIABLE}: {missing} is missing"
            ) from missing
        except (ValueError, TypeError, AttributeError) as wrong:
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


@dataclass(frozen=True, slots=True)
class ApplicationOwner:
    """Who owns the applications whose application_name matches `pattern`, a glob; the first match
    counts.
    """

    pattern: str
    owner: Owner


def databases_path(stack_name: str) -> str:
    """Return below which path the stack's databases are."""
    return f"{_folder(stack_name)}/databases"


def responders_log_group(stack_name: str) -> str:
    """Return the name of the log group that all responders of the stack write to."""
    return _folder(stack_name)


def write_watched_database(database: WatchedDatabase) -> dict[str, Any]:
    """Return the fields of the database's parameter, which are to be written as JSON."""
    return {name: value for name, value in asdict(database).items() if value is not None}


def read_watched_database(parameter: str, written: str) -> WatchedDatabase:
    """Return the database of such a parameter; unknown fields are ignored, since the parameter may
    be of a newer version than the reporter.

    Raises ConfigurationError, which names the parameter, where it is malformed.
    """
    try:
        known = _known_fields(WatchedDatabase, json.loads(written))
        if "owner" in known:
            known["owner"] = Owner(**_texts(_known_fields(Owner, known["owner"])))
        _texts({name: known[name] for name in known.keys() - {"is_cluster", "owner"}})
        return WatchedDatabase(**known)
    except (ValueError, TypeError, AttributeError, RecursionError) as wrong:
        raise ConfigurationError(
            f"parameter {parameter}: not what the stack writes ({type(wrong).__name__}: {wrong}); "
            "deploy the stack again"
        ) from wrong


def write_application_owners(owners: Iterable[ApplicationOwner]) -> str:
    """Return the content of APPLICATION_OWNERS_FILE."""
    return json.dumps([asdict(each) for each in owners], indent=1)


def parse_application_owners(written: str) -> tuple[ApplicationOwner, ...]:
    """Return what `write_application_owners` wrote; raise ConfigurationError where it is
    malformed.
    """
    try:
        return tuple(
            ApplicationOwner(each["pattern"], Owner(**each["owner"]))
            for each in json.loads(written)
        )
    except (KeyError, ValueError, TypeError) as wrong:
        raise ConfigurationError(
            f"{APPLICATION_OWNERS_FILE}: not what write_application_owners writes ({wrong})"
        ) from wrong


def _folder(stack_name: str) -> str:
    return f"/connection-guard/{stack_name}"


def _known_fields(of: type, written: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(of)}
    return {each: value for each, value in written.items() if each in names and value is not None}


def _texts(written: dict[str, Any]) -> dict[str, str]:
    for name, value in written.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} is not text")
    return written
