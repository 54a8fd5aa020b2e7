"""The decision over a snapshot: a verdict per session, then pools, limits and restraints."""

from collections.abc import Collection
from datetime import datetime
from heapq import nlargest
from math import ceil

from connection_guard.core.database.session import Identity, Pool, Session, SessionState
from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.decision.choose import choose
from connection_guard.core.decision.judge import judge, spared
from connection_guard.core.decision.plan import Plan, Verdict
from connection_guard.core.decision.reason import Figure, Reason, ReasonCode
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.policy import Action, Limits, Mode, Policy, Tier

POOL_REOPENS = "pool reopens"


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
    """Return a verdict per session, those to be terminated first and in order, and any restraint.

    `terminated_last_hour` counts against the hourly cap. Sessions of `reopening_pools` are spared,
    since terminating them frees nothing. Those that are `unmoved` by an earlier run go last, so
    that they do not keep others alive.
    """
    limits = policy.limits
    verdicts = judge(snapshot, policy, tier, guard_roles)
    verdicts = _spare_reopening_pools(verdicts, reopening_pools)
    verdicts = _keep_most_recent_of_each_pool(verdicts, snapshot, limits.keep_per_pool)
    candidates = [verdict for verdict in verdicts if verdict.action is Action.TERMINATE]
    left_this_hour = max(limits.most_per_hour - terminated_last_hour, 0)
    most, limit, code = min(
        (sessions_above_target(snapshot, limits), "limits.target", ReasonCode.ENOUGH_OTHERS),
        (limits.most_per_run, "limits.most_per_run", ReasonCode.RUN_SHARE_USED),
        (left_this_hour, "limits.most_per_hour", ReasonCode.HOUR_SHARE_USED),
        key=lambda limit: limit[0],
    )
    chosen = choose(candidates, most, policy.rules, unmoved)
    chosen_pids = {verdict.session.pid for verdict in chosen}
    left_over = [
        spared(verdict.session, limit, code)
        for verdict in candidates
        if verdict.session.pid not in chosen_pids
    ]
    spared_verdicts = [verdict for verdict in verdicts if verdict.action is Action.SPARE]
    restraint, reason = _restraint(
        snapshot,
        policy,
        tier,
        candidates=len(candidates),
        chosen=len(chosen),
        reopening=sum(verdict.rule == POOL_REOPENS for verdict in spared_verdicts),
        left_this_hour=left_this_hour,
    )
    return Plan((*chosen, *left_over, *spared_verdicts), restraint, reason)


def sessions_above_target(snapshot: Snapshot, limits: Limits) -> int:
    """Return how many sessions must go for usage to be below the target."""
    most = most_sessions_below_target(snapshot.measurement.capacity.usable, limits)
    return max(snapshot.used - most, 0)


def most_sessions_below_target(usable: int, limits: Limits) -> int:
    """Return the highest number of sessions that is still below the target."""
    return max(ceil(usable * limits.target_percent / 100) - 1, 0)


def enough_in_use(measurement: Measurement, limits: Limits) -> int:
    """Return the number of sessions at which enough were terminated: usage is below the target."""
    most = most_sessions_below_target(measurement.capacity.usable, limits)
    return max(most - measurement.logins_in_progress, 0)


def _spare_reopening_pools(verdicts: list[Verdict], reopening: Collection[Pool]) -> list[Verdict]:
    return [
        spared(verdict.session, POOL_REOPENS, ReasonCode.POOL_REOPENS)
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
    lent, and one that listens or holds an advisory lock is in use for good.
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
    return [
        spared(verdict.session, "limits.keep_per_pool", ReasonCode.RECENTLY_USED)
        if verdict.action is Action.TERMINATE
        and verdict.session.state is SessionState.IDLE
        and verdict.session.pid in kept
        else verdict
        for verdict in verdicts
    ]


def _restraint(
    snapshot: Snapshot,
    policy: Policy,
    tier: Tier,
    *,
    candidates: int,
    chosen: int,
    reopening: int,
    left_this_hour: int,
) -> tuple[Restraint | None, Reason]:
    limits = policy.limits
    usage: dict[str, Figure] = {
        "used": snapshot.used,
        "usable": snapshot.measurement.capacity.usable,
    }

    is_below_target = sessions_above_target(snapshot, limits) == 0
    if is_below_target and not snapshot.measurement.refused_a_login:
        target: dict[str, Figure] = {"target": limits.target_percent}
        return Restraint.BELOW_TARGET, Reason(ReasonCode.BELOW_TARGET, usage | target)
    if policy.modes[tier] is Mode.OBSERVE:
        return Restraint.OBSERVING, Reason(ReasonCode.ONLY_OBSERVES, {"tier": tier})
    if (pause := snapshot.measurement.pause) is not None:
        return Restraint.PAUSED, Reason(ReasonCode.PAUSED, {"pause": pause})
    if is_below_target:
        return Restraint.NOTHING_MATCHES, Reason(ReasonCode.LOGIN_REFUSED, usage)
    if candidates == 0 and reopening:
        of_pools: dict[str, Figure] = {"sessions": reopening}
        return Restraint.POOLS_REOPEN, Reason(ReasonCode.POOLS_REOPEN, usage | of_pools)
    if candidates == 0:
        return Restraint.NOTHING_MATCHES, Reason(ReasonCode.NO_CANDIDATE, usage)
    if left_this_hour == 0:
        return Restraint.HOURLY_CAP, Reason(ReasonCode.HOURLY_CAP, {"most": limits.most_per_hour})
    sessions = len(snapshot.sessions)
    share = 100 * chosen / sessions
    if share > limits.refuse_above_percent:
        too_many = {"chosen": chosen, "sessions": sessions, "share": share}
        allowed = {"limit": limits.refuse_above_percent}
        return Restraint.REFUSED, Reason(ReasonCode.TOO_MANY, too_many | allowed)
    figures: dict[str, Figure] = {"chosen": chosen, "candidates": candidates}
    return None, Reason(ReasonCode.TO_BE_TERMINATED, usage | figures)
