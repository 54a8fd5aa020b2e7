"""What a run does: look at the sessions, rest, go on, recover or escalate.

All of it follows from the event, the measurement, the policy and the engagement, as values.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.decision.decide import decide
from connection_guard.core.decision.engagement import (
    Engagement,
    after_escalation,
    after_observation,
    below_target,
    has_to_be_saved,
    with_attempt,
    with_events,
    with_outcomes,
    with_usage,
)
from connection_guard.core.decision.plan import Plan
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.decision.round import Round
from connection_guard.core.deployment.events import AlarmNotification, AlarmState, Event, Heartbeat
from connection_guard.core.policy import Limits, Mode, Policy, Tier


class NextStep(StrEnum):
    """What comes after the measurement."""

    LOOK = "look at the sessions"
    CHECK_DOORS = "check the doors"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Course:
    """What a run does once it has measured, and the engagement that it goes on with.

    `recovery_is_news` is for the next run: whether people may have been notified of a shortage
    whose end they do not know yet.
    """

    step: NextStep
    engagement: Engagement
    tier: Tier | None
    is_duplicate: bool
    has_recovered: bool
    recovery_is_news: bool


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a round ended. `escalation` says why people have to act, None where they need not."""

    engagement: Engagement
    escalation: Reason | None = None
    has_recovered: bool = False


def needs_turn(
    course: Course, alarms: Collection[AlarmNotification], stored: Engagement, now: datetime
) -> bool:
    """Return whether there is something to do, or to remember beyond what is `stored`. An alarm's
    end by itself only shows the sessions.
    """
    return (
        bool(alarms)
        or (course.step is NextStep.LOOK and course.engagement.tier is not None)
        or has_to_be_saved(course.engagement, stored, now)
    )


def course_of(
    event: Event,
    measurement: Measurement,
    engagement: Engagement,
    alarms: Iterable[AlarmNotification],
    policy: Policy,
    *,
    warning_percent: float,
    critical_percent: float,
    is_stale: bool,
    is_watching: bool,
    recovery_is_news: bool,
) -> Course:
    """Return the course of a run that serves the event, and the alarms that are on at its time.

    An alarm that is stale, or delivered again after people were notified, counts as a heartbeat. A
    heartbeat that keeps looking (`is_watching`) leaves a shortage to the run that engaged meanwhile
    and to the next heartbeat.
    """
    if is_watching and engagement.tier is not None:
        return Course(
            step=NextStep.REST,
            engagement=engagement,
            tier=engagement.tier,
            is_duplicate=False,
            has_recovered=False,
            recovery_is_news=recovery_is_news,
        )
    engaged = with_events(engagement, alarms)
    is_duplicate = event.key in engagement.seen
    is_old_news = is_stale or (is_duplicate and engaged.has_escalated)
    is_heartbeat = is_old_news or isinstance(event, Heartbeat)
    # Below the threshold of every alarm, an alarm's OK ends the attempts, although usage may be
    # above the target: the incident is over then.
    has_ended = isinstance(event, AlarmNotification) and event.state is AlarmState.OK
    after = with_usage(
        engaged,
        measurement.utilisation,
        is_heartbeat=is_heartbeat,
        target_percent=warning_percent if has_ended else policy.limits.target_percent,
        critical_percent=critical_percent,
        observes_critical=policy.modes[Tier.CRITICAL] is Mode.OBSERVE,
    )
    is_below_target = measurement.utilisation < policy.limits.target_percent
    is_news = engagement.is_pressed or engagement.has_observed or recovery_is_news
    if not is_heartbeat or after.tier is not None:
        step = NextStep.LOOK
    else:
        step = NextStep.REST if after.is_pressed else NextStep.CHECK_DOORS
    return Course(
        step=step,
        engagement=after,
        tier=after.tier or engaged.tier,
        is_duplicate=is_duplicate,
        has_recovered=is_news and is_below_target,
        recovery_is_news=is_news and not is_below_target,
    )


def planned(
    event: Event,
    before: Snapshot,
    tier: Tier | None,
    engagement: Engagement,
    policy: Policy,
    *,
    guard_roles: Collection[str],
    another_run: Reason | None,
) -> Plan:
    """Return the plan of a round; `another_run` says that another has the turn, None that it has
    not.
    """
    if isinstance(event, AlarmNotification) and event.state is not AlarmState.ALARM:
        is_over = event.state is AlarmState.OK
        code = ReasonCode.ALARM_CLEARED if is_over else ReasonCode.ALARM_WITHOUT_DATA
        return Plan((), Restraint.NOT_AN_ALARM, Reason(code))
    if another_run is not None:
        return Plan((), Restraint.ANOTHER_RUN, another_run)
    assert tier is not None, "a run looks at the sessions for an alarm or while it is engaged"
    return decide(
        before,
        policy,
        tier,
        guard_roles=guard_roles,
        terminated_last_hour=engagement.terminated_within_the_hour(before.taken_at),
        reopening_pools=engagement.reopening_pools(before.taken_at),
        unmoved=engagement.unmoved,
    )


def begun(engagement: Engagement, plan: Plan, now: datetime) -> Engagement:
    """Return the engagement with the attempt that the plan is, if it is one."""
    if not plan.is_attempt:
        return engagement
    return with_attempt(engagement, now, 0 if plan.restraint else len(plan.chosen))


def concluded(
    finished: Round,
    engagement: Engagement,
    limits: Limits,
    *,
    pools_are_oversized: bool,
    turns_missed: int,
) -> Conclusion:
    """Return whether usage is down, the guard goes on, or people have to act.

    `pools_are_oversized` is a diagnosis of the round; `turns_missed` counts the runs in a row that
    did not get their turn.
    """
    restraint, reason = finished.plan.restraint, finished.plan.reason
    if restraint is Restraint.ANOTHER_RUN and turns_missed > 1:
        return Conclusion(engagement, reason)
    if restraint is Restraint.OBSERVING:
        return Conclusion(after_observation(engagement))
    if restraint is Restraint.HOURLY_CAP:
        # The guard stays engaged: the next hour brings its own share.
        return Conclusion(engagement, reason)
    if not finished.plan.is_attempt:
        return Conclusion(engagement)
    tried = with_outcomes(
        engagement, finished.before.taken_at, finished.outcomes, finished.reconnections
    )
    if finished.latest.utilisation < limits.target_percent:
        return Conclusion(below_target(tried), has_recovered=True)
    if restraint is Restraint.REFUSED:
        return Conclusion(after_escalation(tried), reason)
    if tried.attempts >= limits.attempts:
        figures = {"percent": finished.latest.utilisation, "attempts": tried.attempts}
        return Conclusion(after_escalation(tried), Reason(ReasonCode.ATTEMPTS_USED, figures))
    # Where waiting changes nothing, people are notified at once, and the guard stays engaged.
    is_hopeless = restraint is Restraint.POOLS_REOPEN or (
        restraint is Restraint.NOTHING_MATCHES and pools_are_oversized
    )
    return Conclusion(tried, reason if is_hopeless else None)
