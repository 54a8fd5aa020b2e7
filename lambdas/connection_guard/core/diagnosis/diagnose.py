"""Why the connections ran out: evidence and one piece of advice per cause."""

from collections.abc import Collection, Iterable
from datetime import datetime

from connection_guard.core.database.session import Pool
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.database.trend import Logins
from connection_guard.core.decision.engagement import Engagement
from connection_guard.core.decision.outcome import Reconnection, Vanished
from connection_guard.core.decision.plan import PROTECTED
from connection_guard.core.decision.round import Round
from connection_guard.core.diagnosis.arrivals import churn, storm
from connection_guard.core.diagnosis.case import (
    COMFORTABLE_PERCENT,
    DIAGNOSIS_TIMES,
    Case,
    Diagnosis,
    DiagnosisTimes,
)
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.leaks import leaks
from connection_guard.core.diagnosis.limits import logins_in_progress, reached_limits
from connection_guard.core.diagnosis.pools import oversized_pools, pools_that_reopen
from connection_guard.core.diagnosis.transactions import blocking_chain, forgotten_transactions
from connection_guard.core.diagnosis.usage import ended_by_themselves, genuine_load, nearest_fact

# What follows from a cause in the same application: clients that wait for a lock make their pools
# open more sessions, and sessions that a pool always reopens only look like a leak.
_SYMPTOMS = {
    Cause.BLOCKING_CHAIN: {Cause.CONNECTION_STORM},
    Cause.CHURN: {Cause.CONNECTION_STORM},
    Cause.POOL_REOPENS: {Cause.CONNECTION_STORM, Cause.LEAK, Cause.OVERSIZED_POOLS},
}


def diagnose(
    snapshot: Snapshot,
    reconnections: tuple[Reconnection, ...] = (),
    times: DiagnosisTimes = DIAGNOSIS_TIMES,
    *,
    guard_roles: Collection[str] = (),
    protected_roles: Collection[str] = (),
    reopening_pools: Collection[Pool] = (),
    terminated_since: datetime | None = None,
    vanished: tuple[Vanished, ...] = (),
    logins: Logins | None = None,
) -> tuple[Diagnosis, ...]:
    """Return every cause that is found, the most important first. The result is empty only where
    connections are not short.

    Causes are in the order of how many sessions each explains, a cause before its own symptoms, and
    genuine load after all that explain a considerable part. One session can be evidence of two
    causes: a session that was left in a transaction can belong to a pool that leaks.

    Timeouts are not advised for `protected_roles`, which have sessions that the policy protects.
    `reopening_pools` were seen to reopen terminated sessions, `terminated_since` is the time of the
    first termination within the last hour, and `vanished` counts sessions that ended by themselves.
    """
    case = Case(
        snapshot,
        times,
        guard_roles,
        protected_roles,
        reconnections,
        reopening_pools,
        terminated_since,
        vanished,
        logins,
    )
    found = [
        *logins_in_progress(case),
        *reached_limits(case),
        *blocking_chain(case),
        *pools_that_reopen(case),
        *forgotten_transactions(case),
    ]
    is_short = snapshot.utilisation >= COMFORTABLE_PERCENT
    if is_short:
        found += [
            *storm(case),
            *churn(case),
            *leaks(case),
            *oversized_pools(case),
            *genuine_load(case),
        ]

    def importance(diagnosis: Diagnosis) -> tuple[bool, int]:
        explained = _explained(diagnosis, found)
        is_load = diagnosis.cause is Cause.GENUINE_LOAD
        return explained >= case.considerable and not is_load, explained

    facts = nearest_fact(case) if is_short and not _is_explained(case, found) else ()
    return (*sorted(found, key=importance, reverse=True), *facts, *ended_by_themselves(case))


def diagnose_round(
    looked: Round,
    engagement: Engagement,
    times: DiagnosisTimes = DIAGNOSIS_TIMES,
    *,
    guard_roles: Collection[str],
    logins: Logins | None,
) -> tuple[Diagnosis, ...]:
    """Return what `diagnose` does of a round and of what earlier ones left."""
    return diagnose(
        looked.before,
        looked.reconnections,
        times,
        guard_roles=guard_roles,
        protected_roles={
            verdict.session.role for verdict in looked.plan.verdicts if verdict.rule == PROTECTED
        },
        reopening_pools=engagement.reopening_pools(looked.before.taken_at),
        terminated_since=min((at for at, _ in engagement.terminations), default=None),
        vanished=looked.vanished,
        logins=logins,
    )


def _is_explained(case: Case, found: Iterable[Diagnosis]) -> bool:
    """Return whether anything explains the shortage: the limit of a role with few sessions does
    not.
    """
    return any(
        diagnosis.cause is not Cause.ROLE_OR_DATABASE_LIMIT
        or diagnosis.sessions >= case.considerable
        for diagnosis in found
    )


def _explained(cause: Diagnosis, found: Iterable[Diagnosis]) -> int:
    """Return how many sessions a cause accounts for: its own, or those of a symptom where they are
    more.
    """

    def is_same_application(other: Diagnosis) -> bool:
        return all(
            other.evidence.get(who) == cause.evidence.get(who) for who in ("role", "application")
        )

    symptoms = (
        each
        for each in found
        if each.cause in _SYMPTOMS.get(cause.cause, ()) and is_same_application(each)
    )
    return max(cause.sessions, *(symptom.sessions for symptom in symptoms), 0)
