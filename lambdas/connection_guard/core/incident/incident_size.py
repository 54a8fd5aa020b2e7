"""What is kept of an incident that is too large: the details of old entries go first; counts and
the latest state stay.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from functools import lru_cache

from connection_guard.core.incident.entry import (
    Entry,
    SessionGroup,
    merged,
    reopened_in_all,
    sessions_in,
    the_rest,
    weight_of_causes,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import body_of

# A DynamoDB item holds 400 KB of everything.
MOST_BYTES = 300_000

# Every delivery reads an incident whole, and people read it: what repeats for days is one entry.
MOST_ENTRIES = 60

# The most groups that an old entry keeps where the incident is too large.
FEW_GROUPS = 3


def bounded(incident: Incident) -> Incident:
    """Return the incident with at most MOST_ENTRIES, in at most MOST_BYTES."""
    small = replace(incident, entries=_merged_to(MOST_ENTRIES, incident.entries))
    for lighten in (_spared_once, _causes_once, _groups_of_old, _half_of_earlier):
        if _fits(small):
            break
        small = lighten(small)
    while not _fits(small):
        fewer = _merged_to(len(small.entries) * 3 // 4, small.entries, only_alike=False)
        if len(fewer) == len(small.entries):
            break
        small = replace(small, entries=fewer)
    if not _fits(small):
        small = replace(small, entries=tuple(map(_with_few_groups, small.entries)), earlier=())
    lost = incident.beginnings - small.beginnings if small.entries != incident.entries else 0
    return replace(small, merged_beginnings=small.merged_beginnings + lost)


def _fits(incident: Incident) -> bool:
    # Compressing takes long, and most incidents are small before it.
    if sum(map(_bytes_of, (*incident.entries, *incident.earlier))) < MOST_BYTES / 2:
        return True
    return len(body_of(incident)) <= MOST_BYTES


@lru_cache(maxsize=4 * MOST_ENTRIES)
def _bytes_of(entry: Entry) -> int:
    return len(json.dumps(asdict(entry), default=datetime.isoformat))


def _spared_once(incident: Incident) -> Incident:
    """Leave what the latest run that spared any session spared."""
    latest = _latest(incident, lambda entry: bool(entry.spared))
    return _each(incident, lambda entry: entry if entry is latest else replace(entry, spared=()))


def _causes_once(incident: Incident) -> Incident:
    """Leave the causes of the worst moment."""
    diagnosed = [entry for entry in incident.entries if entry.causes]
    worst = max(diagnosed, key=weight_of_causes, default=None)
    return _each(incident, lambda entry: entry if entry is worst else replace(entry, causes=()))


def _groups_of_old(incident: Incident) -> Incident:
    """Leave the largest groups of what all but the latest runs terminated."""
    latest_look = _latest(incident, lambda entry: entry.has_looked)
    kept = (latest_look, incident.entries[-1])
    return _each(
        incident,
        lambda entry: (
            entry
            if any(entry is each for each in kept)
            else replace(_with_few_groups(entry), would_terminate=(), problems=())
        ),
    )


def _half_of_earlier(incident: Incident) -> Incident:
    return replace(incident, earlier=incident.earlier[len(incident.earlier) // 2 :])


def _with_few_groups(entry: Entry) -> Entry:
    return replace(
        entry,
        terminated=_few(entry.terminated),
        would_terminate=_few(entry.would_terminate),
        spared=_few(entry.spared),
    )


def _few(groups: tuple[SessionGroup, ...]) -> tuple[SessionGroup, ...]:
    return the_rest(groups[:FEW_GROUPS], sessions_in(groups))


def _latest(incident: Incident, holds: Callable[[Entry], bool]) -> Entry | None:
    return next((entry for entry in reversed(incident.entries) if holds(entry)), None)


def _each(incident: Incident, lighten: Callable[[Entry], Entry]) -> Incident:
    return replace(incident, entries=tuple(map(lighten, incident.entries)))


def alike(entry: Entry) -> tuple[object, ...]:
    """Return what is equal in entries that can replace each other: neither the progress nor the
    reasons why action is required change.
    """
    alarm = entry.alarm and (entry.alarm.arn, entry.alarm.state)
    return entry.kind, alarm, entry.reason, entry.is_below_target


def _merged_to(
    most: int, entries: tuple[Entry, ...], *, only_alike: bool = True
) -> tuple[Entry, ...]:
    """Return at most so many entries: beyond that, the two nearest that are alike become one; among
    those that repeat every minute, these are an entry and the next. The entry that opened the
    incident and the last one stay, and what was before the incident stays before it. Where none are
    alike, the oldest become one or, if only those that are alike may, all stay.
    """
    while len(entries) > most:
        opening = next((place for place, entry in enumerate(entries) if entry.opens), 0)
        kept = (opening, len(entries) - 1)
        latest: dict[tuple[object, ...], int] = {}
        pairs = []
        for place, entry in enumerate(entries):
            if place in kept:
                latest.clear()
                continue
            if (before := latest.get(alike(entry))) is not None:
                pairs.append((place - before, before, place))
            latest[alike(entry)] = place
        if not pairs and not only_alike:
            oldest = (place for place in range(len(entries)) if place not in kept)
            pairs = [(1, place, place + 1) for place in oldest if place + 1 != opening][:1]
        if not pairs:
            break
        _, earlier, later = min(pairs)
        both = _both(entries[earlier], entries[later])
        entries = (*entries[:earlier], *entries[earlier + 1 : later], both, *entries[later + 1 :])
    return entries


def _both(earlier: Entry, later: Entry) -> Entry:
    befores = [usage for usage in (earlier.before, later.before) if usage]
    terminated = merged((*earlier.terminated, *later.terminated))
    return replace(
        later,
        times=earlier.times + later.times,
        before=max(befores, key=lambda usage: usage.percent, default=None),
        terminated=the_rest(
            terminated[: len(later.terminated) or len(earlier.terminated)],
            sessions_in(terminated),
        ),
        survived=earlier.survived + later.survived,
        reopened=reopened_in_all((earlier, later))[: len(later.reopened) or len(earlier.reopened)],
        causes=max(earlier, later, key=weight_of_causes).causes,
        has_unknown_outcomes=earlier.has_unknown_outcomes or later.has_unknown_outcomes,
    )
