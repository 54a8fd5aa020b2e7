"""What the responder would see and decide in place of a verb's own session."""

from dataclasses import replace
from datetime import timedelta

from connection_guard.adapters.postgresql.guard_session import application_name
from connection_guard.adapters.postgresql.turn import MEMORY
from connection_guard.cli.live.live_look import (
    Judgement,
    LiveLook,
    as_responder_sees,
    enforced,
    judged,
    unpaused,
)
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.pause import Pause
from connection_guard.core.database.session import Session
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.engagement import Engagement, ready_to_save, to_text
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.policy import Mode, Policy, Tier
from tests.support.builders import NOW, a_policy, a_session, a_snapshot

GUARD = "connection_guard"
SEAT_NAME = application_name(Door(DoorName.DIRECT, "db", 5432, GUARD))


def own_session(role: str = GUARD, **changes: object) -> Session:
    return a_session(pid=1, role=role, application=SEAT_NAME, **changes)  # type: ignore[arg-type]


def judgement(policy: Policy | None = None, tier: Tier = Tier.CRITICAL) -> Judgement:
    return Judgement(policy or a_policy(), tier, 75, 90, (GUARD,))


def look_at(snapshot: Snapshot, policy: Policy | None = None) -> LiveLook:
    return judged("orders", snapshot, judgement(policy))


def remembering(snapshot: Snapshot, engagement: Engagement) -> Snapshot:
    """Return the snapshot of a server that keeps the engagement."""
    memory = to_text(ready_to_save(engagement, NOW - timedelta(minutes=1)))
    return replace(snapshot, measurement=replace(snapshot.measurement, memories=(memory,)))


def test_the_own_session_is_left_out_where_the_responder_has_its_seat() -> None:
    seat, client = a_session(role=GUARD, application=SEAT_NAME), a_session()
    seen = as_responder_sees(a_snapshot(own_session(), seat, client), 1, [GUARD])

    assert seen.sessions == (seat, client)
    assert (seen.used, seen.measurement.used) == (2, 2)


def test_without_a_seat_it_is_the_login_that_the_responder_would_need() -> None:
    person = own_session("alice", superuser=True)
    seen = as_responder_sees(a_snapshot(person, a_session()), 1, [GUARD])

    assert seen.used == 2
    assert (seen.sessions[0].role, seen.sessions[0].is_superuser) == (GUARD, False)
    assert seen.measurement.role == GUARD


def test_a_person_who_logged_in_as_the_guard_is_no_seat() -> None:
    psql = a_session(role=GUARD, application=f"{MEMORY}{{}}")
    assert as_responder_sees(a_snapshot(own_session(), psql), 1, [GUARD]).used == 2


def test_the_hours_share_is_what_earlier_runs_left_of_it() -> None:
    snapshot = a_snapshot(*(a_session() for _ in range(97)))
    used_up = Engagement(terminations=((NOW - timedelta(minutes=3), 10),))
    policy = a_policy(most_per_hour=10)

    assert look_at(snapshot, policy).plan.restraint is None
    look = look_at(remembering(snapshot, used_up), policy)
    assert look.plan.restraint is Restraint.HOURLY_CAP
    assert look.escalation == look.plan.reason


def test_pools_that_reopened_are_spared_and_somebody_has_to_act() -> None:
    sessions = [a_session() for _ in range(97)]
    reopening = Engagement(reopening={sessions[0].pool: NOW - timedelta(minutes=3)})

    look = look_at(remembering(a_snapshot(*sessions), reopening))

    assert look.plan.restraint is Restraint.POOLS_REOPEN
    assert look.escalation is not None


def test_whoever_enforces_by_hand_overrides_mode_and_pause_only() -> None:
    observing = a_policy(
        modes={Tier.WARNING: Mode.OBSERVE, Tier.CRITICAL: Mode.OBSERVE}, refuse_above_percent=10
    )
    crowded = a_snapshot(*(a_session() for _ in range(97)))
    paused = replace(crowded, measurement=replace(crowded.measurement, pause=Pause()))

    assert look_at(paused, observing).plan.restraint is Restraint.OBSERVING
    assert judged("", paused, enforced(judgement(observing))).plan.restraint is Restraint.PAUSED
    by_hand = judged("", unpaused(paused), enforced(judgement(observing))).plan
    assert by_hand.restraint is Restraint.REFUSED
