"""What the responder would see, decide and conclude if an alarm invoked it now."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from connection_guard.core.database.session import Session
from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.database.trend import logins_lately, minutes_to_full
from connection_guard.core.decision.course import begun, concluded, planned
from connection_guard.core.decision.engagement import Engagement, at_present, recalled
from connection_guard.core.decision.plan import Plan
from connection_guard.core.decision.reason import Reason
from connection_guard.core.decision.round import Round
from connection_guard.core.deployment.events import Heartbeat
from connection_guard.core.diagnosis.case import Diagnosis
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose_round
from connection_guard.core.policy import Mode, Policy, Tier


@dataclass(frozen=True, slots=True)
class Judgement:
    """By what a look is judged: the policy as at one tier, and the thresholds of the alarms."""

    policy: Policy
    tier: Tier
    warning_percent: float
    critical_percent: float
    guard_roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LiveLook:
    """One look at a database: a round that was planned and not carried out.

    `escalation` says why people would have to act, None where they would not, or where that depends
    on how the plan is carried out. `minutes_to_full` is None where usage does not grow, and for a
    single look.
    """

    database: str
    judgement: Judgement
    engagement: Engagement
    round: Round
    diagnoses: tuple[Diagnosis, ...]
    escalation: Reason | None
    minutes_to_full: float | None

    @property
    def plan(self) -> Plan:
        """The verdicts."""
        return self.round.plan


def judged(
    database: str, before: Snapshot, judgement: Judgement, looks: Sequence[Measurement] = ()
) -> LiveLook:
    """Return the look with what the responder would decide and find.

    `looks` are those of the last minutes, this one last, where there were others.
    """
    guard_roles, limits = judgement.guard_roles, judgement.policy.limits
    taken_at = before.taken_at
    engagement = at_present(recalled(before.measurement.memories, taken_at), taken_at)
    plan = planned(
        Heartbeat(taken_at),
        before,
        judgement.tier,
        engagement,
        judgement.policy,
        guard_roles=guard_roles,
        another_run=None,
    )
    looked = Round(before, plan)
    looks = looks or (before.measurement,)
    diagnoses = diagnose_round(
        looked, engagement, guard_roles=guard_roles, logins=logins_lately(looks)
    )
    escalation = None
    if plan.restraint is not None:
        escalation = concluded(
            looked,
            begun(engagement, plan, taken_at),
            limits,
            pools_are_oversized=any(each.cause is Cause.OVERSIZED_POOLS for each in diagnoses),
            turns_missed=0,
        ).escalation
    forecast = minutes_to_full(looks)
    return LiveLook(database, judgement, engagement, looked, diagnoses, escalation, forecast)


def as_responder_sees(snapshot: Snapshot, own_pid: int, guard_roles: Collection[str]) -> Snapshot:
    """Return the snapshot that the responder would have taken in place of the session `own_pid`.

    Where the responder has its seat, it needs no further session, else it would have logged in as
    the guard's role.
    """
    role = next(iter(guard_roles))
    measurement = replace(snapshot.measurement, role=role)
    if any(
        session.pid != own_pid and _is_seat(session, guard_roles) for session in snapshot.sessions
    ):
        sessions = tuple(each for each in snapshot.sessions if each.pid != own_pid)
        used = measurement.used - (len(snapshot.sessions) - len(sessions))
        return replace(snapshot, measurement=replace(measurement, used=used), sessions=sessions)
    sessions = tuple(
        replace(each, role=role, is_superuser=False) if each.pid == own_pid else each
        for each in snapshot.sessions
    )
    return replace(snapshot, measurement=measurement, sessions=sessions)


def enforced(judgement: Judgement) -> Judgement:
    """Return the judgement by a policy that does not only observe."""
    policy = replace(judgement.policy, modes=dict.fromkeys(Tier, Mode.ENFORCE))
    return replace(judgement, policy=policy)


def unpaused(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as of a guard that is not paused."""
    return replace(snapshot, measurement=replace(snapshot.measurement, pause=None))


def _is_seat(session: Session, guard_roles: Collection[str]) -> bool:
    """Return whether it is a session that the responder keeps; a person who logs in as the guard's
    role has the application_name that holds its memory (adapters/postgresql/sql/remember.sql).
    """
    name = session.application_name
    return (
        session.role in guard_roles
        and name.startswith("connection-guard ")
        and not name.startswith("connection-guard {")
    )
