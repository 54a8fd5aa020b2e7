"""How many sessions a drill opens, and what the guard will do about them by its policy."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.decision.decide import decide, most_sessions_below_target
from connection_guard.core.decision.plan import Plan
from connection_guard.core.decision.reason import ReasonCode
from connection_guard.core.policy import Action, Limits, Mode, Policy, Tier
from connection_guard.core.report.wording import worded
from connection_guard.core.words import connections_in_use, counted, quoted

APPLICATION = "connection-guard drill"
WATCHER = f"{APPLICATION} watch"

# What applications keep between the critical line and the last slot.
LEAST_FREE = 2

_LEFT_FOR_LATER = frozenset(
    {ReasonCode.ENOUGH_OTHERS, ReasonCode.RUN_SHARE_USED, ReasonCode.HOUR_SHARE_USED}
)


@dataclass(frozen=True, slots=True)
class Filling:
    """How many sessions a drill opens: `early` ones, which grow old below the line, and `late`
    ones, which cross it, up to `peak` slots in use.

    Once fewer than `least_free` slots are free, the drill lets go.
    """

    early: int
    late: int
    peak: int
    least_free: int

    @property
    def total(self) -> int:
        """Return how many sessions are opened in all."""
        return self.early + self.late


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the guard will do by its policy, once the early sessions have been idle for `wait`.

    `ends` is how many of the drill's sessions it will end, `others` how many of each application's
    it may end with them. `why_not` says why usage will not get below the target, None where it
    will.
    """

    wait: timedelta
    ends: int
    others: Mapping[str, int]
    why_not: str | None


def filling_of(
    measurement: Measurement,
    limits: Limits,
    *,
    warning_percent: float,
    critical_percent: float,
    exhausts: bool,
) -> Filling:
    """Return how many sessions to open.

    The early ones stay below the warning line where enough of them fit there for the guard to bring
    usage below its target; otherwise all but one of the critical line's are early.

    Raise UserMistakeError where usage is so high already that the guard would have to end sessions
    of applications, or where the critical line leaves hardly a slot to them.
    """
    usable, used = measurement.capacity.usable, measurement.used
    peak = usable if exhausts else ceil(usable * critical_percent / 100)
    calm = most_sessions_below_target(usable, limits)
    if used + limits.keep_per_pool > calm:
        raise UserMistakeError(
            f"{connections_in_use(used, usable)}: to get below the policy's target of "
            f"{limits.target_percent:g} %, the guard would have to end sessions of applications; "
            "drill while it is quieter"
        )
    if not exhausts and usable - peak < LEAST_FREE:
        raise UserMistakeError(
            f"the critical line of {critical_percent:g} % leaves applications only "
            f"{usable - peak} of {usable} connections: lower `critical` in guard.toml, or add "
            "--exhaust on a database that nobody needs"
        )
    below_warning = ceil(usable * warning_percent / 100) - 1
    needed = peak - calm
    early = below_warning - used
    if early - limits.keep_per_pool < needed:
        early = peak - 1 - used
    return Filling(
        early, peak - used - early, peak, 0 if exhausts else max((usable - peak) // 2, 1)
    )


def expectation_of(
    snapshot: Snapshot,
    own: Session,
    filling: Filling,
    policy: Policy,
    guard_roles: Collection[str],
) -> Expectation:
    """Return what the guard's own decision would be with the drill's sessions in the snapshot.

    `own` is a session of the drill's role. The wait is the shortest after which the guard gets
    below its target. Sessions of applications are taken to be unused until then, so `others` is the
    most that it may be.
    """
    ages = {
        rule.older_than
        for rule in policy.rules
        if rule.action is Action.TERMINATE
        and SessionState.IDLE in rule.states
        and Tier.CRITICAL in rule.tiers
    }
    for wait in sorted(ages or {timedelta()}):
        expected = _after(wait, snapshot, own, filling, policy, guard_roles)
        if expected.why_not is None:
            break
    return expected


def _after(
    wait: timedelta,
    snapshot: Snapshot,
    own: Session,
    filling: Filling,
    policy: Policy,
    guard_roles: Collection[str],
) -> Expectation:
    enforcing = replace(policy, modes={**policy.modes, Tier.CRITICAL: Mode.ENFORCE})
    filled = _filled(wait, snapshot, own, filling)
    plan = decide(filled, enforcing, Tier.CRITICAL, guard_roles=guard_roles)
    going = Counter(verdict.session.application_name for verdict in plan.chosen)
    ends = going.pop(APPLICATION, 0)
    if policy.modes[Tier.CRITICAL] is Mode.OBSERVE:
        why_not: str | None = "the policy only observes at the critical tier"
    else:
        why_not = _shortfall(plan, filled, policy)
    return Expectation(wait, ends, dict(going), why_not)


def _filled(wait: timedelta, snapshot: Snapshot, own: Session, filling: Filling) -> Snapshot:
    """Return the snapshot as it will be when the line has been crossed."""

    def opened(number: int, at: datetime) -> Session:
        return replace(
            own,
            pid=-number,  # of nobody
            application_name=APPLICATION,
            state=SessionState.IDLE,
            backend_start=at,
            state_change=at,
        )

    later = snapshot.taken_at + wait
    sessions = (
        *snapshot.sessions,
        *(opened(number + 1, snapshot.taken_at) for number in range(filling.early)),
        *(opened(filling.early + number + 1, later) for number in range(filling.late)),
    )
    return replace(snapshot, taken_at=later, sessions=sessions)


def _shortfall(plan: Plan, filled: Snapshot, policy: Policy) -> str | None:
    """Return why usage stays above the target, None where it does not."""
    limits = policy.limits
    candidates = len(plan.chosen) + sum(
        verdict.action is Action.SPARE and verdict.reason.code in _LEFT_FOR_LATER
        for verdict in plan.verdicts
    )
    needed = filled.used - most_sessions_below_target(filled.measurement.capacity.usable, limits)
    of_drill = [each for each in plan.verdicts if each.session.application_name == APPLICATION]
    if of_drill[0].action is Action.SPARE and candidates < needed:
        return (
            f"the policy spares the sessions of role {quoted(of_drill[0].session.role)}: "
            f"{worded(of_drill[0].reason)}"
        )
    if plan.restraint is not None:
        return worded(plan.reason)
    if candidates < needed:
        return f"it may end {counted(candidates, 'session')} only, and {needed} would have to go"
    if limits.most_per_hour < needed:
        return f"limits.most_per_hour is {limits.most_per_hour}, and {needed} would have to go"
    return None
