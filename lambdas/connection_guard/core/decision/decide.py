"""The decision over a snapshot: protection, rules in order, pools, then the limits. Every verdict
says why.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from heapq import nlargest, nsmallest
from ipaddress import IPv4Network, IPv6Network, ip_address
from math import ceil
from operator import itemgetter

from connection_guard.core.database.session import Identity, Pool, Session, SessionState
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.plan import PROTECTED, Plan, Restraint, Verdict
from connection_guard.core.policy import Action, Limits, Mode, Policy, Protection, Rule, Tier
from connection_guard.core.words import spelled

POOL_REOPENS = "pool reopens"
# A process that starts opens its pool within a second or two.
OPENED_TOGETHER = timedelta(seconds=2)
NEVER_VICTIMS = frozenset({None, SessionState.STARTING, SessionState.DISABLED})


def decide(
    snapshot: Snapshot,
    policy: Policy,
    tier: Tier,
    *,
    guard_roles: Collection[str] = (),
    terminated_last_hour: int = 0,
    reopening_pools: Collection[Pool] = (),
    unmoved: Collection[Identity] = (),
) -> Plan:
    """One verdict a session, those to be terminated first and in order, and what keeps the plan
    from being carried out.

    `terminated_last_hour` counts against the hourly cap; sessions of `reopening_pools` are spared,
    since terminating them frees nothing; those that are `unmoved` by an earlier run go last, so
    that they do not keep others alive.
    """
    verdicts = [
        _verdict(session, snapshot.taken_at, policy, tier, guard_roles)
        for session in snapshot.sessions
    ]
    verdicts = _spare_reopening_pools(verdicts, reopening_pools)
    verdicts = _keep_most_recent_of_each_pool(verdicts, snapshot, policy.limits.keep_per_pool)
    candidates = [verdict for verdict in verdicts if verdict.action is Action.TERMINATE]
    left_this_hour = max(policy.limits.most_per_hour - terminated_last_hour, 0)
    chosen, left_over = _within_limits(candidates, snapshot, policy, left_this_hour, unmoved)
    spared = [verdict for verdict in verdicts if verdict.action is Action.SPARE]
    restraint, explanation = _restraint(
        snapshot,
        policy,
        tier,
        candidates=len(candidates),
        chosen=len(chosen),
        reopening=sum(verdict.rule == POOL_REOPENS for verdict in spared),
        left_this_hour=left_this_hour,
    )
    return Plan((*chosen, *left_over, *spared), restraint, explanation)


def sessions_above_target(snapshot: Snapshot, limits: Limits) -> int:
    """How many sessions must go for usage to be below the target."""
    return max(
        snapshot.used - most_sessions_below_target(snapshot.measurement.capacity.usable, limits), 0
    )


def most_sessions_below_target(usable: int, limits: Limits) -> int:
    """The highest number of sessions that is still below the target."""
    return max(ceil(usable * limits.target_percent / 100) - 1, 0)


def _verdict(
    session: Session, taken_at: datetime, policy: Policy, tier: Tier, guard_roles: Collection[str]
) -> Verdict:
    if reason := _never_a_victim(session, guard_roles):
        return Verdict(session, Action.SPARE, "built in", reason)
    if reason := _protected(session, policy.protection):
        return Verdict(session, Action.SPARE, PROTECTED, reason)
    time_in_state = session.time_in_state(taken_at)
    for rule in policy.rules:
        if _matches(rule, session, time_in_state, tier):
            if rule.action is Action.TERMINATE and (reason := _holds_on(session, rule)):
                return Verdict(session, Action.SPARE, rule.name, reason)
            return Verdict(
                session, rule.action, rule.name, f"{session.state} for {spelled(time_in_state)}"
            )
    return Verdict(session, Action.SPARE, "no rule", "no rule matches")


def _never_a_victim(session: Session, guard_roles: Collection[str]) -> str | None:
    if session.role in guard_roles:
        return "the guard's own session"
    if session.is_owned_by_amazon:
        return "a session of Amazon RDS itself"
    if session.is_superuser:
        return "a superuser's session"
    if session.state in NEVER_VICTIMS:
        return "its state cannot be told"
    if session.is_owned_by_proxy and session.state is SessionState.IDLE:
        return "RDS Proxy's own pool: it would be reopened, and its idle clock is the proxy's"
    return None


def _protected(session: Session, protection: Protection) -> str | None:
    if protection.roles and not session.role:
        return "its role was dropped, so nobody knows whether it was protected"
    if _any_glob(protection.roles, session.role):
        return "its role is protected"
    if _any_glob(protection.databases, session.database):
        return "its database is protected"
    if _any_glob(protection.applications, session.application_name):
        return "its application is protected"
    if _in_any_network(protection.clients, session.client_address):
        return "its client is protected"
    return None


def _matches(rule: Rule, session: Session, time_in_state: timedelta, tier: Tier) -> bool:
    return (
        tier in rule.tiers
        and session.state in rule.states
        and time_in_state >= rule.older_than
        and (not rule.roles or _any_glob(rule.roles, session.role) or _may_be_spared(session, rule))
        and (not rule.databases or _any_glob(rule.databases, session.database))
        and (not rule.applications or _any_glob(rule.applications, session.application_name))
        and (not rule.clients or _in_any_network(rule.clients, session.client_address))
    )


def _may_be_spared(session: Session, rule: Rule) -> bool:
    """A role that was dropped while its sessions live may have been one that the rule makes an
    exception for.
    """
    return rule.action is Action.SPARE and not session.role


def _holds_on(session: Session, rule: Rule) -> str | None:
    if session.holds_advisory_lock and not rule.even_with_advisory_lock:
        return "it holds an advisory lock"
    if session.is_listening and not rule.even_if_listening:
        return "its last statement was LISTEN"
    return None


def _spared(verdict: Verdict, rule: str, reason: str) -> Verdict:
    return Verdict(verdict.session, Action.SPARE, rule, reason)


def _spare_reopening_pools(verdicts: list[Verdict], reopening: Collection[Pool]) -> list[Verdict]:
    reason = "its pool reopened what was terminated: more would free nothing"
    return [
        _spared(verdict, POOL_REOPENS, reason)
        if verdict.action is Action.TERMINATE and verdict.session.pool in reopening
        else verdict
        for verdict in verdicts
    ]


def _keep_most_recent_of_each_pool(
    verdicts: list[Verdict], snapshot: Snapshot, keep: int
) -> list[Verdict]:
    """Spare idle candidates among the `keep` most recently used sessions of their pool, so that no
    pool is emptied.

    Only sessions that a pool can hand out next count: one that is at work or idle in transaction is
    lent, and one that listens or holds an advisory lock is somebody's for good.
    """
    pools: dict[Pool, list[Session]] = {}
    for session in snapshot.sessions:
        is_taken = session.is_listening or session.holds_advisory_lock
        if session.state is SessionState.IDLE and not is_taken:
            pools.setdefault(session.pool, []).append(session)

    def recency(session: Session) -> datetime:
        return session.state_change or snapshot.taken_at

    kept = {
        session.pid
        for sessions in pools.values()
        for session in nlargest(keep, sessions, key=recency)
    }
    reason = "among the most recently used of its pool"
    return [
        _spared(verdict, "limits.keep_per_pool", reason)
        if verdict.action is Action.TERMINATE
        and verdict.session.state is SessionState.IDLE
        and verdict.session.pid in kept
        else verdict
        for verdict in verdicts
    ]


def _within_limits(
    candidates: list[Verdict],
    snapshot: Snapshot,
    policy: Policy,
    left_this_hour: int,
    unmoved: Collection[Identity],
) -> tuple[list[Verdict], list[Verdict]]:
    """Return the candidates that may go, in order, and the others, spared.

    They go by their rules' order. Within a rule the pool with the most candidates gives first,
    until the pools are even: by age alone a healthy quiet pool would pay for another's leak. Those
    that an earlier run could not move come last.
    """
    most, rule, reason = min(
        (
            sessions_above_target(snapshot, policy.limits),
            "limits.target",
            "enough others go before it, from larger pools first",
        ),
        (policy.limits.most_per_run, "limits.most_per_run", "this run's share is used up"),
        (left_this_hour, "limits.most_per_hour", "this hour's share is used up"),
        key=lambda limit: limit[0],
    )
    places = {rule.name: place for place, rule in enumerate(policy.rules)}
    levels: dict[tuple[bool, int], list[Verdict]] = {}
    for verdict in candidates:
        level = verdict.session.identity in unmoved, places[verdict.rule]
        levels.setdefault(level, []).append(verdict)
    chosen: list[Verdict] = []
    for level in sorted(levels):
        chosen += _from_largest_pools(levels[level], most - len(chosen))
    chosen_pids = {verdict.session.pid for verdict in chosen}
    left_over = [
        _spared(verdict, rule, reason)
        for verdict in candidates
        if verdict.session.pid not in chosen_pids
    ]
    return chosen, left_over


def _from_largest_pools(candidates: list[Verdict], most: int) -> list[Verdict]:
    """Return `most` of one rule's candidates: each pool is taken down to the size of the next, then
    they give in turn.

    Within a pool those that were opened together are taken down in the same way. What is behind one
    address may be many processes with a pool each, which PostgreSQL does not show; started one
    after another, each keeps some for longest.
    """
    pools: dict[Pool, list[Verdict]] = {}
    for verdict in candidates:
        pools.setdefault(verdict.session.pool, []).append(verdict)

    def of_pool(pool: list[Verdict], count: int) -> list[Verdict]:
        return [
            _one_of(len(pool), verdict)
            for verdict in _taken_down(_opened_together(pool), count, of_generation)
        ]

    def of_generation(generation: list[Verdict], count: int) -> list[Verdict]:
        return nsmallest(count, generation, key=_longest_in_state)

    return _taken_down(list(pools.values()), most, of_pool)


def _taken_down(
    groups: list[list[Verdict]], most: int, first_of: Callable[[list[Verdict], int], list[Verdict]]
) -> list[Verdict]:
    """Take `most` verdicts, always from the group that has most left; `first_of` gives so many of a
    group, in order.

    Only groups that are reached are put in order: the work grows with the candidates, whatever
    their number.
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
    return replace(verdict, reason=f"{verdict.reason}, one of {candidates} in its pool")


