"""An alarm fires once per transition; the responder stays engaged until usage is down."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.database.session import Pool
from connection_guard.core.decision.engagement import (
    Engagement,
    after_escalation,
    after_observation,
    below_target,
    from_text,
    ready_to_save,
    saved_last,
    to_text,
    with_attempt,
    with_events,
    with_outcomes,
    with_usage,
)
from connection_guard.core.decision.outcome import Outcome, Reconnection, Result
from connection_guard.core.decision.plan import Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.deployment.events import AlarmNotification, Event, Heartbeat, read_event
from connection_guard.core.policy import Action, Tier
from tests.support.builders import (
    CRITICAL_ALARM,
    NOW,
    WARNING_ALARM,
    a_session,
    an_alarm_event,
    some_settings,
)

LEAK = Pool("app", "leak", "10.0.0.1")


def alarm(arn: str = CRITICAL_ALARM, *, state: str = "ALARM", minute: int = 0) -> AlarmNotification:
    event = read_event(
        an_alarm_event(arn, state=state, changed_at=NOW + timedelta(minutes=minute)),
        some_settings(),
    )
    assert isinstance(event, AlarmNotification)
    return event


def after(
    engagement: Engagement,
    event: Event,
    usage: float,
    *,
    is_stale: bool = False,
    observes_critical: bool = False,
) -> Engagement:
    is_heartbeat = is_stale or isinstance(event, Heartbeat)
    if isinstance(event, AlarmNotification) and not is_stale:
        engagement = with_events(engagement, [event])
    return with_usage(
        engagement,
        usage,
        is_heartbeat=is_heartbeat,
        target_percent=70,
        critical_percent=90,
        observes_critical=observes_critical,
    )


def after_run(
    engagement: Engagement,
    minute: int,
    results: Sequence[Result] = (),
    reconnections: tuple[Reconnection, ...] = (),
) -> Engagement:
    """As a run that began in that minute left it."""
    now = NOW + timedelta(minutes=minute)
    outcomes = [
        Outcome(
            Verdict(a_session(), Action.TERMINATE, "a rule", Reason(ReasonCode.NO_RULE)), result
        )
        for result in results
    ]
    return with_outcomes(with_attempt(engagement, now, len(outcomes)), now, outcomes, reconnections)


def heartbeat(minute: int) -> Heartbeat:
    return Heartbeat(NOW + timedelta(minutes=minute))


def test_an_alarm_engages_until_usage_is_below_the_target() -> None:
    engaged = after(Engagement(), alarm(), 95)
    assert engaged.tier is Tier.CRITICAL
    assert after(engaged, heartbeat(1), 70).tier is Tier.CRITICAL
    assert after(engaged, heartbeat(1), 69.9).tier is None


def test_a_warning_after_a_critical_alarm_does_not_lower_the_tier_and_a_critical_raises_it() -> (
    None
):
    assert after(after(Engagement(), alarm(), 95), alarm(WARNING_ALARM), 95).tier is Tier.CRITICAL
    assert after(after(Engagement(), alarm(WARNING_ALARM), 80), alarm(), 95).tier is Tier.CRITICAL


def test_an_alarm_that_is_over_or_stale_engages_nothing() -> None:
    assert after(Engagement(), alarm(state="OK"), 95).tier is None
    assert after(Engagement(), alarm(state="INSUFFICIENT_DATA"), 95).tier is None
    assert after(Engagement(), alarm(), 95, is_stale=True).tier is None


def test_two_critical_looks_in_a_row_engage_without_an_alarm() -> None:
    once = after(Engagement(), heartbeat(1), 90)
    assert once.tier is None
    assert after(once, heartbeat(2), 90).tier is Tier.CRITICAL
    assert after(after(once, heartbeat(2), 89), heartbeat(3), 90).tier is None


def test_a_stale_alarm_counts_as_a_heartbeat() -> None:
    once = after(Engagement(), alarm(), 95, is_stale=True)
    assert after(once, heartbeat(1), 95).tier is Tier.CRITICAL


def test_after_an_escalation_heartbeats_do_not_engage_again_but_a_new_alarm_does() -> None:
    engaged = after(Engagement(), alarm(), 95)
    notified = after_escalation(engaged)
    for minute in range(1, 6):
        notified = after(notified, heartbeat(minute), 95)
        assert notified.tier is None
    assert after(notified, alarm(), 95).tier is None, "the same alarm delivered again is no news"
    again = after(notified, alarm(minute=10), 95)
    assert (again.tier, again.attempts, again.has_escalated) == (Tier.CRITICAL, 0, False)


def test_usage_below_the_target_ends_an_escalation() -> None:
    calm = after(after_escalation(after(Engagement(), alarm(), 95)), heartbeat(1), 50)
    assert not calm.has_escalated
    assert after(after(calm, heartbeat(2), 95), heartbeat(3), 95).tier is Tier.CRITICAL


def test_a_warning_that_fires_again_after_an_escalation_lets_heartbeats_engage_again() -> None:
    notified = after_escalation(after(Engagement(), alarm(), 95))
    for minute in range(1, 9):
        notified = after(notified, heartbeat(minute), 100)
    observed = after_observation(after(notified, alarm(WARNING_ALARM, minute=9), 100))
    assert observed.tier is None
    assert after(observed, heartbeat(10), 100).tier is Tier.CRITICAL


def test_where_the_policy_only_observes_at_critical_looks_report_a_shortage_once() -> None:
    once = after(Engagement(), heartbeat(1), 95, observes_critical=True)
    engaged = after(once, heartbeat(2), 95, observes_critical=True)
    assert engaged.tier is Tier.CRITICAL
    observed = after_observation(engaged)
    for minute in range(3, 9):
        observed = after(observed, heartbeat(minute), 95, observes_critical=True)
        assert observed.tier is None
    assert after(observed, heartbeat(9), 95).tier is Tier.CRITICAL, (
        "somebody deployed a policy that enforces"
    )
    calm = after(observed, heartbeat(9), 50, observes_critical=True)
    again = after(
        after(calm, heartbeat(10), 95, observes_critical=True),
        heartbeat(11),
        95,
        observes_critical=True,
    )
    assert again.tier is Tier.CRITICAL


def test_terminations_count_for_an_hour_by_the_databases_clock() -> None:
    engagement = after_run(
        after_run(Engagement(), 0, [Result.TERMINATED] * 40), 59, [Result.TERMINATED] * 2
    )
    assert engagement.attempts == 2
    assert engagement.terminated_within_the_hour(NOW + timedelta(minutes=59)) == 42
    assert engagement.terminated_within_the_hour(NOW + timedelta(minutes=60)) == 2


def test_a_run_that_did_not_live_to_its_end_counts_with_all_that_it_was_about_to_terminate() -> (
    None
):
    begun = with_attempt(Engagement(), NOW, 40)
    assert (begun.attempts, begun.terminated_within_the_hour(NOW)) == (1, 40)


def test_only_what_was_or_may_have_been_signalled_counts() -> None:
    engagement = after_run(Engagement(), 0, list(Result))
    assert engagement.terminated_within_the_hour(NOW) == len(
        {Result.TERMINATED, Result.SURVIVED, Result.UNKNOWN}
    )


def test_a_pool_that_reopened_half_of_what_it_lost_is_remembered_for_an_hour() -> None:
    reopened = after_run(Engagement(), 0, reconnections=(Reconnection(LEAK, 40, 20),))
    assert reopened.reopening_pools(NOW + timedelta(minutes=59)) == {LEAK}
    assert reopened.reopening_pools(NOW + timedelta(minutes=60)) == frozenset()
    half = after_run(Engagement(), 0, reconnections=(Reconnection(LEAK, 40, 19),))
    assert half.reopening_pools(NOW) == frozenset()


def test_whom_runs_could_not_move_is_known_until_usage_is_down() -> None:
    stuck = after_run(
        Engagement(), 0, [Result.SURVIVED, Result.DENIED, Result.TERMINATED, Result.LEFT]
    )
    assert len(stuck.unmoved) == 2
    assert after_run(stuck, 1, [Result.TERMINATED]).unmoved == stuck.unmoved
    assert below_target(stuck).unmoved == frozenset()


def test_the_memory_stays_small() -> None:
    engagement = Engagement()
    for minute in range(1000):
        pools = tuple(
            Reconnection(Pool("app" * 20, f"{minute} {number}" * 10, "10.0.0.1"), 3, 3)
            for number in range(10)
        )
        engagement = after(engagement, alarm(minute=minute), 95)
        engagement = after_run(engagement, minute, [Result.SURVIVED] * 5, pools)
        engagement = ready_to_save(engagement, NOW + timedelta(minutes=minute))
    assert len(engagement.terminations) == 60
    assert len(to_text(engagement)) < 20_000


def test_what_was_saved_last_counts() -> None:
    """Whichever execution environment saved it; where nothing was saved since, this one's own."""
    earlier = ready_to_save(Engagement(attempts=1), NOW)
    later = ready_to_save(Engagement(attempts=2), NOW + timedelta(minutes=1))
    own = replace(earlier, attempts=7)
    assert saved_last([own, earlier]) is own
    assert saved_last([own, later]) is later
    assert saved_last([Engagement(), earlier]) is earlier
    after_the_clock_was_set_back = ready_to_save(later, NOW)
    assert saved_last([later, after_the_clock_was_set_back]) is after_the_clock_was_set_back


