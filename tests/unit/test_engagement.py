"""An alarm fires once per transition; the responder stays engaged until usage is down."""

from datetime import timedelta

from connection_guard.core.alarm import AlarmNotification, Event, Pulse, read_event
from connection_guard.core.engagement import Engagement, after_escalation, with_event, with_run, with_usage
from connection_guard.core.outcome import Reconnection
from connection_guard.core.policy import Tier
from connection_guard.core.session import Pool
from tests.builders import CRITICAL_ALARM, NOW, WARNING_ALARM, an_alarm_event, some_settings

LEAK = Pool("app", "leak", "10.0.0.1")


def alarm(arn: str = CRITICAL_ALARM, *, state: str = "ALARM", minute: int = 0) -> AlarmNotification:
    event = read_event(an_alarm_event(arn, state=state, changed_at=NOW + timedelta(minutes=minute)), some_settings())
    assert isinstance(event, AlarmNotification)
    return event


def after(engagement: Engagement, event: Event, usage: float, *, is_stale: bool = False) -> Engagement:
    engagement = with_event(engagement, event, is_stale=is_stale)
    is_pulse = is_stale or isinstance(event, Pulse)
    return with_usage(engagement, usage, is_pulse=is_pulse, target_percent=70, critical_percent=90)


def pulse(minute: int) -> Pulse:
    return Pulse(NOW + timedelta(minutes=minute))


def test_an_alarm_engages_until_usage_is_below_the_target() -> None:
    engaged = after(Engagement(), alarm(), 95)
    assert engaged.tier is Tier.CRITICAL
    assert after(engaged, pulse(1), 70).tier is Tier.CRITICAL
    assert after(engaged, pulse(1), 69.9).tier is None


def test_a_warning_after_a_critical_alarm_does_not_lower_the_tier_and_a_critical_raises_it() -> None:
    assert after(after(Engagement(), alarm(), 95), alarm(WARNING_ALARM), 95).tier is Tier.CRITICAL
    assert after(after(Engagement(), alarm(WARNING_ALARM), 80), alarm(), 95).tier is Tier.CRITICAL


def test_an_alarm_that_is_over_or_stale_engages_nothing() -> None:
    assert after(Engagement(), alarm(state="OK"), 95).tier is None
    assert after(Engagement(), alarm(state="INSUFFICIENT_DATA"), 95).tier is None
    assert after(Engagement(), alarm(), 95, is_stale=True).tier is None


def test_two_critical_pulses_in_a_row_engage_without_an_alarm() -> None:
    once = after(Engagement(), pulse(1), 90)
    assert once.tier is None
    assert after(once, pulse(2), 90).tier is Tier.CRITICAL
    assert after(after(once, pulse(2), 89), pulse(3), 90).tier is None


def test_a_stale_alarm_counts_as_a_pulse() -> None:
    once = after(Engagement(), alarm(), 95, is_stale=True)
    assert after(once, pulse(1), 95).tier is Tier.CRITICAL


def test_after_an_escalation_pulses_do_not_engage_again_but_a_new_alarm_does() -> None:
    engaged = after(Engagement(), alarm(), 95)
    told = after_escalation(engaged)
    for minute in range(1, 6):
        told = after(told, pulse(minute), 95)
        assert told.tier is None
    assert after(told, alarm(), 95).tier is None, "the same alarm delivered again is no news"
    again = after(told, alarm(minute=10), 95)
    assert (again.tier, again.attempts, again.has_escalated) == (Tier.CRITICAL, 0, False)


def test_usage_below_the_target_ends_an_escalation() -> None:
    calm = after(after_escalation(after(Engagement(), alarm(), 95)), pulse(1), 50)
    assert not calm.has_escalated
    assert after(after(calm, pulse(2), 95), pulse(3), 95).tier is Tier.CRITICAL


def test_terminations_count_for_an_hour_by_the_databases_clock() -> None:
    engagement = with_run(with_run(Engagement(), NOW, 40, ()), NOW + timedelta(minutes=59), 2, ())
    assert engagement.attempts == 2
    assert engagement.terminated_within_the_hour(NOW + timedelta(minutes=59)) == 42
    assert engagement.terminated_within_the_hour(NOW + timedelta(minutes=60)) == 2


def test_a_pool_that_reopened_half_of_what_it_lost_is_remembered_for_an_hour() -> None:
    reopened = with_run(Engagement(), NOW, 40, (Reconnection(LEAK, 40, 20),))
    assert reopened.reopening_pools(NOW + timedelta(minutes=59)) == {LEAK}
    assert reopened.reopening_pools(NOW + timedelta(minutes=60)) == frozenset()
    assert with_run(Engagement(), NOW, 40, (Reconnection(LEAK, 40, 19),)).reopening_pools(NOW) == frozenset()


def test_the_memory_stays_small() -> None:
    engagement = Engagement()
    for minute in range(1000):
        engagement = with_run(after(engagement, pulse(minute), 95), NOW + timedelta(minutes=minute), 1, ())
    assert len(engagement.seen) == 100
    assert len(engagement.terminations) == 60
