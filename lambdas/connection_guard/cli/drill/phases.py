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
    ALARM = "alarm"
    RESPONDER = "responder"
    RELIEF = "relief"
    LET_GO = "let go"
    CLEARED = "alarm cleared"
    RESOLVED = "resolved"


NOTIFIED = "notified: "
"""What the name of a channel's phase begins with."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One thing that is to happen, at most `patience` after another has."""

    name: str
    after: str
    patience: timedelta


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
    """Return what is to happen once the line is crossed; where the policy does not let the guard
    act there is no relief.

    CloudWatch has a metric of RDS after one or two minutes, and its alarms look once per minute;
    the responder tries once per minute; a channel that refuses is tried again within two minutes.
    """
    relief = (_phase(PhaseName.RELIEF, PhaseName.RESPONDER, 5),) if acts else ()
    return (
        _phase(PhaseName.ALARM, PhaseName.FILLED, 5),
        _phase(PhaseName.RESPONDER, PhaseName.ALARM, 3),
        *relief,
        *(_phase(f"{NOTIFIED}{channel}", PhaseName.RESPONDER, 4) for channel in channels),
        _phase(PhaseName.CLEARED, PhaseName.LET_GO, 10),
        _phase(PhaseName.RESOLVED, PhaseName.CLEARED, 4),
    )


def _phase(name: str, after: PhaseName, minutes: int) -> Phase:
    return Phase(name, after, timedelta(minutes=minutes))


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
    if PhaseName.ALARM in known:
        found |= _end(seen, known, now, is_reported=bool(looks))
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


def _end(
    seen: Sighting, known: Mapping[str, datetime], now: datetime, *, is_reported: bool
) -> Iterator[tuple[str, datetime]]:
    if PhaseName.LET_GO in known and not seen.alarms_on:
        changed_at = max((alarm.changed_at for alarm in seen.alarms.values()), default=now)
        yield PhaseName.CLEARED, max(changed_at, known[PhaseName.ALARM])
    incident = seen.incident if is_reported else None
    if incident is not None and incident.progress is Progress.CLOSED and incident.closed_at:
        yield PhaseName.RESOLVED, max(incident.closed_at, known[PhaseName.ALARM])


def may_let_go(phases: Iterable[Phase], known: Mapping[str, datetime], *, acts: bool) -> bool:
    """Return whether the drill's sessions have done what they were opened for."""
    if acts:
        return PhaseName.RELIEF in known
    at_the_end = (PhaseName.CLEARED, PhaseName.RESOLVED)
    return all(phase.name in known for phase in phases if phase.name not in at_the_end)


def overdue(phases: Iterable[Phase], known: Mapping[str, datetime], now: datetime) -> Phase | None:
    """Return the first phase that has not happened although its patience has passed."""
    for phase in phases:
        since = known.get(phase.after)
        if phase.name not in known and since is not None and now - since > phase.patience:
            return phase
    return None


def seconds_of(known: Mapping[str, datetime], began_at: datetime) -> dict[str, float]:
    """Return how long each phase took: `filled` from the beginning on, the others from then on."""
    crossed_at = known.get(PhaseName.FILLED, began_at)
    return {
        name: round(
            (at - (began_at if name == PhaseName.FILLED else crossed_at)).total_seconds(), 1
        )
        for name, at in known.items()
    }