NAMES = st.text(max_size=20)
TIMES = st.datetimes(timezones=st.just(NOW.tzinfo))
ENGAGEMENTS = st.builds(
    Engagement,
    tier=st.sampled_from([None, *Tier]),
    attempts=st.integers(0, 100),
    has_escalated=st.booleans(),
    has_observed=st.booleans(),
    critical_looks=st.integers(0, 2),
    terminations=st.lists(st.tuples(TIMES, st.integers(0, 300))).map(tuple),
    reopening=st.dictionaries(st.builds(Pool, NAMES, NAMES, NAMES), TIMES, max_size=5),
    unmoved=st.frozensets(st.tuples(st.integers(1, 2**22), TIMES), max_size=5),
    seen=st.dictionaries(NAMES, TIMES, max_size=5),
    saved_at=TIMES,
)


@given(ENGAGEMENTS)
def test_what_is_kept_in_the_database_is_ascii_and_is_read_back_as_it_was(
    engagement: Engagement,
) -> None:
    text = to_text(engagement)
    assert text.isascii()
    assert text.isprintable()
    assert from_text(text) == engagement


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "{}", "3", '{"saved_at": null}', "[" * 100_000),
        to_text(Engagement()),
        to_text(ready_to_save(Engagement(), NOW)).replace("+00:00", ""),
        to_text(ready_to_save(Engagement(), NOW)).replace('"seen":{}', '"seen":[]'),
    ],
    ids=range(11),
)
def test_what_is_not_an_engagement_is_ignored(text: str) -> None:
    assert from_text(text) is None
