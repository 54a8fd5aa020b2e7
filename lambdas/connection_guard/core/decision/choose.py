"""The order in which sessions are terminated: by rule, then from the largest pools."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import nsmallest
from operator import itemgetter

from connection_guard.core.database.session import Identity, Pool
from connection_guard.core.decision.plan import Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.policy import Rule

# A process that starts opens its pool within a second or two.
OPENED_TOGETHER = timedelta(seconds=2)


def choose(
    candidates: Iterable[Verdict],
    most: int,
    rules: Iterable[Rule],
    unmoved: Collection[Identity],
) -> list[Verdict]:
    """Return at most `most` of the candidates in the order in which they go.

    They go in the order of their rules. Within a rule they are taken from the pool with the most
    candidates first, until the pools are even: if only age counted, a healthy quiet pool would pay
    for another's leak. Those that are `unmoved` by an earlier run come last.
    """
    places = {rule.name: place for place, rule in enumerate(rules)}
    levels: dict[tuple[bool, int], list[Verdict]] = {}
    for verdict in candidates:
        level = verdict.session.identity in unmoved, places[verdict.rule]
        levels.setdefault(level, []).append(verdict)
    chosen: list[Verdict] = []
    for level in sorted(levels):
        chosen += _from_largest_pools(levels[level], most - len(chosen))
    return chosen


def _from_largest_pools(candidates: list[Verdict], most: int) -> list[Verdict]:
    """Return `most` candidates of one rule: each pool is taken down to the size of the next, then
    they are taken from each in turn.

    Within a pool those that were opened together are taken down in the same way. There may be many
    processes behind one address, each with its own pool, which the server does not show; if they
    started one after another, each keeps some sessions for as long as possible.
    """
    pools: dict[Pool, list[Verdict]] = {}
    for verdict in candidates:
        pools.setdefault(verdict.session.pool, []).append(verdict)

    def of_pool(pool: list[Verdict], count: int) -> list[Verdict]:
        taken = _taken_down(_opened_together(pool), count, of_generation)
        return [_one_of(len(pool), verdict) for verdict in taken]

    def of_generation(generation: list[Verdict], count: int) -> list[Verdict]:
        return nsmallest(count, generation, key=_longest_in_state)

    return _taken_down(list(pools.values()), most, of_pool)


def _taken_down(
    groups: list[list[Verdict]], most: int, first_of: Callable[[list[Verdict], int], list[Verdict]]
) -> list[Verdict]:
    """Take `most` verdicts, always from the group that has most left; `first_of` returns that many
    of a group, in order.

    Only groups that are reached are put in order: the work grows with the candidates only.
    """
    sizes = Counter(map(len, groups))
    level, groups_reached, taken = max(sizes, default=0) + 1, 0, 0
    while taken < most and level > 1:
        level -= 1
        groups_reached += sizes[level]
        taken += groups_reached
    turns = [
        (-(len(group) - place), _longest_in_state(verdict), verdict)
        for group in groups
        if len(group) >= level
        for place, verdict in enumerate(first_of(group, len(group) - level + 1))
    ]
    return [verdict for _, _, verdict in sorted(turns, key=itemgetter(0, 1))[:most]]


def _opened_together(pool: list[Verdict]) -> list[list[Verdict]]:
    generations: list[list[Verdict]] = []
    for verdict in sorted(pool, key=lambda verdict: verdict.session.backend_start):
        opened = verdict.session.backend_start
        if generations and opened - generations[-1][-1].session.backend_start <= OPENED_TOGETHER:
            generations[-1].append(verdict)
        else:
            generations.append([verdict])
    return generations


def _longest_in_state(verdict: Verdict) -> tuple[datetime, int]:
    session = verdict.session
    return session.state_change or session.backend_start, session.pid


def _one_of(candidates: int, verdict: Verdict) -> Verdict:
    if candidates == 1:
        return verdict
    figures = {**verdict.reason.figures, "candidates": candidates}
    return replace(verdict, reason=Reason(ReasonCode.ONE_OF_POOL, figures))
