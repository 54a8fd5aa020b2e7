"""One run of the responder: enter, choose the course, carry out a round, conclude, report."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.aws.metric_log import write_metrics
from connection_guard.adapters.postgresql.doors import Doors
from connection_guard.adapters.postgresql.grants import lacking, missing_grants, shortcomings
from connection_guard.adapters.postgresql.guard_session import Connect, GuardSession
from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.configuration.policy.consistency import target_not_below_warning
from connection_guard.core.database.faults import faults_of
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.database.trend import logins_lately, minutes_to_full, with_look
from connection_guard.core.decision.course import NextStep, begun, concluded, course_of, planned
from connection_guard.core.decision.engagement import with_events
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.decision.round import Round
from connection_guard.core.deployment.events import (
    AlarmNotification,
    AlarmState,
    Event,
    Heartbeat,
    read_event,
    to_be_served,
)
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.diagnosis.case import DIAGNOSIS_TIMES, DiagnosisTimes
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose_round
from connection_guard.core.policy import Policy
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.report import write_report
from connection_guard.core.report.run import Run
from connection_guard.errors import ConfigurationError, DatabaseError, Refusal
from responder.entrance import Entrance
from responder.rounds import Rounds
from responder.timer import Invocation, Timer

# Heartbeats at these minutes of the hour open the second door, so that it is not first tried in the
# outage.
MINUTES_BETWEEN_SECOND_DOOR_TESTS = 15

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
    ) -> None:
        if mistake := target_not_below_warning(policy, settings.warning_percent):
            raise ConfigurationError(f"policy.toml: {mistake}")
        self._settings = settings
        self._policy = policy
        self._diagnosis_times = diagnosis_times
        self._doors = Doors(settings, connect)
        self._entrance = Entrance(self._doors, settings.roles, policy.limits)
        self._rounds = Rounds(
            self._entrance,
            settings.proxy,
            settings.roles,
            policy.limits,
            diagnosis_times.storm_window,
        )
        # Alarms to be served: this run's, and those that came while the guard could not get in or
        # did not get its turn.
        self._alarms: list[AlarmNotification] = []
        # Whether people may have been notified of a shortage that is not known to have ended: a
        # process that died knows nothing.
        self._recovery_is_news = True
        self._looks: tuple[Measurement, ...] = ()

    def __call__(self, event: object, invocation: Invocation) -> dict[str, Any]:
        """Return the Report of the run.

        Raises ForeignEventError for an event that is not this database's, and nothing else.
        """
        timer = Timer.of(invocation)
        try:
            run = self._serve(read_event(event, self._settings), datetime.now(UTC), timer)
            unsaved = self._entrance.save(run.latest, timer)
        finally:
            self._entrance.end_turn(timer)
        if not self._entrance.engagement.is_pressed:
            self._doors.settle()
        problems = run.problems
        if unsaved is not None and unsaved not in problems:
            problems = (*problems, unsaved)
        run = replace(
            run,
            doors=tuple(self._doors.attempts),
            reconnected=self._doors.reconnected,
            seat_held=self._doors.holds_seat,
            engaged=self._entrance.engagement.tier is not None,
            problems=problems,
            seconds=timer.seconds,
        )
        run = replace(
            run,
            faults=faults_of(
                None if run.kind is Kind.LOCKED_OUT else run.latest,
                run.doors,
                self._doors.direct,
                self._settings.critical_percent,
            ),
        )
        write_metrics(run)
        report = write_report(run, statement)
        logger.info(report["headline"], kind=run.kind, event_key=run.event.key)
        return report

    def _serve(self, event: Event, received_at: datetime, timer: Timer) -> Run:
        self._alarms = to_be_served(self._alarms, event, received_at)
        # An alarm's end is its end however late it comes: the incident waits for it.
        fires = isinstance(event, AlarmNotification) and event.state is AlarmState.ALARM
        run = Run(
            kind=Kind.HEARTBEAT,
            database=self._settings.database,
            event=event,
            received_at=received_at,
            is_stale=fires and event not in self._alarms,
            target_percent=self._policy.limits.target_percent,
        )
        try:
            session, measurement = self._entrance.enter(self._alarms, timer)
        except DatabaseError:
            return self._locked_out(run)
        self._looks = with_look(self._looks, measurement)
        run = replace(run, measurement=measurement, minutes_to_full=minutes_to_full(self._looks))
        return self._follow_course(run, session, measurement, timer)

    def _locked_out(self, run: Run) -> Run:
        self._recovery_is_news = True
        is_reader = self._doors.attempts[-1].refusal is Refusal.NOT_THE_WRITER
        code = ReasonCode.NOT_THE_WRITER if is_reader else ReasonCode.NO_DOOR_OPENED
        tier = with_events(self._entrance.engagement, self._alarms).tier
        return replace(run, tier=tier, kind=Kind.LOCKED_OUT, escalation=Reason(code))

    def _follow_course(
        self, run: Run, session: GuardSession, measurement: Measurement, timer: Timer
    ) -> Run:
        engagement, alarms = self._entrance.engagement, self._alarms
        self._alarms = [] if self._entrance.has_turn else alarms
        if grants := missing_grants(measurement):
            engaged = self._entrance.engagement = with_events(engagement, alarms)
            self._recovery_is_news = True
            is_duplicate = run.event.key in engagement.seen
            return _lacking(replace(run, is_duplicate=is_duplicate, tier=engaged.tier), grants)
        course = course_of(
            run.event,
            measurement,
            engagement,
            alarms,
            self._policy,
            warning_percent=self._settings.warning_percent,
            critical_percent=self._settings.critical_percent,
            is_stale=run.is_stale,
            recovery_is_news=self._recovery_is_news,
        )
        self._entrance.engagement = course.engagement
        self._recovery_is_news = course.recovery_is_news
        run = replace(
            run,
            kind=Kind.OBSERVATION if course.has_recovered else Kind.HEARTBEAT,
            is_duplicate=course.is_duplicate,
            tier=course.tier,
            recovered=course.has_recovered,
        )
        if course.step is NextStep.LOOK:
            return self._look_and_act(run, session, measurement, timer)
        if course.step is NextStep.REST:
            return run
        return self._check_second_door(run, measurement, timer)

    def _check_second_door(self, run: Run, measurement: Measurement, timer: Timer) -> Run:
        """Check in quiet times whether the direct door opens, as a role that can do the work, also
        on a full database.
        """
        if self._settings.proxy is not None:
            event = run.event
            is_due = isinstance(event, Heartbeat) and (
                self._doors.direct.needs_test
                or event.at.minute % MINUTES_BETWEEN_SECOND_DOOR_TESTS == 0
            )
            behind_door = self._doors.try_second_door(timer.deadline) if is_due else None
            if behind_door is None:
                return run
            measurement = behind_door
        problems = tuple(
            Reason(ReasonCode.SECOND_DOOR_SHUT, {"remedy": remedy})
            for remedy in shortcomings(measurement)
        )
        run = replace(run, problems=problems)
        grants = missing_grants(measurement)
        return _lacking(run, grants) if grants else run

    def _look_and_act(
        self, run: Run, session: GuardSession, measurement: Measurement, timer: Timer
    ) -> Run:
        """Find out why there are so many sessions, end those that may go, and look again."""
        entrance = self._entrance
        try:
            session, before = self._rounds.gather(session, measurement, timer)
        except DatabaseError as error:
            return replace(
                run,
                kind=Kind.LOCKED_OUT,
                problems=(Reason(ReasonCode.LOST_BEFORE_ACTING, {"error": str(error)}),),
                escalation=Reason(ReasonCode.DATABASE_LOST),
            )
        with timer.phase("decide"):
            plan = planned(
                run.event,
                before,
                run.tier,
                entrance.engagement,
                self._policy,
                guard_roles=self._settings.roles,
                another_run=entrance.another_run,
            )
        entrance.engagement = begun(entrance.engagement, plan, before.taken_at)
        attempt = entrance.engagement.attempts if plan.is_attempt else 0
        looked = Round(before, plan)
        problems = [entrance.stranger]
        if plan.restraint is None:
            # Before anything is terminated: a run that is killed counts against the hour's share,
            # too.
            problems.append(entrance.save(before.measurement, timer))
            looked, met = self._rounds.carry_out(looked, session, timer)
            problems += met
        with timer.phase("decide"):
            diagnoses = diagnose_round(
                looked,
                entrance.engagement,
                self._diagnosis_times,
                guard_roles=self._settings.roles,
                logins=logins_lately(self._looks),
            )
        conclusion = concluded(
            looked,
            entrance.engagement,
            self._policy.limits,
            pools_are_oversized=any(each.cause is Cause.OVERSIZED_POOLS for each in diagnoses),
            turns_missed=entrance.turns_missed,
        )
        entrance.engagement = conclusion.engagement
        return replace(
            run,
            kind=Kind.OBSERVATION if plan.restraint else Kind.REMEDIATION,
            attempt=attempt,
            round=looked,
            diagnoses=diagnoses,
            problems=tuple(filter(None, problems)),
            escalation=conclusion.escalation,
            recovered=run.recovered or conclusion.has_recovered,
        )


def _lacking(run: Run, grants: tuple[str, ...]) -> Run:
    return replace(run, kind=Kind.PREFLIGHT_FAILED, escalation=lacking(grants))
