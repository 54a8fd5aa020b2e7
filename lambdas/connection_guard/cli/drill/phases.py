"""The phases of a drill: what has happened by now, what is late, and how that compares."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from connection_guard.core.deployment.alarm_names import USAGE_TIERS
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.channel.notified import Notified
from connection_guard.core.policy import Tier

CRITICAL_ALARMS = tuple(what for what, tier in USAGE_TIERS.items() if tier is Tier.CRITICAL)


class PhaseName(StrEnum):
    """The phases, but for one per channel."""

    FILLED = "filled"
    RESPONDER = "responder"
    ALARM = "alarm"
    RELIEF = "relief"
    LET_GO = "let go"
    RESOLVED = "resolved"


NOTIFIED = "notified: "
"""What the name of a channel's phase begins with."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One thing that is to happen, at most `patience` after another has; once `unless` has happened
    it need not.
    """

    name: str
    after: str
    patience: timedelta
    unless: str | None = None


@dataclass(frozen=True, slots=True)
class AlarmSeen:
    """An alarm's state, and since when, by CloudWatch's clock."""

    state: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known outside the database at one moment: the database's alarms by their names, its
    latest incident, and what each channel was notified of that.
    """

    alarms: Mapping[str, AlarmSeen]
    incident: Incident | None = None
    notified: Mapping[str, Notified] | None = None

    @property
    def alarms_on(self) -> list[str]:
        """Return the names of the alarms in state ALARM."""
        return [name for name, seen in self.alarms.items() if seen.state == AlarmState.ALARM]

    @property
    def critical_alarms_on(self) -> list[str]:
        """Return the names of those that engage the guard."""
        return [name for name in self.alarms_on if name.endswith(CRITICAL_ALARMS)]


@dataclass(frozen=True, slots=True)
class Inside:
    """What is known inside the database at one moment: when the first of the drill's sessions was
    ended by the server, and whether usage is below the policy's target.
    """

    first_end: datetime | None
    is_below_target: bool


def expected_phases(channels: Iterable[str], *, acts: bool) -> tuple[Phase, ...]:
    """Return what is to happen once the line is crossed. A heartbeat mostly acts before an alarm
    could fire; where the policy does not let the guard act there is no relief, and usage stays high
    until an alarm fires.

    A heartbeat looks at least once per minute. CloudWatch has a metric of RDS after one or two
    minutes, and its alarms look once per minute: an incident stays open until those that fired are
    OK. The responder tries once per minute; a channel that refuses is tried again within two
    minutes.
    """
    relief = (_phase(PhaseName.RELIEF, PhaseName.RESPONDER, 5),) if acts else ()
    return (
        _phase(PhaseName.RESPONDER, PhaseName.FILLED, 5),
        _phase(PhaseName.ALARM, PhaseName.FILLED, 5, PhaseName.RESPONDER if acts else None),
        *relief,
        *(_phase(f"{NOTIFIED}{channel}", PhaseName.RESPONDER, 4) for channel in channels),
        _phase(PhaseName.RESOLVED, PhaseName.LET_GO, 14),
    )


def _phase(name: str, after: PhaseName, minutes: int, unless: str | None = None) -> Phase:
    return Phase(name, after, timedelta(minutes=minutes), unless)


def happened(
    before: Sighting,
    seen: Sighting,
    inside: Inside,
    known: Mapping[str, datetime],
    now: datetime,
    *,
    acts: bool,
) -> dict[str, datetime]:
    """Return when each phase happened, as far as it has by now; `known` are those of the last look.

    `before` is the sighting before the line was crossed. Times of AWS are by its own clocks, so
    nothing is taken to have happened before what it follows from.
    """
    crossed_at = known[PhaseName.FILLED]
    looks = [entry.at for entry in new_entries(before, seen) if entry.tier is Tier.CRITICAL]
    found = dict(
        (
            *_alarm(seen),
            *_inside(inside, now, acts=acts),
            *_outside(before, seen, looks, acts=acts),
        )
    )
    if looks and PhaseName.LET_GO in known:
        found |= _end(seen, known[PhaseName.LET_GO])
    return {**{name: max(at, crossed_at) for name, at in found.items()}, **known}


def new_entries(before: Sighting, seen: Sighting) -> tuple[Entry, ...]:
    """Return what has come to the database's incident, or with a new one, since the first look."""
    if seen.incident is None:
        return ()
    old = {entry.request_id for entry in before.incident.entries} if before.incident else set()
    return tuple(entry for entry in seen.incident.entries if entry.request_id not in old)


def _alarm(seen: Sighting) -> Iterator[tuple[str, datetime]]:
    changes = [seen.alarms[name].changed_at for name in seen.critical_alarms_on]
    if changes:
        yield PhaseName.ALARM, min(changes)


def _inside(inside: Inside, now: datetime, *, acts: bool) -> Iterator[tuple[str, datetime]]:
    if acts and inside.first_end is not None:
        yield PhaseName.RESPONDER, inside.first_end
    if acts and inside.is_below_target:
        yield PhaseName.RELIEF, now


def _outside(
    before: Sighting, seen: Sighting, looks: Sequence[datetime], *, acts: bool
) -> Iterator[tuple[str, datetime]]:
    if not looks:
        return
    if not acts:
        yield PhaseName.RESPONDER, min(looks)
    for channel, notified in (seen.notified or {}).items():
        known = (before.notified or {}).get(channel)
        is_news = known is None or known.news_at != notified.news_at
        if is_news and notified.news_at is not None:
            yield f"{NOTIFIED}{channel}", notified.news_at


def _end(seen: Sighting, let_go_at: datetime) -> Iterator[tuple[str, datetime]]:
    incident = seen.incident
    if incident is not None and incident.progress is Progress.CLOSED and incident.closed_at:
        yield PhaseName.RESOLVED, max(incident.closed_at, let_go_at)


def missing(phases: Iterable[Phase], known: Mapping[str, datetime]) -> list[Phase]:
    """Return what has yet to happen."""
    return [phase for phase in phases if phase.name not in known and phase.unless not in known]


def may_let_go(phases: Iterable[Phase], known: Mapping[str, datetime], *, acts: bool) -> bool:
    """Return whether the drill's sessions have done what they were opened for."""
    if acts:
        return PhaseName.RELIEF in known
    return all(phase.name == PhaseName.RESOLVED for phase in missing(phases, known))


def overdue(phases: Iterable[Phase], known: Mapping[str, datetime], now: datetime) -> list[Phase]:
    """Return the phases that have not happened although their patience has passed."""
    return [
        phase
        for phase in missing(phases, known)
        if phase.after in known and now - known[phase.after] > phase.patience
    ]


def seconds_of(known: Mapping[str, datetime], began_at: datetime) -> dict[str, float]:
    """Return how long each phase took: `filled` from the beginning on, the others from then on."""
    crossed_at = known.get(PhaseName.FILLED, began_at)
    return {
        name: round(
            (at - (began_at if name == PhaseName.FILLED else crossed_at)).total_seconds(), 1
        )
        for name, at in known.items()
    }
