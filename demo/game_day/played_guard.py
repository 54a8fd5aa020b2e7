"""A guard at work on this machine: the real responder and reporter, and what AWS does around them,
played. A minute takes a second here.
"""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812

from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.cli.drill.phases import AlarmSeen, Sighting
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.deployment.alarm_names import USAGE_TIERS, database_alarm_name
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.policy import Policy
from connection_guard.core.report.kind import Kind
from connection_guard.errors import ConnectionGuardError
from demo.database import USABLE, connect_observer, sessions_seen_by
from demo.local_reporter import LocalReporter
from demo.local_responder import alarm_event, lambda_context, local_responder
from doubles.local_process import DoubleError
from doubles.postgresql.embedded_postgres import EmbeddedPostgres

# As demo/alarm.json names it.
DATABASE = "shop-production"
ROLE = "drill"
WARNING_PERCENT = 75.0
CRITICAL_PERCENT = 90.0
SECONDS_PER_MINUTE = 1.0
STACK = "ConnectionGuard"
CRITICAL_ALARM = database_alarm_name(STACK, DATABASE, "critical")


def observer_of_drill(postgres: EmbeddedPostgres) -> Connection:
    """Return the demo's observer of a database that also has the drill's role."""
    observer = connect_observer(postgres)
    observer.cursor().execute(f"CREATE ROLE {ROLE} LOGIN IN ROLE pg_monitor")
    return observer


class PlayedGuard(threading.Thread):
    """What AWS does around a responder and a reporter: a heartbeat per played minute, the alarms
    where usage is high even after that, and the delivery of reports. It is also what shows a drill
    the guard's work.
    """

    channels = ("incidents", "slack")
    alarms = tuple(database_alarm_name(STACK, DATABASE, what) for what in USAGE_TIERS)
    seconds_between_looks = 0.2

    def __init__(
        self,
        postgres: EmbeddedPostgres,
        observer: Connection,
        policy: Policy,
        incidents: IncidentTable | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.reporter = LocalReporter(DATABASE, incidents)
        self._seen = {name: AlarmSeen(AlarmState.OK, datetime.now(UTC)) for name in self.alarms}
        self.problem: Exception | None = None
        self._observer = observer
        _event, alarm = alarm_event(AlarmState.ALARM)
        self._responder = local_responder(DATABASE, postgres, policy, alarm["AlarmArn"])
        self._stopped = threading.Event()

    def run(self) -> None:
        """Play minutes until `stop`."""
        try:
            while not self._stopped.wait(SECONDS_PER_MINUTE):
                self._minute()
        except (ConnectionGuardError, DoubleError, psycopg2.Error) as error:
            self.problem = error

    def stop(self) -> None:
        """End with the minute that is being played."""
        self._stopped.set()
        self.join()

    def look(self) -> Sighting:
        """Return what CloudWatch and the table of incidents show. Raise DemoError where the guard
        could not go on.
        """
        if self.problem is not None:
            raise UserMistakeError(f"the local guard cannot go on: {self.problem}")
        incident = self.reporter.incidents_table.latest(DATABASE)
        kept = incident and self.reporter.incidents_table.kept((DATABASE, incident.id))
        return Sighting(dict(self._seen), incident, kept.channels if kept else None)

    def alarm_changed(self, name: str, state: AlarmState) -> None:
        """Note an alarm's new state."""
        self._seen[name] = AlarmSeen(state, datetime.now(UTC))

    def _minute(self) -> None:
        self._invoke(_heartbeat())
        percent = 100 * len(sessions_seen_by(self._observer)) / USABLE
        limits = (WARNING_PERCENT, CRITICAL_PERCENT, CRITICAL_PERCENT)
        states = {
            name: AlarmState.ALARM if percent >= limit else AlarmState.OK
            for name, limit in zip(self.alarms, limits, strict=True)
        }
        changed = [name for name, state in states.items() if state != self._seen[name].state]
        for name in changed:
            self.alarm_changed(name, states[name])
        for name in changed:
            if name == CRITICAL_ALARM:
                self._invoke(alarm_event(states[name])[0])

    def _invoke(self, event: Mapping[str, Any]) -> None:
        report = self._responder(event, lambda_context())
        if report["kind"] != Kind.HEARTBEAT:
            self.reporter.deliver(event, report)


def _heartbeat() -> dict[str, Any]:
    return {"detail-type": "Scheduled Event", "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
