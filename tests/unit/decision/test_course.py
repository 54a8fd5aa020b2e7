"""What a run does, from plain values: look, rest, go on, recover or escalate."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connection_guard.core.database.capacity import Capacity
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.course import (
    Conclusion,
    Course,
    NextStep,
    begun,
    concluded,
    course_of,
    needs_turn,
    planned,
)
from connection_guard.core.decision.engagement import Engagement
from connection_guard.core.decision.outcome import Outcome, Result
from connection_guard.core.decision.plan import Plan
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.decision.round import Round
from connection_guard.core.deployment.events import AlarmNotification, AlarmState, Event, Heartbeat
from connection_guard.core.policy import Mode, Tier
from tests.support.builders import NOW, a_measurement, a_policy, a_session, a_snapshot
from tests.support.runs import a_plan, an_alarm

HEARTBEAT = Heartbeat(NOW)
ENGAGED = Engagement(tier=Tier.CRITICAL, attempts=2)
NOTIFIED = Engagement(has_escalated=True)
MINUTE = timedelta(minutes=1)


def used(percent: int) -> Measurement:
    """Usage of a hundred connections, of which applications can get all."""
    return a_measurement(used=percent, capacity=Capacity(100, {}))


def course(
    event: Event,
    percent: int,
    engagement: Engagement = Engagement(),  # noqa: B008 - it is frozen
    *,
    is_stale: bool = False,
    is_watching: bool = False,
    recovery_is_news: bool = False,
    **policy: Any,
) -> Course:
    alarms = [event] if isinstance(event, AlarmNotification) and not is_stale else []
    return course_of(
        event,
        used(percent),
        engagement,
        alarms,
        a_policy(**policy),
        warning_percent=75,
        critical_percent=90,
        is_stale=is_stale,
        is_watching=is_watching,
        recovery_is_news=recovery_is_news,
    )


def test_a_heartbeat_in_quiet_times_checks_the_doors() -> None:
    assert course(HEARTBEAT, 20).step is NextStep.CHECK_DOORS


def test_an_alarm_is_looked_into_and_engages() -> None:
    chosen = course(an_alarm(), 95)
    assert (chosen.step, chosen.tier) == (NextStep.LOOK, Tier.CRITICAL)
    assert chosen.engagement.tier is Tier.CRITICAL


def test_while_it_is_engaged_every_heartbeat_goes_on() -> None:
    assert course(HEARTBEAT, 85, ENGAGED).step is NextStep.LOOK


def test_after_people_were_notified_it_rests_until_usage_is_down() -> None:
    assert course(HEARTBEAT, 95, NOTIFIED).step is NextStep.REST
    down = course(HEARTBEAT, 50, NOTIFIED)
    assert (down.step, down.has_recovered) == (NextStep.CHECK_DOORS, True)
    assert not down.engagement.has_escalated


def test_two_looks_in_a_row_at_critical_engage_without_an_alarm() -> None:
    first = course(HEARTBEAT, 90)
    assert first.step is NextStep.CHECK_DOORS
    second = course(Heartbeat(NOW + MINUTE), 90, first.engagement)
    assert (second.step, second.tier) == (NextStep.LOOK, Tier.CRITICAL)


def test_a_stale_alarm_counts_as_a_heartbeat() -> None:
    assert course(an_alarm(), 80, is_stale=True).step is NextStep.CHECK_DOORS


def test_an_alarm_that_is_delivered_again_after_people_were_notified_changes_nothing() -> None:
    alarm = an_alarm()
    seen = Engagement(has_escalated=True, seen={alarm.key: alarm.changed_at})
    again = course(alarm, 95, seen)
    assert (again.step, again.is_duplicate) == (NextStep.REST, True)
    assert again.engagement.tier is None


def test_an_ok_below_every_threshold_ends_the_attempts_above_the_target() -> None:
    ended = course(an_alarm(state=AlarmState.OK), 72, ENGAGED)
    assert ended.engagement.tier is None
    assert not ended.has_recovered, "usage is still above the policy's target"
    goes_on = course(an_alarm(state=AlarmState.OK), 80, ENGAGED)
    assert goes_on.engagement.tier is Tier.CRITICAL, "another alarm is still on"


@pytest.mark.parametrize(
    ("engagement", "was_news", "is_recovery"),
    [
        (ENGAGED, False, True),
        (Engagement(has_observed=True), False, True),
        (Engagement(), True, True),
        (Engagement(), False, False),
    ],
    ids=["engaged", "only observed", "a process that knows nothing", "nothing happened"],
)
def test_a_recovery_is_reported_once_and_only_where_there_was_a_shortage(
    engagement: Engagement, was_news: bool, is_recovery: bool
) -> None:
    down = course(HEARTBEAT, 50, engagement, recovery_is_news=was_news)
    assert down.has_recovered is is_recovery
    assert not down.recovery_is_news
    later = course(HEARTBEAT, 50, down.engagement, recovery_is_news=down.recovery_is_news)
    assert not later.has_recovered


def test_a_shortage_that_lasts_keeps_its_end_news() -> None:
    assert course(HEARTBEAT, 85, ENGAGED).recovery_is_news


@pytest.mark.parametrize(
    ("percent", "engagement", "alarms", "needs"),
    [
        (50, Engagement(), [], False),
        (89, Engagement(), [], False),
        (95, NOTIFIED, [], False),
        (90, Engagement(), [], True),
        (85, ENGAGED, [], True),
        (50, NOTIFIED, [], True),
        (50, Engagement(), [an_alarm()], True),
    ],
    ids=[
        "calm",
        "below critical",
        "people were notified",
        "the first look at critical",
        "engaged",
        "an end to remember",
        "an alarm",
    ],
)
def test_only_what_has_something_to_do_or_to_remember_needs_the_turn(
    percent: int, engagement: Engagement, alarms: list[AlarmNotification], needs: bool
) -> None:
    stored = replace(engagement, critical_looks=2) if engagement is NOTIFIED else engagement
    chosen = course(HEARTBEAT, percent, stored)
    assert needs_turn(chosen, alarms, stored, NOW) is needs


def test_what_the_database_does_not_remember_yet_needs_the_turn() -> None:
    chosen = course(HEARTBEAT, 95, replace(NOTIFIED, critical_looks=2))
    assert needs_turn(chosen, [], Engagement(), NOW)


def test_a_heartbeat_that_keeps_looking_leaves_the_shortage_to_the_run_that_engaged_meanwhile() -> (
    None
):
    for percent in (50, 95):
        chosen = course(HEARTBEAT, percent, ENGAGED, is_watching=True)
        assert (chosen.step, chosen.has_recovered) == (NextStep.REST, False)
        assert chosen.engagement == ENGAGED
        assert not needs_turn(chosen, [], ENGAGED, NOW)


def plan_for(event: Event, another_run: Reason | None = None) -> Plan:
    return planned(
        event,
        a_snapshot(a_session(), usable=1),
        Tier.CRITICAL,
        ENGAGED,
        a_policy(),
        guard_roles=(),
        another_run=another_run,
    )


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (AlarmState.OK, ReasonCode.ALARM_CLEARED),
        (AlarmState.INSUFFICIENT_DATA, ReasonCode.ALARM_WITHOUT_DATA),
    ],
)
def test_an_alarm_that_is_not_on_terminates_no_session(state: AlarmState, code: ReasonCode) -> None:
    plan = plan_for(an_alarm(state=state))
    assert (plan.restraint, plan.reason.code, plan.chosen) == (Restraint.NOT_AN_ALARM, code, ())


def test_while_another_run_has_the_turn_no_session_is_terminated() -> None:
    another = Reason(ReasonCode.ANOTHER_RUN, {"pid": 7})
    plan = plan_for(an_alarm(), another)
    assert (plan.restraint, plan.reason, plan.chosen) == (Restraint.ANOTHER_RUN, another, ())
    assert plan_for(an_alarm()).chosen


@pytest.mark.parametrize("restraint", [None, *Restraint])
def test_only_a_plan_that_was_tried_counts_as_an_attempt(restraint: Restraint | None) -> None:
    tried = (None, Restraint.NOTHING_MATCHES, Restraint.POOLS_REOPEN, Restraint.REFUSED)
    plan = a_plan(a_snapshot(a_session()), terminate=1, restraint=restraint)
    after = begun(ENGAGED, plan, NOW)
    assert after.attempts == (3 if restraint in tried else 2)
    assert after.terminated_within_the_hour(NOW) == (1 if restraint is None else 0), (
        "what is about to be terminated counts before it is"
    )


def conclusion(
    percent: int,
    restraint: Restraint | None = None,
    *,
    attempts: int = 1,
    pools_are_oversized: bool = False,
    turns_missed: int = 0,
) -> Conclusion:
    """How a round ends that left so many of a hundred connections in use."""
    before = a_snapshot(*(a_session() for _ in range(95)), usable=100)
    plan = a_plan(before, terminate=1, restraint=restraint)
    outcomes = tuple(Outcome(verdict, Result.SURVIVED) for verdict in plan.chosen)
    finished = Round(before, plan, () if restraint else outcomes, used(percent))
    return concluded(
        finished,
        Engagement(tier=Tier.CRITICAL, attempts=attempts),
        a_policy(attempts=3).limits,
        pools_are_oversized=pools_are_oversized,
        turns_missed=turns_missed,
    )


def test_below_the_target_it_has_recovered() -> None:
    ended = conclusion(60)
    assert ended.has_recovered
    assert ended.escalation is None
    assert not ended.engagement.is_pressed


def test_above_the_target_it_goes_on_and_remembers_whom_it_could_not_move() -> None:
    ended = conclusion(95)
    assert (ended.has_recovered, ended.escalation) == (False, None)
    assert ended.engagement.tier is Tier.CRITICAL
    assert len(ended.engagement.unmoved) == 1


def test_the_last_attempt_escalates_with_its_figures() -> None:
    ended = conclusion(95, attempts=3)
    figures = {"percent": 95, "attempts": 3}
    assert ended.escalation == Reason(ReasonCode.ATTEMPTS_USED, figures)
    assert ended.engagement.has_escalated


def test_a_refused_plan_escalates_at_once() -> None:
    ended = conclusion(95, Restraint.REFUSED)
    assert ended.escalation is not None
    assert ended.engagement.has_escalated


@pytest.mark.parametrize(
    ("restraint", "is_oversized", "is_hopeless"),
    [
        (Restraint.POOLS_REOPEN, False, True),
        (Restraint.NOTHING_MATCHES, True, True),
        (Restraint.NOTHING_MATCHES, False, False),
        (None, True, False),
    ],
)
def test_where_waiting_changes_nothing_people_are_notified_and_the_guard_stays_engaged(
    restraint: Restraint | None, is_oversized: bool, is_hopeless: bool
) -> None:
    ended = conclusion(95, restraint, pools_are_oversized=is_oversized)
    assert (ended.escalation is not None) is is_hopeless
    assert ended.engagement.tier is Tier.CRITICAL


def test_the_hourly_cap_escalates_and_waits_for_the_next_hour() -> None:
    ended = conclusion(95, Restraint.HOURLY_CAP)
    assert ended.escalation is not None
    assert ended.engagement.tier is Tier.CRITICAL


@pytest.mark.parametrize(("missed", "escalates"), [(1, False), (2, True)])
def test_a_turn_that_is_missed_again_escalates(missed: int, escalates: bool) -> None:
    ended = conclusion(95, Restraint.ANOTHER_RUN, turns_missed=missed)
    assert (ended.escalation is not None) is escalates


def test_a_policy_that_only_observes_reports_once() -> None:
    ended = conclusion(95, Restraint.OBSERVING)
    assert (ended.escalation, ended.engagement.tier) == (None, None)
    assert ended.engagement.has_observed
    again = course(HEARTBEAT, 95, ended.engagement, modes=dict.fromkeys(Tier, Mode.OBSERVE))
    assert again.step is not NextStep.LOOK


@pytest.mark.parametrize("restraint", [Restraint.PAUSED, Restraint.BELOW_TARGET])
def test_what_was_not_tried_costs_no_attempt(restraint: Restraint) -> None:
    ended = conclusion(95, restraint, attempts=3)
    assert ended.escalation is None
    assert ended.engagement.tier is Tier.CRITICAL
