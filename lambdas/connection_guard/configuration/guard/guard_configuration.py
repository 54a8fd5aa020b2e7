"""The values of guard.toml, typed and checked: made by guard_file.py, used by every construct."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from connection_guard.configuration.max_connections.estimate import Estimate
from connection_guard.core.budget.service import DeclaredService
from connection_guard.core.deployment.reporter_settings import ApplicationOwner, Owner
from connection_guard.core.policy import Policy


class Architecture(StrEnum):
    """Lambda's own literals."""

    ARM64 = "arm64"
    X86_64 = "x86_64"


class Synthesizer(StrEnum):
    """How `cdk deploy` gets its permissions: from the roles of `cdk bootstrap`, or from the
    credentials that it is run with.
    """

    BOOTSTRAP_ROLES = "bootstrap-roles"
    CLI_CREDENTIALS = "cli-credentials"


class ProxyAuthentication(StrEnum):
    """How RDS Proxy itself logs in to the database. Its clients, including the guard, always log in
    with IAM tokens.

    IAM is end-to-end IAM authentication; SECRETS is a password from AWS Secrets Manager.
    """

    IAM = "iam"
    SECRETS = "secrets"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the stack is deployed, and how.

    `tags` are put on everything that is created. `kms_key` is the ARN of the customer's key for
    logs, incidents, evidence and the functions' environments, None where AWS's own keys are used.
    """

    stack_name: str
    account: str
    region: str
    architecture: Architecture
    synthesizer: Synthesizer
    tags: Mapping[str, str]
    kms_key: str | None


@dataclass(frozen=True, slots=True)
class Notifications:
    """Who is notified of incidents.

    `emails` are subscribed to the incidents topic, and `incident_accounts` are other AWS accounts
    that may subscribe to it. Each secret is the name of one in AWS Secrets
    Manager, never its value, and None where that channel is not notified; `event_bus` is a name or
    an ARN, None where no event is sent. `deployments` says whether incidents show those that
    CloudTrail knows.
    """

    emails: tuple[str, ...]
    slack_secret: str | None
    pagerduty_secret: str | None
    teams_secret: str | None
    event_bus: str | None
    deployments: bool
    incident_accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """Where in a VPC a function runs: private subnets, and their availability zones in the same
    order.
    """

    vpc: str
    subnets: tuple[str, ...]
    availability_zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExistingProxy:
    """An RDS Proxy that exists already. `resource_id` is the last part of its ARN, "prx-..."."""

    host: str
    port: int
    resource_id: str
    security_groups: tuple[str, ...]
    authentication: ProxyAuthentication
    role: str


@dataclass(frozen=True, slots=True)
class NewProxy:
    """An RDS Proxy for the stack to create.

    `secret` is the ARN of the secret that it logs in with, None with end-to-end IAM authentication;
    `secret_key` is the ARN of the customer-managed key that encrypts the secret, None where AWS's
    own does.
    """

    authentication: ProxyAuthentication
    role: str
    secret: str | None
    secret_key: str | None


@dataclass(frozen=True, slots=True)
class Database:
    """One guarded database.

    `identifier` is the DB instance's, or the Aurora cluster's where `is_cluster`: CloudWatch's
    metrics have it as a dimension. `resource_id` ("db-..." or "cluster-...") is the server's name
    in IAM. `role` logs in through the direct door. Alarms use `max_connections` until the first
    heartbeat. The percentages are of the usable connections. What is None of `owner`, `runbook`,
    `environment` and `slack_channel` is not shown, or is the default: see WatchedDatabase.
    """

    identifier: str
    is_cluster: bool
    database_name: str
    host: str
    port: int
    resource_id: str
    max_connections: Estimate
    network: Network
    security_groups: tuple[str, ...]
    proxy: ExistingProxy | NewProxy | None
    role: str
    policy_file: Path
    policy: Policy
    warning_percent: float
    critical_percent: float
    watch_from_percent: float
    owner: Owner | None
    runbook: str | None
    environment: str | None
    slack_channel: str | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """The whole of guard.toml."""

    target: Target
    notifications: Notifications
    databases: tuple[Database, ...]
    application_owners: tuple[ApplicationOwner, ...]
    services: tuple[DeclaredService, ...]
