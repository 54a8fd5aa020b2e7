"""What is remembered between runs: an alarm fires once per transition, so it engages the responder
until usage is down.

Every execution environment keeps it in memory and in the database (`to_text`, `from_text`): an
environment may serve a single event, and two of them may take turns. The one that was saved last
counts.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from connection_guard.core.database.session import Identity, Pool
from connection_guard.core.decision.outcome import (
    UNMOVED,
    Outcome,
    Reconnection,
    reopening_applications,
)
from connection_guard.core.deployment.events import AlarmNotification, AlarmState
from connection_guard.core.policy import Tier

# A metric is late, and can be blind: this many looks in a row at or above critical engage the
# responder without an alarm. One may be a peak that passes.
LOOKS_TO_ENGAGE = 2
HOUR = timedelta(hours=1)

# What is kept in the database is one setting of a role: a few KB.
MOST_KEYS = 20
MOST_POOLS = 20
MOST_UNMOVED = 100

_NEVER = datetime.min.replace(tzinfo=UTC)
_SHORTEST = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Engagement:
    """What the responder does about a shortage, and what bounds it. Times are the database's own.

    `tier` is None while nothing is to be done. `has_escalated` keeps a shortage that people were
    notified of from engaging again before usage was down or another alarm fired; `has_observed`
    does so where the policy only observes. `unmoved` names the sessions that were chosen and could
    not be moved. `seen` maps the keys of alarms to when they changed. `saved_at` is None for what
    was never saved.
    """

    tier: Tier | None = None
    attempts: int = 0
    has_escalated: bool = False
    has_observed: bool = False
    critical_looks: int = 0
    terminations: tuple[tuple[datetime, int], ...] = ()
    reopening: Mapping[Pool, datetime] = field(default_factory=dict)
    unmoved: frozenset[Identity] = frozenset()
    seen: Mapping[str, datetime] = field(default_factory=dict)
    saved_at: datetime | None = None

    @property
    def is_pressed(self) -> bool:
        """Whether there is a shortage that something is done about, or that people were notified
        of.
        """
        return self.tier is not None or self.has_escalated

    def terminated_within_the_hour(self, now: datetime) -> int:
        """Return how many sessions were terminated within the hour before `now`."""
        return sum(count for at, count in self.terminations if now - at < HOUR)

    def reopening_pools(self, now: datetime) -> frozenset[Pool]:
        """Return the pools that, within the hour before `now`, reopened what was terminated."""
        return frozenset(pool for pool, at in self.reopening.items() if now - at < HOUR)


def recalled(memories: Iterable[str], now: datetime) -> Engagement:
    """Return the engagement that was saved last of what `to_text` wrote, a new one where there is
    none.

    An engagement from the future is ignored, like a text that cannot be read.
    """
    known = [
        each
        for each in map(from_text, memories)
        if each and each.saved_at and each.saved_at - now < HOUR
    ]
    return saved_last([Engagement(), *known])


def saved_last(known: Iterable[Engagement]) -> Engagement:
    """Return the engagement that was saved last, the first of them where several were saved at
    once.
    """
    return max(known, key=lambda each: each.saved_at or _NEVER)


def at_present(engagement: Engagement, now: datetime) -> Engagement:
    """Return the engagement as it holds at `now`.

    One that still applies is saved again at least every half hour (`has_to_be_saved`). An older one
    is from another life of this database: it was restored or cloned, or the guard was away.
    """
    if engagement.saved_at is None or now - engagement.saved_at < HOUR:
        return engagement
    return replace(disengaged(engagement), critical_looks=0, unmoved=frozenset())


def has_to_be_saved(engagement: Engagement, stored: Engagement, now: datetime) -> bool:
    """Return whether the next run has to know of a change, or that the engagement still lasts."""
    if engagement != stored:
        return True
    return (
        engagement.is_pressed
        and engagement.saved_at is not None
        and now - engagement.saved_at > HOUR / 2
    )


def ready_to_save(engagement: Engagement, now: datetime) -> Engagement:
    """Return the engagement as it is saved at `now`, without what no longer bounds anything."""
    now = max(now, (engagement.saved_at or _NEVER) + _SHORTEST)
    return replace(
        engagement,
        terminations=tuple((at, count) for at, count in engagement.terminations if now - at < HOUR),
        reopening={pool: at for pool, at in engagement.reopening.items() if now - at < HOUR},
        seen={key: at for key, at in engagement.seen.items() if now - at < HOUR},
        saved_at=now,
    )


def with_events(engagement: Engagement, alarms: Iterable[AlarmNotification]) -> Engagement:
    """Engage at the tier of each alarm that is in state ALARM; a warning does not lower what is
    critical.

    An alarm that is delivered again is not news: it does not engage the responder if people were
    notified of it.
    """
    for alarm in alarms:
        engagement = _with_alarm(engagement, alarm)
    return engagement


def _with_alarm(engagement: Engagement, alarm: AlarmNotification) -> Engagement:
    is_news = alarm.key not in engagement.seen
    seen = {**engagement.seen, alarm.key: alarm.changed_at}
    engagement = replace(engagement, seen=dict(list(seen.items())[-MOST_KEYS:]))
    if alarm.state is not AlarmState.ALARM or (engagement.has_escalated and not is_news):
        return engagement
    tier = Tier.CRITICAL if engagement.tier is Tier.CRITICAL else alarm.tier
    attempts = engagement.attempts if engagement.tier is tier else 0
    return replace(
        engagement, tier=tier, attempts=attempts, has_escalated=False, has_observed=False
    )


def with_usage(
    engagement: Engagement,
    utilisation: float,
    *,
    is_heartbeat: bool,
    target_percent: float,
    critical_percent: float,
    observes_critical: bool,
) -> Engagement:
    """Return the engagement after a measurement.

    Usage below the target ends it. Two looks of heartbeats in a row at or above critical engage it
    without an alarm, unless people have been notified of this shortage already, or the policy only
    observes at critical (`observes_critical`) and has done so.
    """
    if utilisation < target_percent:
        return below_target(engagement)
    if not is_heartbeat:
        return engagement
    in_a_row = (
        min(engagement.critical_looks + 1, LOOKS_TO_ENGAGE)
        if utilisation >= critical_percent
        else 0
    )
    is_known = engagement.has_escalated or (engagement.has_observed and observes_critical)
    engages = in_a_row == LOOKS_TO_ENGAGE and not is_known
    return replace(
        engagement, critical_looks=in_a_row, tier=Tier.CRITICAL if engages else engagement.tier
    )


def with_attempt(engagement: Engagement, now: datetime, chosen: int) -> Engagement:
    """Count an attempt that is about to terminate `chosen` sessions, in case the run is killed."""
    terminations = (*engagement.terminations, (now, chosen)) if chosen else engagement.terminations
    return replace(engagement, attempts=engagement.attempts + 1, terminations=terminations)


def with_outcomes(
    engagement: Engagement,
    now: datetime,
    outcomes: Iterable[Outcome],
    reconnections: tuple[Reconnection, ...],
) -> Engagement:
    """Record how the attempt begun at `now` ended: what it signalled, whom it could not move, which
    pools reopened.
    """
    outcomes = tuple(outcomes)
    signalled = sum(outcome.is_signalled for outcome in outcomes)
    reopened = {
        each.pool: now for pools in reopening_applications(reconnections).values() for each in pools
    }
    reopening = {**engagement.reopening, **reopened}
    kept = sorted(reopening, key=lambda pool: reopening[pool], reverse=True)[:MOST_POOLS]
    unmoved = [
        outcome.verdict.session.identity for outcome in outcomes if outcome.result in UNMOVED
    ]
    unmoved += engagement.unmoved
    return replace(
        engagement,
        terminations=tuple(
            (at, signalled if at == now else count) for at, count in engagement.terminations
        ),
        reopening={pool: reopening[pool] for pool in kept},
        unmoved=frozenset(unmoved[:MOST_UNMOVED]),
    )


def below_target(engagement: Engagement) -> Engagement:
    """Return the engagement once usage is down: resolved, until another alarm."""
    return replace(
        disengaged(engagement),
        has_escalated=False,
        has_observed=False,
        critical_looks=0,
        unmoved=frozenset(),
    )


def after_escalation(engagement: Engagement) -> Engagement:
    """Return the engagement once people are notified: the guard does no more about it."""
    return replace(disengaged(engagement), has_escalated=True)


def after_observation(engagement: Engagement) -> Engagement:
    """Return the engagement of a policy that only observes: one report per shortage is enough."""
    return replace(disengaged(engagement), has_observed=True)


def disengaged(engagement: Engagement) -> Engagement:
    """Return the engagement at rest until the next alarm or the next two looks at critical."""
    return replace(engagement, tier=None, attempts=0)


def to_text(engagement: Engagement) -> str:
    """Return the engagement as JSON in ASCII, for `from_text`."""
    return json.dumps(
        {
            "saved_at": engagement.saved_at and engagement.saved_at.isoformat(),
            "tier": engagement.tier,
            "attempts": engagement.attempts,
            "has_escalated": engagement.has_escalated,
            "has_observed": engagement.has_observed,
            # The name is that of the first version: an update loses nothing in a shortage.
            "critical_pulses": engagement.critical_looks,
            "terminations": [[at.isoformat(), count] for at, count in engagement.terminations],
            "reopening": [
                [pool.role, pool.application_name, pool.client_address, at.isoformat()]
                for pool, at in engagement.reopening.items()
            ],
            "unmoved": sorted([pid, start.isoformat()] for pid, start in engagement.unmoved),
            "seen": {key: at.isoformat() for key, at in engagement.seen.items()},
        },
        separators=(",", ":"),
    )


def from_text(text: str) -> Engagement | None:
    """Return the engagement that `to_text` wrote, None where the text is another."""
    try:
        written = json.loads(text)
        return Engagement(
            tier=Tier(written["tier"]) if written["tier"] else None,
            attempts=int(written["attempts"]),
            has_escalated=bool(written["has_escalated"]),
            has_observed=bool(written["has_observed"]),
            critical_looks=int(written["critical_pulses"]),
            terminations=tuple((_time(at), int(count)) for at, count in written["terminations"]),
            reopening={
                Pool(str(role), str(application), str(client)): _time(at)
                for role, application, client, at in written["reopening"]
            },
            unmoved=frozenset((int(pid), _time(start)) for pid, start in written["unmoved"]),
            seen={str(key): _time(at) for key, at in written["seen"].items()},
            saved_at=_time(written["saved_at"]),
        )
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        return None


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time
