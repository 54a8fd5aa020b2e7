"""One run of the responder: look, look again while connections may run out, report."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.aws.metric_log import write_metrics
from connection_guard.adapters.postgresql.doors import Doors
from connection_guard.adapters.postgresql.guard_session import Connect
from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.configuration.policy.consistency import target_not_below_warning
from connection_guard.core.database.guard_faults import faults_of
from connection_guard.core.decision.heartbeat_watch import (
    WATCH_TIMES,
    WatchTimes,
    keeps_looking,
    until_next_look,
)
from connection_guard.core.deployment.events import Heartbeat, read_event
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.diagnosis.case import DIAGNOSIS_TIMES, DiagnosisTimes
from connection_guard.core.policy import Policy
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.report import write_report
from connection_guard.core.report.run import Run
from connection_guard.errors import ConfigurationError
from responder.entrance import Entrance
from responder.look import Looks
from responder.timer import Invocation, Timer

logger = Logger(service="connection-guard")


class Responder:
    """The Lambda handler: an event in, a Report out. One per process: keeps its seat between runs.

    Raises ConfigurationError where policy and settings contradict each other.
    """

    def __init__(
        self,
        settings: ResponderSettings,
        policy: Policy,
        connect: Connect,
        diagnosis_times: DiagnosisTimes = DIAGNOSIS_TIMES,
        watch_times: WatchTimes = WATCH_TIMES,
    ) -> None:
        if mistake := target_not_below_warning(policy, settings.warning_percent):
            raise ConfigurationError(f"policy.toml: {mistake}")
        self._settings = settings
        self._limits = policy.limits
        self._watch_times = watch_times
        self._doors = Doors(settings, connect)
        self._entrance = Entrance(self._doors, settings.roles, policy.limits)
        self._looks = Looks(settings, policy, self._doors, self._entrance, diagnosis_times)

    def __call__(self, event: object, invocation: Invocation) -> dict[str, Any]:
        """Return the Report of the run.

        Raises ForeignEventError for an event that is not this database's, and nothing else.
        """
        logger.append_keys(database=self._settings.database)  # the log is that of all databases
        timer = Timer.of(invocation)
        run = self._looks.begin(read_event(event, self._settings), datetime.now(UTC))
        run = self._looks.look(run, self._entrance.enter, timer)
        if isinstance(run.event, Heartbeat):
            run = self._watch(run, timer)
        if not self._entrance.engagement.is_pressed:
            self._doors.settle()
        run = self._completed(run, timer)
        write_metrics(run)
        report = write_report(run, statement)
        logger.info(report["headline"], kind=run.kind, event_key=run.event.key, looks=run.looks)
        return report

    def _watch(self, run: Run, timer: Timer) -> Run:
        """Look again, without the turn, until there is something to report or the time is up."""
        entrance, first = self._entrance, run.measurement
        if first is None or not keeps_looking(
            first, entrance.engagement, self._settings.watch_from_percent
        ):
            return run
        latest = timer.latest_start(self._limits)
        while run.kind is Kind.HEARTBEAT and (
            pause := until_next_look(entrance.engagement, self._watch_times)
        ):
            if time.monotonic() + pause.total_seconds() > latest:
                break
            if run.looks == 1:
                # So that alarms have the minute's figures in time.
                write_metrics(self._completed(run, timer))
            time.sleep(pause.total_seconds())
            run = self._looks.look(run, entrance.keep_looking, timer)
        return run

    def _completed(self, run: Run, timer: Timer) -> Run:
        """Return the run with what its looks have in common."""
        return replace(
            run,
            doors=tuple(self._doors.attempts),
            reconnected=self._doors.reconnected,
            seat_held=self._doors.holds_seat,
            engaged=self._entrance.engagement.tier is not None,
            faults=faults_of(
                None if run.kind is Kind.LOCKED_OUT else run.latest,
                tuple(self._doors.attempts),
                self._doors.direct,
                self._settings.critical_percent,
            ),
            seconds=timer.seconds,
        )
