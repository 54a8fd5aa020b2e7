"""What AWS shows of a deployed guard during a drill: alarms, the incident, notifications."""

from collections.abc import Sequence
from typing import Any, Protocol

from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.aws.table import Table
from connection_guard.cli.access.deployed_stack import DeployedStack
from connection_guard.cli.drill.phases import AlarmSeen, Sighting


class Watch(Protocol):
    """What shows a guard's work from outside."""

    @property
    def channels(self) -> Sequence[str]:
        """Return the names of the channels that are to be notified."""

    @property
    def alarms(self) -> Sequence[str]:
        """Return the names of the alarms on usage."""

    @property
    def seconds_between_looks(self) -> float:
        """Return how long to wait before the next look."""

    def look(self) -> Sighting:
        """Return what is known now."""


class DeployedWatch:
    """Looks at one database of a deployed stack."""

    seconds_between_looks = 2.0

    def __init__(self, stack: DeployedStack, database: str) -> None:
        """Raise botocore's errors, StoreError, UserMistakeError and ConfigurationError."""
        settings = stack.reporter_settings()
        self._database = database
        self.alarms = tuple(stack.responder_settings(settings, database).alarm_tiers)
        self.channels = settings.channels
        self._cloudwatch: Any = stack.session.client("cloudwatch")
        self._incidents = IncidentTable(Table(settings.table, stack.session))

    def look(self) -> Sighting:
        """Return the alarms, the latest incident and what was notified of it.

        Raise botocore's errors and StoreError.
        """
        answer = self._cloudwatch.describe_alarms(AlarmNames=list(self.alarms))
        alarms = {
            alarm["AlarmName"]: AlarmSeen(
                alarm["StateValue"],
                alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"],
            )
            for alarm in answer["MetricAlarms"]
        }
        latest = self._incidents.latest(self._database)
        kept = self._incidents.kept((self._database, latest.id)) if latest else None
        return Sighting(alarms, latest, kept.channels if kept else None)
