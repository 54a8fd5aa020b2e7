"""Runs are judged with what the earlier ones of their database show."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from connection_guard.cli.replay.all_replays import Loaded, ReplayTotals, replay_all
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.policy import Mode, Policy, Tier
from connection_guard.core.replay.gaps import GapKind
from connection_guard.core.replay.replaying import Fate
from tests.support.builders import NOW, a_policy, a_rule, a_session
from tests.support.cli.past_runs import a_report, looked

MINUTE = timedelta(minutes=1)
POLICY = a_policy(
    a_rule(older_than=10 * MINUTE), target_percent=1, most_per_hour=3, protect_roles=("safe",)
)


def stale(count: int = 1, **of_session: Any) -> Iterator[Session]:
    return (a_session(idle_for=30 * MINUTE, **of_session) for _ in range(count))


def loaded(*sessions: Session, minute: int = 0, policy: Policy = POLICY, **facts: Any) -> Loaded:
    report = a_report(*sessions, policy=policy, at=NOW + minute * MINUTE, **facts)
    return f"{minute}.json", looked(report)


def replayed_all(*evidence: Loaded, policy: Policy = POLICY, **options: Any) -> ReplayTotals:
    totals = ReplayTotals()
    names = [name for name, _ in replay_all(evidence, policy, totals, **options)]
    assert len(names) == totals.replayed
    return totals


def test_the_hours_share_is_that_of_one_database() -> None:
    evidence = (loaded(*stale(2)), loaded(*stale(2), minute=1))
    totals = replayed_all(*evidence, loaded(*stale(2), database="billing"))
    assert totals.then[Fate.TERMINATE] == 6
    assert totals.now[Fate.TERMINATE] == 2 + 1 + 2
    assert [each.name for each in totals.databases] == ["orders-prod", "billing"]


def test_a_role_of_the_guard_by_another_name_is_spared_and_gets_no_timeout() -> None:
    name, run = loaded(*stale(role="connection_guard"), *stale(role="app"))
    totals = replayed_all((name, run), policy=a_policy(a_rule(), target_percent=1))
    assert totals.now[Fate.TERMINATE] == 1
    # Only the evidence says whose session it is.
    renamed = a_report(*stale(role="watch"), *stale(role="app"), policy=POLICY, guard=("watch",))
    totals = replayed_all(("x", looked(renamed)), policy=a_policy(a_rule(), target_percent=1))
    assert totals.now[Fate.TERMINATE] == 1
    assert {each.role for each in totals.databases[0].timeouts} == {"app"}


def test_what_cannot_be_read_or_saw_nothing_is_counted() -> None:
    totals = replayed_all(("a", ValueError("it is empty")), ("b", None), loaded(*stale()))
    assert totals.unread == [("a", "it is empty")]
    assert (totals.without_look, totals.replayed) == (1, 1)


def test_a_run_that_applied_no_policy_is_a_look_all_the_same() -> None:
    report = a_report(*stale(), policy=POLICY) | {"restraint": "not an alarm", "tier": None}
    totals = replayed_all(("a", looked(report)))
    assert (totals.undecided, totals.replayed) == (1, 0)
    assert [each.looks for each in totals.databases] == [1]


def test_another_tier_judges_every_run() -> None:
    observes = a_policy(a_rule(), target_percent=1, modes=dict.fromkeys(Tier, Mode.ENFORCE))
    evidence = loaded(*stale(), tier=Tier.WARNING)
    assert replayed_all(evidence, tier=Tier.CRITICAL).newly_ended == 1
    assert replayed_all(evidence).newly_ended == 0
    assert replayed_all(evidence, policy=observes).newly_ended == 1


def test_sessions_without_room_make_a_replay_partial() -> None:
    report = a_report(*stale(2), policy=POLICY)
    report["before"]["used"] = 9
    report["evidence"]["omitted"] = 7
    totals = replayed_all(("a", looked(report)))
    assert (totals.partial, totals.omitted) == (1, 7)


def test_timeouts_are_those_of_the_server_and_none_is_for_a_protected_role() -> None:
    state = SessionState.IDLE_IN_TRANSACTION
    evidence = loaded(*stale(4, state=state, role="app"), *stale(4, state=state, role="safe"))
    [database] = replayed_all(evidence).databases
    assert {each.kind for each in database.timeouts} == {
        GapKind.IDLE,
        GapKind.IDLE_IN_TRANSACTION,
    }
    why_not = {
        each.role: each.why_not
        for each in database.timeouts
        if each.kind is GapKind.IDLE_IN_TRANSACTION
    }
    assert why_not == {"app": "few looks", "safe": "protected"}
