"""A policy over a run of the past: what it would have decided then, beside what was decided."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.decision.decide import decide
from connection_guard.core.decision.judge import BUILT_IN, judge
from connection_guard.core.decision.outcome import Result
from connection_guard.core.decision.plan import PROTECTED
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.policy import Action, Policy, Tier
from connection_guard.core.replay.aftermath import Aftermath
from connection_guard.core.replay.past_run import PastRun

AT_WORK = frozenset({SessionState.ACTIVE, SessionState.FASTPATH})


class Fate(StrEnum):
    """What is decided about a session, and whether the plan is carried out."""

    TERMINATE = "terminate"
    WOULD_TERMINATE = "would terminate"
    SPARE = "spare"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about one session, and by which rule."""

    fate: Fate
    rule: str


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is decided about every session of a run, by pid, and what restrains the plan."""

    of_sessions: Mapping[int, Decision]
    restraint: Restraint | None

    def pids(self, fate: Fate) -> list[int]:
        """Return the sessions with this fate, in their order."""
        return [pid for pid, decision in self.of_sessions.items() if decision.fate is fate]


@dataclass(frozen=True, slots=True)
class FateChange:
    """A session with two fates."""

    session: Session
    then: Decision
    anew: Decision

    @property
    def ends_work(self) -> bool:
        """Whether a statement that runs would be lost, which was not lost then."""
        is_new = self.anew.fate is Fate.TERMINATE and self.then.fate is not Fate.TERMINATE
        return is_new and self.session.state in AT_WORK


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run as it was decided then, or by the policy that another is compared with, and as it would
    be decided now.
    """

    run: PastRun
    tier: Tier
    then: Decisions
    anew: Decisions
    changes: tuple[FateChange, ...]

    @property
    def is_different(self) -> bool:
        """Whether a session, or the plan, is decided otherwise."""
        return bool(self.changes) or self.then.restraint is not self.anew.restraint


def replayed(
    run: PastRun,
    policy: Policy,
    tier: Tier,
    past: Aftermath,
    guard_roles: Collection[str],
    *,
    against: Policy | None = None,
) -> Replayed:
    """Return what the policy decides about a run, beside what was decided then or, where there is
    one, beside what the policy `against` decides.
    """
    anew = _decided_anew(run, policy, tier, past, guard_roles)
    then = (
        decided_then(run)
        if against is None
        else _decided_anew(run, against, tier, past, guard_roles)
    )
    changes = tuple(
        FateChange(session, was, will)
        for session in run.snapshot.sessions
        if (was := then.of_sessions[session.pid]).fate
        is not (will := anew.of_sessions[session.pid]).fate
    )
    return Replayed(run, tier, then, anew, changes)


def decided_then(run: PastRun) -> Decisions:
    """Return what the evidence says was decided."""
    chosen = Fate.TERMINATE if run.restraint is None else Fate.WOULD_TERMINATE
    decisions = {
        each.session.pid: Decision(
            chosen if each.action == Action.TERMINATE else Fate.SPARE, each.rule or ""
        )
        for each in run.sessions
    }
    return Decisions(decisions, run.restraint)


def ended_then(run: PastRun) -> int:
    """Return how many sessions were seen gone after the run had signalled them."""
    return sum(each.result == Result.TERMINATED for each in run.sessions)


def roles_of_the_guard(run: PastRun, policy: Policy) -> frozenset[str]:
    """Return the roles that the run spared as the guard's own: of what the built-in protection
    spared, what it spares for no other reason.
    """
    spared = tuple(each.session for each in run.sessions if each.rule == BUILT_IN)
    verdicts = judge(replace(run.snapshot, sessions=spared), policy, Tier.CRITICAL, ())
    return frozenset(each.session.role for each in verdicts if each.rule != BUILT_IN)


def protected_roles(
    run: PastRun, policy: Policy, guard_roles: Collection[str], again: Replayed | None
) -> frozenset[str]:
    """Return the roles of which the policy's [protect] spares a session; `again` is what it decides
    about the run, None where it decides nothing.
    """
    if again is not None:
        decided = again.anew.of_sessions
        return frozenset(
            each.role for each in run.snapshot.sessions if decided[each.pid].rule == PROTECTED
        )
    verdicts = judge(run.snapshot, policy, Tier.CRITICAL, guard_roles)
    return frozenset(each.session.role for each in verdicts if each.rule == PROTECTED)


def _decided_anew(
    run: PastRun, policy: Policy, tier: Tier, past: Aftermath, guard_roles: Collection[str]
) -> Decisions:
    plan = decide(
        run.snapshot,
        policy,
        tier,
        guard_roles=guard_roles,
        terminated_last_hour=past.terminated_within_an_hour(run),
        reopening_pools=past.reopening_pools(run),
        unmoved=past.unmoved_sessions(run),
    )
    chosen = Fate.TERMINATE if plan.restraint is None else Fate.WOULD_TERMINATE
    decisions = {
        each.session.pid: Decision(
            chosen if each.action is Action.TERMINATE else Fate.SPARE, each.rule
        )
        for each in plan.verdicts
    }
    return Decisions(decisions, plan.restraint)
