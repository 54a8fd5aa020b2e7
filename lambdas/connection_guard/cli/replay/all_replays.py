"""Every run replayed, one database after the other in the order of time, and what it adds up to."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from connection_guard.adapters.postgresql.role_timeouts import has_timeout
from connection_guard.core.policy import Policy, Tier
from connection_guard.core.replay.aftermath import Aftermath
from connection_guard.core.replay.gaps import GapLedger
from connection_guard.core.replay.past_run import PastRun
from connection_guard.core.replay.replaying import (
    Fate,
    Replayed,
    ended_then,
    protected_roles,
    replayed,
    roles_of_the_guard,
)
from connection_guard.core.replay.timeouts import TimeoutFinding, timeout_findings

Loaded = tuple[str, PastRun | ValueError | None]
"""The name of a piece of evidence; its run, None where it looked at nothing, or why it cannot be
read.
"""

# The guard's role by default, where no evidence shows another.
DEFAULT_GUARD_ROLES = frozenset({"connection_guard"})


@dataclass(slots=True)
class ReplayedDatabase:
    """What is known of one database after its last run."""

    name: str
    version: str
    looks: int
    days: int
    first: datetime
    last: datetime
    timeouts: list[TimeoutFinding]


@dataclass(slots=True)
class ReplayTotals:
    """What all runs add up to. `undecided` runs applied no policy;
    `without_look` runs did not look at the sessions; `partial` ones left sessions out of their
    evidence. `then` and `now` count the fates of sessions.
    """

    replayed: int = 0
    different: int = 0
    undecided: int = 0
    without_look: int = 0
    partial: int = 0
    omitted: int = 0
    ended_then: int = 0
    newly_ended: int = 0
    newly_spared: int = 0
    ending_work: int = 0
    then: Counter[Fate] = field(default_factory=Counter)
    now: Counter[Fate] = field(default_factory=Counter)
    by_rule: Counter[str] = field(default_factory=Counter)
    unread: list[tuple[str, str]] = field(default_factory=list)
    databases: list[ReplayedDatabase] = field(default_factory=list)


@dataclass(slots=True)
class _Story:
    """One database, while its runs are read."""

    name: str
    ledger: GapLedger = field(default_factory=GapLedger)
    past: Aftermath = field(default_factory=Aftermath)
    guard_roles: frozenset[str] = frozenset()
    looks: int = 0
    days: set[object] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None
    version: str = ""


def replay_all(
    loaded: Iterable[Loaded],
    policy: Policy,
    totals: ReplayTotals,
    *,
    against: Policy | None = None,
    tier: Tier | None = None,
) -> Iterator[tuple[str, Replayed]]:
    """Yield each run that was decided, replayed, and add everything to the totals.

    The runs of one database are together, and in the order of time.
    """
    story: _Story | None = None
    for name, run in loaded:
        if isinstance(run, ValueError):
            totals.unread.append((name, str(run)))
            continue
        if run is None:
            totals.without_look += 1
            continue
        if story is None or story.name != run.database:
            _end(story, totals)
            story = _Story(run.database)
        again = _replay(run, story, policy, against, tier or run.tier)
        _count(totals, run, again)
        if again is not None:
            yield name, again
    _end(story, totals)


def _replay(
    run: PastRun, story: _Story, policy: Policy, against: Policy | None, tier: Tier | None
) -> Replayed | None:
    story.guard_roles |= roles_of_the_guard(run, policy)
    guard_roles = story.guard_roles or DEFAULT_GUARD_ROLES
    again = None
    if run.is_decided and tier is not None:
        again = replayed(run, policy, tier, story.past, guard_roles, against=against)
    story.ledger.look(run, protected_roles(run, policy, guard_roles, again), guard_roles)
    story.past = story.past.after(run)
    story.looks += 1
    at = run.snapshot.taken_at
    story.days.add(at.date())
    story.first, story.last = story.first or at, at
    story.version = run.snapshot.measurement.server.version
    return again


def _end(story: _Story | None, totals: ReplayTotals) -> None:
    if story is None or story.first is None or story.last is None:
        return
    roles = story.ledger.close()
    guard_roles = story.guard_roles or DEFAULT_GUARD_ROLES
    findings = timeout_findings(
        {role: tally for role, tally in roles.items() if role not in guard_roles}
    )
    known = [each for each in findings if has_timeout(each.kind, story.version)]
    totals.databases.append(
        ReplayedDatabase(
            story.name,
            story.version,
            story.looks,
            len(story.days),
            story.first,
            story.last,
            known,
        )
    )


def _count(totals: ReplayTotals, run: PastRun, again: Replayed | None) -> None:
    totals.partial += run.omitted > 0
    totals.omitted += run.omitted
    if again is None:
        totals.undecided += 1
        return
    totals.replayed += 1
    totals.different += again.is_different
    totals.ended_then += ended_then(run)
    totals.then.update(each.fate for each in again.then.of_sessions.values())
    totals.now.update(each.fate for each in again.anew.of_sessions.values())
    totals.newly_ended += len(newly(again, Fate.TERMINATE))
    totals.newly_spared += len(no_longer(again, Fate.TERMINATE))
    totals.ending_work += sum(each.ends_work for each in again.changes)
    totals.by_rule.update(
        each.rule for each in again.anew.of_sessions.values() if each.fate is Fate.TERMINATE
    )


def newly(again: Replayed, fate: Fate) -> list[int]:
    """Return the sessions that have the fate now, and had another then."""
    return [each.session.pid for each in again.changes if each.anew.fate is fate]


def no_longer(again: Replayed, fate: Fate) -> list[int]:
    """Return the sessions that had the fate then, and have another now."""
    return [each.session.pid for each in again.changes if each.then.fate is fate]
