"""Everything outside that the reporter asks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from connection_guard.adapters.aws.store import Store
from connection_guard.adapters.channels.slack_secret import SlackSecret
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances


class Sns(Protocol):
    """What is needed of boto3's client."""

    def publish(self, **message: Any) -> Mapping[str, Any]:
        """Publish a message. Raises what boto3 raises."""
        ...


class InvocationContext(Protocol):
    """What the reporter needs of Lambda's context object."""

    @property
    def aws_request_id(self) -> str:
        """Name the invocation: the same for each of Lambda's tries, another where SNS delivers
        twice.
        """
        ...


@dataclass(frozen=True, slots=True)
class World:
    """`slack_secret` is None where Slack is not notified."""

    store: Store
    sns: Sns
    slack_secret: Callable[[], SlackSecret] | None
    look: Callable[[WatchedDatabase, datetime], Circumstances]
    now: Callable[[], datetime]
