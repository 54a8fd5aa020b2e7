"""What AWS shows of a database, its proxy, and the stack that guards it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from connection_guard.cli.doctor.facts.check import Unknown
from connection_guard.core.deployment.reporter_settings import ReporterSettings
from connection_guard.core.deployment.responder_settings import ResponderSettings


@dataclass(frozen=True, slots=True)
class ServerInRds:
    """The DB instance or cluster, as RDS describes it. `pending_reboot` are the parameter groups
    that wait for one.
    """

    resource_id: str
    status: str
    has_iam_authentication: bool
    pending_reboot: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProxyInRds:
    """An RDS Proxy. The timeout is in seconds, the percentage of max_connections."""

    name: str
    endpoint: str
    status: str
    borrow_timeout: int
    max_connections_percent: int


@dataclass(frozen=True, slots=True)
class DescribedStack:
    """A stack of the guard; `outputs` are by their names in the guard's construct, `resources` the
    physical IDs of the guard's by CloudFormation's type.
    """

    status: str
    outputs: Mapping[str, str]
    resources: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class DeployedFunction:
    """A Lambda function; `reason` says why it is in its state. `settings` are None where they
    cannot be read: another version wrote them.
    """

    name: str
    state: str
    last_update: str
    reason: str
    settings: ResponderSettings | ReporterSettings | None
    log_group: str


@dataclass(frozen=True, slots=True)
class DeployedAlarm:
    """A CloudWatch alarm."""

    name: str
    state: str
    has_actions: bool
    threshold: float | None


@dataclass(frozen=True, slots=True)
class DeployedTopic:
    """An SNS topic with the endpoints of its subscriptions, by whether they are confirmed."""

    arn: str
    confirmed: tuple[str, ...]
    pending: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """A queue for what could not be delivered, and how many messages it holds."""

    url: str
    messages: int


@dataclass(frozen=True, slots=True)
class ChannelAnswer:
    """What is known of a channel that is notified with a secret.

    `answer` is the service's own, None where only a message could show whether it takes one.
    `problem` is what is wrong with the secret, `unknown` why it was not read; both are None where
    it is as it has to be.
    """

    channel: str
    secret: str
    answer: str | None = None
    problem: str | None = None
    unknown: str | None = None


_LATE = Unknown("AWS did not answer in time")


@dataclass(slots=True)
class AwsFacts:
    """All of it. What is None is not there: no proxy, no stack yet, no datapoint of the heartbeat.

    A thread fills it in, so that what came in time is known although the rest is late.
    """

    account: str | Unknown = _LATE
    server: ServerInRds | Unknown | None = _LATE
    proxy: ProxyInRds | Unknown | None = _LATE
    stack: DescribedStack | Unknown | None = _LATE
    responder: DeployedFunction | Unknown | None = _LATE
    reporter: DeployedFunction | Unknown | None = _LATE
    heartbeat: datetime | Unknown | None = _LATE
    alarms: tuple[DeployedAlarm, ...] | Unknown = _LATE
    topics: tuple[DeployedTopic, ...] | Unknown = _LATE
    queues: tuple[DeadLetterCount, ...] | Unknown = _LATE
    channels: tuple[ChannelAnswer, ...] | Unknown = _LATE
