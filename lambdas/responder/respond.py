"""One run of the responder: gather, decide, act, verify, report."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.aws.metric_log import publish
from connection_guard.adapters.postgresql.doors import Doors
from connection_guard.adapters.postgresql.grants import missing_grants, shortcomings
from connection_guard.adapters.postgresql.guard_session import Connect, GuardSession
from connection_guard.adapters.postgresql.names import identifier
from connection_guard.adapters.postgresql.observe import addresses_of, take_snapshot
from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.adapters.postgresql.terminate import Results, terminate
from connection_guard.adapters.postgresql.turn import Turn, end_turn, remember, take_turn
from connection_guard.configuration.policy.consistency import target_not_below_warning
from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.database.trend import logins_lately, minutes_to_full, with_look
from connection_guard.core.decision.decide import decide, most_sessions_below_target
from connection_guard.core.decision.engagement import (
    Engagement,
    after_escalation,
    after_observation,
    at_present,
    below_target,
    has_to_be_saved,
    ready_to_save,
    recalled,
    saved_last,
    with_attempt,
    with_events,
    with_outcomes,
    with_usage,
)
from connection_guard.core.decision.outcome import reconnections, settled, vanished
from connection_guard.core.decision.plan import PROTECTED, Plan, Restraint
from connection_guard.core.deployment.alarm import (
    AlarmNotification,
    AlarmState,
    Event,
    Heartbeat,
    read_event,
    to_be_served,
)
from connection_guard.core.deployment.responder_settings import Settings
from connection_guard.core.diagnosis.cause import TIMES, Cause, Diagnosis, DiagnosisTimes
from connection_guard.core.diagnosis.diagnose import diagnose
from connection_guard.core.policy import Mode, Policy, Tier
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.report import write_report
from connection_guard.core.report.run import Run
from connection_guard.errors import ConfigurationError, DatabaseError, DoorShutError, Refusal

# What a last look at the database, and then packing the evidence and answering, need of the
# function's time.
SECONDS_TO_VERIFY = 2.0
SECONDS_TO_REPORT = 3.0
# What a run that waits for its turn keeps to itself, beside the watch for reconnections: enough to
# look, to terminate a batch and to look again.
SECONDS_TO_ACT = 8.0
SECONDS_BETWEEN_TURNS = 0.2

# Heartbeats at these minutes of the hour open the second door, so that it is not first tried in the
# outage.
MINUTES_BETWEEN_SECOND_DOOR_TESTS = 15

NO_DOOR_OPENED = (
    "no door opened: log in as the master user, for whom Amazon RDS reserves connections, and end "
    "idle sessions by hand"
)

# With these a plan has been tried, whether or not there was anybody to terminate; any other leaves
# it for later.
ATTEMPTS = (None, Restraint.NOTHING_MATCHES, Restraint.POOLS_REOPEN, Restraint.REFUSED)
NOT_THE_WRITER = (
    "the endpoint in guard.toml leads to a standby or reader, and the guard works only on the "
    "writer: unless a failover is under way, name the writer's endpoint (of a cluster, the cluster "
    "endpoint) and deploy again"
)

logger = Logger(service="connection-guard")


class Context(Protocol):
    """What the responder needs of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the function."""
        ...


@dataclass(slots=True)
class _Timer:
    """When the run has to be over (of time.monotonic), and how long each of its phases took."""

    deadline: float
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def last_moment(self) -> float:
        """When a statement that ends the run has to be answered: the Report waits for it."""
        return max(self.deadline, time.monotonic() + 0.5)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


class Responder:
    """The Lambda handler: an event in, a Report out. One per process: keeps its seat and its
    engagement between runs.

    Raises ConfigurationError where policy and settings contradict each other.
    """

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        connect: Connect,
        diagnosis_times: DiagnosisTimes = TIMES,
    ) -> None:
        if mistake := target_not_below_warning(policy, settings.warning_percent):
            raise ConfigurationError(f"policy.toml: {mistake}")
        self._settings = settings
        self._policy = policy
        self._diagnosis_times = diagnosis_times
        self._doors = Doors(settings, connect)
        self._engagement = Engagement()
        self._stored = self._engagement
        self._has_turn = False
        self._turn: Turn | None = None
        self._turns_missed = 0
        # Alarms to be served: this run's, and those that came while the guard could not get in or
        # did not get its turn.
        self._alarms: list[AlarmNotification] = []
        # Whether people may have been told of what it does not know to be over: a process that died
        # knows nothing.
        self._recovery_is_news = True
        self._proxy_addresses: frozenset[str] = frozenset()
        self._looks: tuple[Measurement, ...] = ()

    def __call__(self, event: object, context: Context) -> dict[str, Any]:
        """Raises ForeignEventError for an event that is not this database's; everything else comes
        back as a Report.
        """
        timer = _Timer(
            time.monotonic() + context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_REPORT
        )
        try:
            run = self._remember(
                self._serve(read_event(event, self._settings), datetime.now(UTC), timer), timer
            )
        finally:
            self._end_turn(timer)
        if not self._engagement.is_pressed:
            self._doors.settle()
        run = replace(
            run,
            doors=tuple(self._doors.attempts),
            reconnected=self._doors.reconnected,
            seat_held=self._doors.holds_seat,
            engaged=self._engagement.tier is not None,
            seconds=timer.seconds,
        )
        publish(run)
        report = write_report(run, statement)
        logger.info(report["headline"], kind=run.kind, event_key=run.event.key)
        return report

    def _serve(self, event: Event, received_at: datetime, timer: _Timer) -> Run:
        self._alarms = to_be_served(self._alarms, event, received_at)
        # An alarm's end is its end however late it comes: the incident waits for it.
        fires = isinstance(event, AlarmNotification) and event.state is AlarmState.ALARM
        is_stale = fires and event not in self._alarms
        run = Run(
            kind=Kind.HEARTBEAT,
            database=self._settings.database,
            event=event,
            received_at=received_at,
            is_stale=is_stale,
            target_percent=self._policy.limits.target_percent,
        )
        try:
            session, measurement = self._enter(timer)
        except DatabaseError:
            self._recovery_is_news = True
            is_reader = self._doors.attempts[-1].refusal is Refusal.NOT_THE_WRITER
            mend = NOT_THE_WRITER if is_reader else NO_DOOR_OPENED
            tier = with_events(self._engagement, self._alarms).tier
            return replace(run, tier=tier, kind=Kind.LOCKED_OUT, escalation=mend)
        self._looks = with_look(self._looks, measurement)
        run = replace(run, measurement=measurement, minutes_to_full=minutes_to_full(self._looks))
        run = replace(run, is_duplicate=event.key in self._engagement.seen)
        was_pressed = self._engagement.is_pressed
        self._engagement = with_events(self._engagement, self._alarms)
        self._alarms = [] if self._has_turn else self._alarms
        run = replace(run, tier=self._engagement.tier)
        if grants := missing_grants(measurement):
            self._recovery_is_news = True
            return replace(run, kind=Kind.PREFLIGHT_FAILED, escalation=_lacks(grants))
        is_old_news = is_stale or (run.is_duplicate and self._engagement.has_escalated)
        is_heartbeat = is_old_news or isinstance(event, Heartbeat)
        # Below the threshold of every alarm, an alarm's OK ends it: the incident is over then,
        # though above the target.
        has_ended = isinstance(event, AlarmNotification) and event.state is AlarmState.OK
        self._engagement = with_usage(
            self._engagement,
            measurement.utilisation,
            is_heartbeat=is_heartbeat,
            target_percent=self._settings.warning_percent
            if has_ended
            else self._policy.limits.target_percent,
            critical_percent=self._settings.critical_percent,
            observes_critical=self._policy.modes[Tier.CRITICAL] is Mode.OBSERVE,
        )
        is_below_target = measurement.utilisation < self._policy.limits.target_percent
        recovery_is_news = was_pressed or self._recovery_is_news
        self._recovery_is_news = recovery_is_news and not is_below_target
        run = replace(
            run,
            tier=self._engagement.tier or run.tier,
            recovered=recovery_is_news and is_below_target,
        )
        if not is_heartbeat or self._engagement.tier is not None:
            return self._look_and_act(run, session, timer)
        run = replace(run, kind=Kind.OBSERVATION if run.recovered else Kind.HEARTBEAT)
        return (
            run if self._engagement.is_pressed else self._check_second_door(run, measurement, timer)
        )

    def _enter(self, timer: _Timer) -> tuple[GuardSession, Measurement]:
        """Through the first door that opens; with the turn, where there may be something to do or
        to remember.
        """
        self._turn = None
        with timer.phase("connect"):
            session, measurement = self._look_again(self._doors.enter(timer.deadline))
        is_below_target = measurement.utilisation < self._policy.limits.target_percent
        is_calm = is_below_target and self._engagement == below_target(self._engagement)
        if is_calm and not self._alarms:
            return session, measurement
        return self._take_turn(session, timer)

    def _take_turn(self, session: GuardSession, timer: _Timer) -> tuple[GuardSession, Measurement]:
        """Wait for whoever has the turn, then look at what it left. `_has_turn` is False where it
        does not end.
        """
        watch = self._policy.limits.watch_for_reconnects.total_seconds()
        latest = timer.deadline - SECONDS_TO_ACT - watch
        with timer.phase("turn"):
            while True:
                turn = self._try_turn(session, timer)
                is_mine = turn is not None and (turn.is_taken or not turn.is_guard)
                is_late = time.monotonic() + SECONDS_BETWEEN_TURNS >= latest
                if is_mine or is_late or turn is None:
                    again, measurement = self._look_again(self._doors.enter_again(timer.deadline))
                    if is_late or (is_mine and again is session):
                        break
                    session = again
                time.sleep(SECONDS_BETWEEN_TURNS)
        self._has_turn = is_mine and again is session
        self._turns_missed = 0 if self._has_turn else self._turns_missed + 1
        self._turn = turn
        return again, measurement

    def _try_turn(self, session: GuardSession, timer: _Timer) -> Turn | None:
        try:
            return take_turn(session, self._settings.roles, timer.deadline)
        except DatabaseError:
            return None

    def _look_again(
        self, found: tuple[GuardSession, Measurement]
    ) -> tuple[GuardSession, Measurement]:
        """What another execution environment remembered since is what counts."""
        _, measurement = found
        now = measurement.taken_at
        self._stored = recalled(measurement.memories, now)
        self._engagement = at_present(saved_last([self._engagement, self._stored]), now)
        return found

    def _remember(self, run: Run, timer: _Timer) -> Run:
        """Keep what the next run has to know, in whichever execution environment that is."""
        latest = run.after or run.measurement
        session = self._doors.seat
        if not self._has_turn or latest is None or session is None:
            return run
        if not has_to_be_saved(self._engagement, self._stored, latest.taken_at):
            return run
        engagement = ready_to_save(self._engagement, latest.taken_at)
        try:
            remember(session, engagement, timer.last_moment)
        except DatabaseError as error:
            problem = (
                "this run may not be remembered if another execution environment serves the next: "
                f"{error}"
            )
            return replace(run, problems=tuple(dict.fromkeys((*run.problems, problem))))
        self._engagement = self._stored = engagement
        return run

    def _end_turn(self, timer: _Timer) -> None:
        """Also where the run failed: the seat lives on, and the turn must not."""
        if self._has_turn and self._doors.seat is not None:
            with suppress(DatabaseError):  # it ends with its session, too
                end_turn(self._doors.seat, timer.last_moment)
        self._has_turn = False

    def _check_second_door(self, run: Run, measurement: Measurement, timer: _Timer) -> Run:
        """In quiet times: whether the direct door opens, as a role that can do the work, also on a
        full database.
        """
        if self._settings.proxy is not None:
            event = run.event
            if (
                not isinstance(event, Heartbeat)
                or event.at.minute % MINUTES_BETWEEN_SECOND_DOOR_TESTS
            ):
                return run
            behind_door = self._doors.try_second_door(timer.deadline)
            if behind_door is None:
                return run
            measurement = behind_door
        run = replace(run, problems=shortcomings(measurement))
        if grants := missing_grants(measurement):
            return replace(run, kind=Kind.PREFLIGHT_FAILED, escalation=_lacks(grants))
        return run

    def _look_and_act(self, run: Run, session: GuardSession, timer: _Timer) -> Run:
        """The sessions themselves: why they are so many, which of them may go, and what became of
        those.
        """
        assert run.measurement is not None
        try:
            session, before = self._gather(session, run.measurement, timer)
        except DatabaseError as error:
            problem = f"the database was lost before anything was done: {error}"
            return replace(
                run,
                kind=Kind.LOCKED_OUT,
                problems=(*run.problems, problem),
                escalation="the database is lost",
            )
        with timer.phase("decide"):
            plan = self._decide(run, before)
        run = replace(
            run, kind=Kind.OBSERVATION, measurement=before.measurement, before=before, plan=plan
        )
        if self._turn is not None and not self._turn.is_guard:
            run = replace(run, problems=(*run.problems, _strangers(self._turn)))
        if plan.restraint in ATTEMPTS:
            chosen = 0 if plan.restraint else len(plan.chosen)
            self._engagement = with_attempt(self._engagement, before.taken_at, chosen)
            run = replace(run, attempt=self._engagement.attempts)
        if plan.restraint is None:
            # Before anything is terminated: a run that is killed counts against the hour's share,
            # too.
            run = self._remember(replace(run, kind=Kind.REMEDIATION), timer)
            run = self._act(run, session, before, plan, timer)
        with timer.phase("decide"):
            run = replace(run, diagnoses=self._diagnose(run, before, plan))
        return self._conclude(run, before, plan)

    def _gather(
        self, session: GuardSession, measurement: Measurement, timer: _Timer
    ) -> tuple[GuardSession, Snapshot]:
        """A session that is lost while only looking is replaced once: looking again is harmless."""
        with timer.phase("gather"):
            if self._settings.proxy is not None:
                # A name that cannot be resolved now had better still be known.
                self._proxy_addresses = addresses_of(self._settings.proxy) or self._proxy_addresses
            try:
                return session, take_snapshot(
                    session, measurement, self._proxy_addresses, timer.deadline
                )
            except DatabaseError:
                session, measurement = self._take_turn(
                    self._doors.enter_again(timer.deadline)[0], timer
                )
                return session, self._gather_anew(session, measurement, timer)

    def _gather_anew(
        self, session: GuardSession, measurement: Measurement, timer: _Timer
    ) -> Snapshot:
        """Through whichever door opened: what its role cannot see must not be taken for an empty
        database.
        """
        if grants := missing_grants(measurement):
            raise DoorShutError(_lacks(grants))
        return take_snapshot(session, measurement, self._proxy_addresses, timer.deadline)

    def _decide(self, run: Run, before: Snapshot) -> Plan:
        event = run.event
        if isinstance(event, AlarmNotification) and event.state is not AlarmState.ALARM:
            return Plan(
                (),
                Restraint.NOT_AN_ALARM,
                f"the alarm's state is {event.state}: nothing is to be done",
            )
        assert run.tier is not None
        if not self._has_turn:
            return Plan((), Restraint.ANOTHER_RUN, _at_work(self._turn))
        return decide(
            before,
            self._policy,
            run.tier,
            guard_roles=self._settings.roles,
            terminated_last_hour=self._engagement.terminated_within_the_hour(before.taken_at),
            reopening_pools=self._engagement.reopening_pools(before.taken_at),
            unmoved=self._engagement.unmoved,
        )

    def _diagnose(self, run: Run, before: Snapshot, plan: Plan) -> tuple[Diagnosis, ...]:
        terminations = [at for at, _ in self._engagement.terminations]
        return diagnose(
            before,
            run.reconnections,
            self._diagnosis_times,
            guard_roles=self._settings.roles,
            protected_roles={
                verdict.session.role for verdict in plan.verdicts if verdict.rule == PROTECTED
            },
            reopening_pools=self._engagement.reopening_pools(before.taken_at),
            terminated_since=min(terminations, default=None),
            vanished=run.vanished,
            logins=logins_lately(self._looks),
        )

    def _act(
        self, run: Run, session: GuardSession, before: Snapshot, plan: Plan, timer: _Timer
    ) -> Run:
        limits = self._policy.limits
        watch = limits.watch_for_reconnects.total_seconds()
        with timer.phase("act"):
            outcomes, stopped_by = terminate(
                session,
                plan.chosen,
                before.measurement.server,
                limits,
                guard_roles=self._settings.roles,
                enough=max(
                    most_sessions_below_target(before.measurement.capacity.usable, limits)
                    - before.measurement.logins_in_progress,
                    0,
                ),
                deadline=timer.deadline - SECONDS_TO_VERIFY - watch,
                on_batch=_log_batch,
            )
        run = replace(
            run, outcomes=outcomes, problems=(*run.problems, *([stopped_by] if stopped_by else []))
        )
        with timer.phase("verify"):
            return self._verify(run, before, watch, timer)

    def _verify(self, run: Run, before: Snapshot, watch: float, timer: _Timer) -> Run:
        """Killed is not gone, and gone is not cured: looks again once pools have had the time to
        reopen.
        """
        held = self._doors.seat
        time.sleep(max(min(watch, timer.deadline - SECONDS_TO_VERIFY - time.monotonic()), 0))
        try:
            session, measurement = self._doors.enter_again(timer.deadline)
            self._has_turn = self._has_turn and session is held
            after = self._gather_anew(session, measurement, timer)
        except DatabaseError as error:
            return replace(run, problems=(*run.problems, f"could not be verified: {error}"))
        run = replace(run, after=after.measurement)
        if after.measurement.server.started_at != before.measurement.server.started_at:
            problem = (
                "another server, or the same one restarted, answered afterwards: what was "
                "terminated is not known"
            )
            return replace(run, problems=(*run.problems, problem))
        outcomes = settled(run.outcomes, after)
        return replace(
            run,
            outcomes=outcomes,
            reconnections=reconnections(outcomes, before, after),
            vanished=vanished(
                outcomes, before, after, settled_after=self._diagnosis_times.storm_window
            ),
        )

    def _conclude(self, run: Run, before: Snapshot, plan: Plan) -> Run:
        """Remembers the attempt, and says whether usage is down or people are needed."""
        limits = self._policy.limits
        if plan.restraint is Restraint.ANOTHER_RUN and self._turns_missed > 1:
            return replace(run, escalation=plan.explanation)
        if plan.restraint is Restraint.OBSERVING:
            self._engagement = after_observation(self._engagement)
        if plan.restraint is Restraint.HOURLY_CAP:
            # Not given up: the next hour brings its own share.
            return replace(run, escalation=plan.explanation)
        if plan.restraint not in ATTEMPTS:
            return run
        self._engagement = with_outcomes(
            self._engagement, before.taken_at, run.outcomes, run.reconnections
        )
        latest = run.after or before.measurement
        if latest.utilisation < limits.target_percent:
            self._engagement = below_target(self._engagement)
            return replace(run, recovered=True)
        if plan.restraint is Restraint.REFUSED:
            return self._escalate(run, plan.explanation)
        if run.attempt < limits.attempts and _only_people_can_help(plan, run.diagnoses):
            return replace(run, escalation=plan.explanation)
        if run.attempt >= limits.attempts:
            return self._escalate(
                run, f"{run.attempt} attempts, and {latest.utilisation:.0f} % are still in use"
            )
        return run

    def _escalate(self, run: Run, reason: str) -> Run:
        self._engagement = after_escalation(self._engagement)
        return replace(run, escalation=reason)


def _only_people_can_help(plan: Plan, diagnoses: Iterable[Diagnosis]) -> bool:
    """Whether waiting changes nothing: pools larger than the limit that use all of their sessions
    now and then.
    """
    is_oversized = any(diagnosis.cause is Cause.OVERSIZED_POOLS for diagnosis in diagnoses)
    return plan.restraint is Restraint.POOLS_REOPEN or (
        plan.restraint is Restraint.NOTHING_MATCHES and is_oversized
    )


def _at_work(turn: Turn | None) -> str:
    holder = f" (pid {turn.holder})" if turn and turn.holder else ""
    return f"another run of the guard is at work on this database{holder} and did not end in time"


def _strangers(turn: Turn) -> str:
    role = identifier(turn.role)
    return (
        f"role {role} (pid {turn.holder}) holds the guard's own advisory lock: two runs may act at "
        "once; release it"
    )


def _lacks(grants: tuple[str, ...]) -> str:
    return f"the guard's role lacks a privilege; run, as the master user: {' '.join(grants)}"


def _log_batch(results: Results) -> None:
    logger.info("batch", results={str(pid): str(result) for pid, result in results.items()})
