"""What is remembered between runs: an alarm fires once per transition, so it engages the responder until usage is down.

Held in module memory and possibly lost with the execution environment: the live state decides anyway.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connection_guard.core.alarm import AlarmNotification, AlarmState, Event
from connection_guard.core.outcome import Reconnection, reopening_applications
from connection_guard.core.policy import Tier
from connection_guard.core.session import Pool

# A metric can be late or blind: this many pulses in a row at or above critical engage the responder without an alarm.
PULSES_TO_ENGAGE = 2
HOUR = timedelta(hours=1)
KEYS_REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Engagement:
    """`tier` is None while nothing is to be done. `has_escalated` keeps a pressure that people were told of from
    engaging again before usage was down or another alarm fired. Times are the database's own.
    """

    tier: Tier | None = None
    attempts: int = 0
    has_escalated: bool = False
    critical_pulses: int = 0
    terminations: tuple[tuple[datetime, int], ...] = ()
    reopening: Mapping[Pool, datetime] = field(default_factory=dict)
    seen: tuple[str, ...] = ()

    @property
    def is_pressed(self) -> bool:
        """Whether there is a pressure that something is done about, or that people were told of."""
        return self.tier is not None or self.has_escalated

    def terminated_within_the_hour(self, now: datetime) -> int:
        """How many sessions were terminated within the hour before `now`."""
        return sum(count for at, count in self.terminations if now - at < HOUR)

    def reopening_pools(self, now: datetime) -> frozenset[Pool]:
        """The pools that, within the hour before `now`, reopened what was terminated."""
        return frozenset(pool for pool, at in self.reopening.items() if now - at < HOUR)


def with_event(engagement: Engagement, event: Event, *, is_stale: bool) -> Engagement:
    """An alarm that is not stale engages at its tier; a warning does not lower what is critical.

    One that is delivered again is no news: it does not engage what people were told of.
    """
    is_news = event.key not in engagement.seen
    engagement = replace(engagement, seen=(*engagement.seen, event.key)[-KEYS_REMEMBERED:])
    if not isinstance(event, AlarmNotification) or event.state is not AlarmState.ALARM or is_stale:
        return engagement
    if engagement.has_escalated and not is_news:
        return engagement
    tier = Tier.CRITICAL if engagement.tier is Tier.CRITICAL else event.tier
    attempts = engagement.attempts if engagement.tier is tier else 0
    return replace(engagement, tier=tier, attempts=attempts, has_escalated=False)


def with_usage(
    engagement: Engagement, utilisation: float, *, is_pulse: bool, target_percent: float, critical_percent: float
) -> Engagement:
    """Usage below the target ends it; two pulses in a row at or above critical engage it without an alarm."""
    if utilisation < target_percent:
        return below_target(engagement)
    if not is_pulse:
        return engagement
    critical_pulses = engagement.critical_pulses + 1 if utilisation >= critical_percent else 0
    engages = critical_pulses == PULSES_TO_ENGAGE and not engagement.has_escalated
    return replace(engagement, critical_pulses=critical_pulses, tier=Tier.CRITICAL if engages else engagement.tier)


def with_run(
    engagement: Engagement, now: datetime, terminated: int, reconnections: tuple[Reconnection, ...]
) -> Engagement:
    """One attempt more, what it terminated, and the pools that reopened what they lost."""
    reopened = {each.pool: now for pools in reopening_applications(reconnections).values() for each in pools}
    return replace(
        engagement,
        attempts=engagement.attempts + 1,
        terminations=tuple(
            (at, count) for at, count in (*engagement.terminations, (now, terminated)) if now - at < HOUR
        ),
        reopening={pool: at for pool, at in {**engagement.reopening, **reopened}.items() if now - at < HOUR},
    )


def below_target(engagement: Engagement) -> Engagement:
    """Usage is down: over, until another alarm."""
    return replace(disengaged(engagement), has_escalated=False, critical_pulses=0)


def after_escalation(engagement: Engagement) -> Engagement:
    """People have been told: nothing more is done about this pressure."""
    return replace(disengaged(engagement), has_escalated=True)


def disengaged(engagement: Engagement) -> Engagement:
    """Nothing more is done until the next alarm or the next two critical pulses."""
    return replace(engagement, tier=None, attempts=0)
