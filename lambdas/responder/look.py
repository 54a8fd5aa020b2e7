"""One look of a run: measure, choose the course, carry out a round, conclude."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from connection_guard.adapters.postgresql.doors import Doors
from connection_guard.adapters.postgresql.grants import lacking, missing_grants, shortcomings
from connection_guard.adapters.postgresql.guard_session import GuardSession
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.database.trend import logins_lately, minutes_to_full, with_look
from connection_guard.core.decision.course import (
    Course,
    NextStep,
    begun,
    concluded,
    course_of,
    needs_turn,
    planned,
)
from connection_guard.core.decision.engagement import with_events
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.decision.round import Round
from connection_guard.core.deployment.events import (
    AlarmNotification,
    AlarmState,
    Event,
    Heartbeat,
    to_be_served,
)
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.diagnosis.case import DiagnosisTimes
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose_round
from connection_guard.core.policy import Policy
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.run import Run
from connection_guard.errors import DatabaseError, Refusal
from responder.entrance import Entered, Entrance
from responder.rounds import Rounds
from responder.timer import Timer

# Heartbeats at these minutes of the hour open the second door, so that it is not first tried in the
# outage.
MINUTES_BETWEEN_SECOND_DOOR_TESTS = 15


class Looks:
    """Makes the looks of one run after another, and knows what they have left to the next."""

    def __init__(
        self,
        settings: ResponderSettings,
        policy: Policy,
        doors: Doors,
        entrance: Entrance,
        diagnosis_times: DiagnosisTimes,
    ) -> None:
        # Alarms to be served: this run's, and those that came while the guard could not get in or
        # did not get its turn.
        self._alarms: list[AlarmNotification] = []
        self._settings = settings
        self._policy = policy
        self._diagnosis_times = diagnosis_times
        self._doors = doors
        self._entrance = entrance
        self._rounds = Rounds(
            entrance,
            settings.proxy,
            settings.roles,
            policy.limits,
            diagnosis_times.storm_window,
        )
        # Whether people may have been notified of a shortage that is not known to have ended: a
        # process that died knows nothing.
        self._recovery_is_news = True
        self._seen: tuple[Measurement, ...] = ()

    def begin(self, event: Event, received_at: datetime) -> Run:
        """Return the run that serves the event, which has not looked yet."""
        self._alarms = to_be_served(self._alarms, event, received_at)
        # An alarm's end is its end however late it comes: the incident waits for it.
        return Run(
            kind=Kind.HEARTBEAT,
            database=self._settings.database,
            event=event,
            received_at=received_at,
            is_stale=_fires(event) and event not in self._alarms,
            target_percent=self._policy.limits.target_percent,
        )

    def look(self, run: Run, enter: Callable[[Timer], Entered], timer: Timer) -> Run:
        """Measure and follow the course, in turn where there is something to do or to remember."""
        entrance = self._entrance
        try:
            run = self._serve(run, enter, timer)
            unsaved = entrance.save(run.latest, timer)
        finally:
            entrance.end_turn(timer)
        if unsaved is None or unsaved in run.problems:
            return run
        return replace(run, problems=(*run.problems, unsaved))

    def _serve(self, run: Run, enter: Callable[[Timer], Entered], timer: Timer) -> Run:
        entrance = self._entrance
        try:
            session, measurement = enter(timer)
            course = self._course(run, measurement)
            if needs_turn(course, self._alarms, entrance.stored, measurement.taken_at):
                session, measurement = entrance.take_turn(session, timer)
                course = self._course(run, measurement)
        except DatabaseError:
            return self._locked_out(run)
        self._seen = with_look(self._seen, measurement)
        run = replace(
            run,
            received_at=datetime.now(UTC),
            looks=run.looks + 1,
            measurement=measurement,
            minutes_to_full=minutes_to_full(self._seen),
        )
        return self._follow_course(course, run, session, measurement, timer)

    def _course(self, run: Run, measurement: Measurement) -> Course:
        return course_of(
            run.event,
            measurement,
            self._entrance.engagement,
            self._alarms,
            self._policy,
            warning_percent=self._settings.warning_percent,
            critical_percent=self._settings.critical_percent,
            is_stale=run.is_stale,
            is_watching=run.looks > 0,
            recovery_is_news=self._recovery_is_news,
        )

    def _locked_out(self, run: Run) -> Run:
        self._recovery_is_news = True
        run = replace(
            run,
            kind=Kind.LOCKED_OUT,
            received_at=datetime.now(UTC),
            tier=with_events(self._entrance.engagement, self._alarms).tier,
            measurement=None,
            minutes_to_full=None,
        )
        refusal = self._doors.attempts[-1].refusal
        if refusal is Refusal.FULL and _fires(run.event):
            # A watch in another execution environment may hold a seat. Heartbeats show whether the
            # guard is locked out.
            full = Reason(ReasonCode.REFUSED_WHILE_FULL)
            return replace(run, kind=Kind.OBSERVATION, problems=(full,))
        is_reader = refusal is Refusal.NOT_THE_WRITER
        code = ReasonCode.NOT_THE_WRITER if is_reader else ReasonCode.NO_DOOR_OPENED
        return replace(run, escalation=Reason(code))

    def _follow_course(
        self,
        course: Course,
        run: Run,
        session: GuardSession,
        measurement: Measurement,
        timer: Timer,
    ) -> Run:
        engagement, alarms = self._entrance.engagement, self._alarms
        self._alarms = [] if self._entrance.has_turn else alarms
        if grants := missing_grants(measurement):
            engaged = self._entrance.engagement = with_events(engagement, alarms)
            self._recovery_is_news = True
            is_duplicate = run.event.key in engagement.seen
            return _lacking(replace(run, is_duplicate=is_duplicate, tier=engaged.tier), grants)
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
        if course.step is NextStep.REST or run.looks > 1:
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
                logins=logins_lately(self._seen),
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


def _fires(event: Event) -> bool:
    return isinstance(event, AlarmNotification) and event.state is AlarmState.ALARM


def _lacking(run: Run, grants: tuple[str, ...]) -> Run:
    return replace(run, kind=Kind.PREFLIGHT_FAILED, escalation=lacking(grants))
