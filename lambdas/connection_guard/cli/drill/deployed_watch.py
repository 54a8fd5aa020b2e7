"""What AWS shows of a deployed guard during a drill: alarms, the incident, notifications."""

from collections.abc import Sequence
from typing import Any, Protocol

from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.aws.table import Table
from connection_guard.cli.access.deployed_stack import DeployedStack
from connection_guard.cli.drill.phases import AlarmSeen, Sighting, usage_alarm_names
from connection_guard.configuration.guard.guard_configuration import Notifications
from connection_guard.core.deployment.stack_output import StackOutput


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

    def __init__(self, stack: DeployedStack, database: str, notifications: Notifications) -> None:
        self._database = database
        self.alarms = tuple(usage_alarm_names(stack.name, database))
        self._cloudwatch: Any = stack.session.client("cloudwatch")
        self._incidents = IncidentTable(
            Table(stack.output(StackOutput.INCIDENTS_TABLE), stack.session)
        )
        by_channel = {
            "slack": notifications.slack_secret,
            "pagerduty": notifications.pagerduty_secret,
            "teams": notifications.teams_secret,
            "eventbridge": notifications.event_bus,
        }
        self.channels = ("incidents", *(name for name, given in by_channel.items() if given))

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
