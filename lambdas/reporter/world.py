"""Everything outside that the reporter asks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from connection_guard.adapters.aws.evidence_bucket import EvidenceBucket
from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.aws.lane_table import LaneTable
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances
from reporter.channel import Channel
from reporter.watched_databases import WatchedDatabases


class InvocationContext(Protocol):
    """What the reporter needs of Lambda's context object."""

    @property
    def aws_request_id(self) -> str:
        """Name the invocation, as no other is named."""
        ...

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may still run."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """`function_name` is this function's; `put_unreadable` keeps a message that cannot be read;
    `sleep` takes seconds.
    """

    function_name: str
    bucket: EvidenceBucket
    incidents: IncidentTable
    lanes: LaneTable
    databases: WatchedDatabases
    channels: Sequence[Channel]
    put_unreadable: Callable[[str], None]
    look: Callable[[WatchedDatabase, datetime], Circumstances]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