def _restraint(
    snapshot: Snapshot,
    policy: Policy,
    tier: Tier,
    *,
    candidates: int,
    chosen: int,
    reopening: int,
    left_this_hour: int,
) -> tuple[Restraint | None, str]:
    limits = policy.limits
    in_use = f"{snapshot.used} of {snapshot.measurement.capacity.usable} connections in use"
    is_below_target = sessions_above_target(snapshot, limits) == 0
    if is_below_target and not snapshot.measurement.refused_a_login:
        return (
            Restraint.BELOW_TARGET,
            f"{in_use}, already below the target of {limits.target_percent:g} %",
        )
    if policy.modes[tier] is Mode.OBSERVE:
        return Restraint.OBSERVING, f"the policy only observes at {tier}"
    if snapshot.measurement.privileges.is_paused:
        return (
            Restraint.PAUSED,
            "paused: role connection_guard_paused is granted to the guard's role",
        )
    if is_below_target:
        return (
            Restraint.NOTHING_MATCHES,
            f"{in_use}, and yet a login was refused: no session is what keeps clients out",
        )
    if candidates == 0 and reopening:
        explanation = (
            f"{in_use}, and the pools of {reopening} of them reopen what is terminated: more would "
            "free nothing"
        )
        return Restraint.POOLS_REOPEN, explanation
    if candidates == 0:
        return (
            Restraint.NOTHING_MATCHES,
            f"{in_use}, and the policy lets none of them be terminated",
        )
    if left_this_hour == 0:
        return (
            Restraint.HOURLY_CAP,
            f"limits.most_per_hour: {limits.most_per_hour} were terminated within the hour",
        )
    share = 100 * chosen / len(snapshot.sessions)
    if share > limits.refuse_above_percent:
        explanation = (
            f"the plan would terminate {chosen} of {len(snapshot.sessions)} sessions ({share:.0f} "
            f"%): limits.refuse_above is {limits.refuse_above_percent:g} %"
        )
        return Restraint.REFUSED, explanation
    return None, f"{chosen} of {candidates} candidates are to be terminated, {in_use}"


def _any_glob(globs: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _in_any_network(networks: Collection[IPv4Network | IPv6Network], address: str) -> bool:
    if not networks or not address:
        return False
    client = ip_address(address)
    return any(client in network for network in networks)
