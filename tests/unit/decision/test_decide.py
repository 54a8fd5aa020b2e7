"""Given a snapshot and a policy, who goes, who stays, and why."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.decision.decide import decide
from connection_guard.core.decision.plan import Plan
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.policy import Action, Mode, Tier
from connection_guard.core.report.wording import worded
from tests.support.builders import NOW, a_policy, a_rule, a_session, a_snapshot

ABORTED = frozenset({SessionState.IDLE_IN_TRANSACTION_ABORTED})
IN_TRANSACTION = frozenset({SessionState.IDLE_IN_TRANSACTION})


def chosen(plan: Plan) -> list[int]:
    return [verdict.session.pid for verdict in plan.chosen]


def verdict_on(plan: Plan, session: Session) -> tuple[str, str]:
    (verdict,) = [verdict for verdict in plan.verdicts if verdict.session is session]
    return verdict.rule, worded(verdict.reason)


def test_the_first_rule_that_matches_decides() -> None:
    reports = a_session(role="reports")
    app = a_session(role="app")
    rules = (a_rule("reports stay", action=Action.SPARE, roles=("rep*",)), a_rule("stale idle"))
    plan = decide(a_snapshot(reports, app, usable=1), a_policy(*rules), Tier.CRITICAL)
    assert chosen(plan) == [app.pid]
    assert verdict_on(plan, reports)[0] == "reports stay"


def test_a_session_that_no_rule_matches_is_spared() -> None:
    active = a_session(state=SessionState.ACTIVE)
    plan = decide(a_snapshot(active, usable=1), a_policy(), Tier.CRITICAL)
    assert chosen(plan) == []
    assert verdict_on(plan, active) == ("no rule", "no rule matched")
    assert plan.restraint is Restraint.NOTHING_MATCHES


@pytest.mark.parametrize(
    ("matcher", "missing"),
    [
        ({"states": IN_TRANSACTION}, {}),
        ({"older_than": timedelta(minutes=2)}, {"idle_for": timedelta(minutes=1, seconds=59)}),
        ({"roles": ("web*",)}, {"role": "worker"}),
        ({"databases": ("shop",)}, {"database": "Shop"}),
        ({"applications": ("*-api",)}, {"application": "api-gateway"}),
        ({"clients": ("10.0.0.0/24",)}, {"client": "10.0.1.1"}),
        ({"clients": ("10.0.0.0/24",)}, {"client": ""}),
        ({"tiers": frozenset({Tier.WARNING})}, {}),
    ],
)
def test_matchers_combine_as_and(matcher: dict[str, object], missing: dict[str, object]) -> None:
    """Everything else about the session matches; the one thing that does not is enough to spare
    it.
    """
    fitting = {
        "role": "web1",
        "database": "shop",
        "application": "orders-api",
        "client": "10.0.0.9",
    }
    everything = {
        "roles": ("web*",),
        "databases": ("shop",),
        "applications": ("*-api",),
        "clients": ("10.0.0.0/24",),
    }
    session = a_session(**(fitting | missing))  # type: ignore[arg-type]
    rule = a_rule(**(everything | matcher))  # type: ignore[arg-type]
    plan = decide(a_snapshot(session, usable=1), a_policy(rule), Tier.CRITICAL)
    assert chosen(plan) == []
    control = a_rule(**everything)  # type: ignore[arg-type]
    fits = a_session(**fitting)  # type: ignore[arg-type]
    assert chosen(decide(a_snapshot(fits, usable=1), a_policy(control), Tier.CRITICAL)) == [
        fits.pid
    ]


@pytest.mark.parametrize(
    ("session", "why"),
    [
        (a_session(role="connection_guard"), "the guard's own session"),
        (a_session(role="rdsadmin"), "a session of Amazon RDS itself"),
        (a_session(role="rdsproxyadmin"), "a session of Amazon RDS itself"),
        (a_session(role="rdsrepladmin"), "a session of Amazon RDS itself"),
        (a_session(superuser=True), "a superuser's session"),
        (a_session(state=None), "its state is not known"),
        (a_session(state=SessionState.STARTING), "its state is not known"),
        (a_session(state=SessionState.DISABLED), "its state is not known"),
        (
            a_session(proxied=True),
            "in RDS Proxy's own pool: the proxy would reopen it, and resets its idle time",
        ),
        (a_session(role="backup"), "its role is protected"),
        (a_session(database="billing"), "its database is protected"),
        (a_session(application="pg_dump"), "its application is protected"),
        (a_session(client="10.9.0.4"), "its client is protected"),
        (a_session(advisory_lock=True), "it holds an advisory lock"),
        (a_session(listening=True), "its last statement was LISTEN"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_some_are_never_terminated_regardless_of_the_rule(session: Session, why: str) -> None:
    policy = a_policy(
        a_rule(states=frozenset(SessionState)),
        protect_roles=("backup",),
        protect_databases=("billing",),
        protect_applications=("pg_dump*",),
        protect_clients=("10.9.0.0/16",),
    )
    plan = decide(
        a_snapshot(session, usable=1), policy, Tier.CRITICAL, guard_roles=("connection_guard",)
    )
    assert chosen(plan) == []
    assert verdict_on(plan, session)[1] == why


def test_idle_time_is_since_the_last_change_of_state_and_not_since_the_last_query_began() -> None:
    """A query that ran for two hours and ended a second ago has left nobody idle."""
    session = replace(
        a_session(idle_for=timedelta(seconds=1)), query_start=NOW - timedelta(hours=2)
    )
    policy = a_policy(a_rule(older_than=timedelta(minutes=10)))
    assert chosen(decide(a_snapshot(session, usable=1), policy, Tier.CRITICAL)) == []


def test_a_rule_can_name_those_that_hold_advisory_locks_or_listen() -> None:
    locking, listening = a_session(advisory_lock=True), a_session(listening=True)
    policy = a_policy(a_rule(even_with_advisory_lock=True, even_if_listening=True))
    assert chosen(decide(a_snapshot(locking, listening, usable=1), policy, Tier.CRITICAL)) == [
        locking.pid,
        listening.pid,
    ]


def test_a_transaction_left_open_through_the_proxy_is_the_clients_own_and_may_go() -> None:
    session = a_session(state=SessionState.IDLE_IN_TRANSACTION, proxied=True)
    policy = a_policy(a_rule(states=IN_TRANSACTION))
    assert chosen(decide(a_snapshot(session, usable=1), policy, Tier.CRITICAL)) == [session.pid]


def test_rules_go_in_order_and_within_a_rule_the_longest_idle_goes_first() -> None:
    idle_long, idle_short = (
        a_session(idle_for=timedelta(hours=2)),
        a_session(idle_for=timedelta(hours=1)),
    )
    aborted = a_session(
        state=SessionState.IDLE_IN_TRANSACTION_ABORTED, idle_for=timedelta(minutes=1)
    )
    policy = a_policy(a_rule("aborted", states=ABORTED), a_rule("stale idle"))
    plan = decide(a_snapshot(idle_short, idle_long, aborted, usable=1), policy, Tier.CRITICAL)
    assert chosen(plan) == [aborted.pid, idle_long.pid, idle_short.pid]


@pytest.mark.parametrize(
    ("usable", "used", "goes"), [(100, 100, 31), (97, 98, 31), (10, 10, 4), (100, 70, 1)]
)
def test_only_as_many_go_as_bring_usage_below_the_target(usable: int, used: int, goes: int) -> None:
    sessions = [a_session() for _ in range(used)]
    plan = decide(a_snapshot(*sessions, usable=usable), a_policy(target_percent=70), Tier.CRITICAL)
    assert len(plan.chosen) == goes
    assert 100 * (used - goes) / usable < 70 <= 100 * (used - goes + 1) / usable
    assert {verdict.rule for verdict in plan.verdicts if verdict.action is Action.SPARE} == {
        "limits.target"
    }


def test_usage_below_the_target_asks_for_nothing() -> None:
    plan = decide(
        a_snapshot(*[a_session() for _ in range(69)], usable=100), a_policy(), Tier.CRITICAL
    )
    assert chosen(plan) == []
    assert plan.restraint is Restraint.BELOW_TARGET
    assert worded(plan.reason) == "69 of 100 connections in use, already below the target of 70 %"


def test_a_run_and_an_hour_have_their_caps() -> None:
    snapshot = a_snapshot(*[a_session() for _ in range(100)], usable=100)
    by_run = decide(snapshot, a_policy(most_per_run=10), Tier.CRITICAL)
    assert len(by_run.chosen) == 10
    assert by_run.restraint is None
    by_hour = decide(
        snapshot,
        a_policy(most_per_run=10, most_per_hour=50),
        Tier.CRITICAL,
        terminated_last_hour=45,
    )
    assert len(by_hour.chosen) == 5
    assert {verdict.rule for verdict in by_hour.verdicts[5:]} == {"limits.most_per_hour"}
    spent = decide(
        snapshot,
        a_policy(most_per_run=10, most_per_hour=50),
        Tier.CRITICAL,
        terminated_last_hour=50,
    )
    assert spent.restraint is Restraint.HOURLY_CAP
    assert spent.chosen == ()


def test_a_plan_that_would_take_too_large_a_share_is_refused_whole() -> None:
    snapshot = a_snapshot(*[a_session() for _ in range(100)], usable=100)
    assert decide(snapshot, a_policy(refuse_above_percent=31), Tier.CRITICAL).restraint is None
    plan = decide(snapshot, a_policy(refuse_above_percent=30), Tier.CRITICAL)
    assert plan.restraint is Restraint.REFUSED
    assert "31 of 100 sessions (31 %): limits.refuse_above is 30 %" in worded(plan.reason)


def test_every_pool_keeps_its_most_recently_used_sessions() -> None:
    stale = [a_session(idle_for=timedelta(minutes=minutes)) for minutes in (30, 20, 10)]
    other_client = a_session(client="10.0.1.11", idle_for=timedelta(hours=1))
    plan = decide(
        a_snapshot(*stale, other_client, usable=1), a_policy(keep_per_pool=1), Tier.CRITICAL
    )
    assert chosen(plan) == [stale[0].pid, stale[1].pid]
    assert verdict_on(plan, stale[2]) == (
        "limits.keep_per_pool",
        "among the most recently used of its pool",
    )


@pytest.mark.parametrize(
    "taken",
    [{"state": SessionState.ACTIVE}, {"listening": True}, {"advisory_lock": True}],
    ids=["at work", "listening", "holding an advisory lock"],
)
def test_a_session_that_a_pool_cannot_hand_out_is_not_the_one_that_it_keeps(
    taken: dict[str, Any],
) -> None:
    stale = [a_session(idle_for=timedelta(minutes=minutes)) for minutes in (30, 20)]
    latest = a_session(idle_for=timedelta(seconds=5), **taken)
    plan = decide(a_snapshot(*stale, latest, usable=1), a_policy(keep_per_pool=1), Tier.CRITICAL)
    assert chosen(plan) == [stale[0].pid]
    assert verdict_on(plan, stale[1])[0] == "limits.keep_per_pool"


def test_a_rule_that_spares_by_role_spares_sessions_whose_role_was_dropped() -> None:
    orphan = a_session(role="")
    rules = (a_rule("reports stay", action=Action.SPARE, roles=("reporting_*",)), a_rule())
    assert (
        verdict_on(decide(a_snapshot(orphan, usable=1), a_policy(*rules), Tier.CRITICAL), orphan)[0]
        == "reports stay"
    )
    other = a_rule("runaways", roles=("adhoc_*",))
    assert chosen(decide(a_snapshot(orphan, usable=1), a_policy(other), Tier.CRITICAL)) == []


def taken_from(plan: Plan) -> dict[str, int]:
    """How many sessions each application loses."""
    return dict(Counter(verdict.session.application_name for verdict in plan.chosen))


def test_a_healthy_pool_does_not_pay_for_anothers_leak() -> None:
    leak = [
        a_session(application="leak", idle_for=timedelta(minutes=10 + minute))
        for minute in range(26)
    ]
    quiet = [
        a_session(application=f"quiet {pool}", client=f"10.0.2.{pool}", idle_for=timedelta(hours=3))
        for pool in range(5)
        for _ in range(4)
    ]
    plan = decide(a_snapshot(*quiet, *leak, usable=42), a_policy(), Tier.CRITICAL)
    assert taken_from(plan) == {"leak": 17}
    assert chosen(plan) == [session.pid for session in reversed(leak[9:])], (
        "the longest idle of the pool go first"
    )
    assert worded(plan.chosen[0].reason) == "idle for 35 min, one of 26 in its pool"
    assert verdict_on(plan, quiet[0]) == (
        "limits.target",
        "enough others come before it; larger pools go first",
    )


def test_pools_that_are_even_give_in_turn() -> None:
    pools = {"a": 10, "b": 6, "c": 3}
    sessions = [a_session(application=name) for name, size in pools.items() for _ in range(size)]
    used_afterwards = {19: 19, 15: 15, 13: 13, 9: 9, 6: 6, 3: 3}
    left = []
    for used in used_afterwards:
        plan = decide(
            a_snapshot(*sessions, usable=100), a_policy(target_percent=used + 1), Tier.CRITICAL
        )
        taken = taken_from(plan)
        left.append({name: size - taken.get(name, 0) for name, size in pools.items()})
    assert left == [
        {"a": 10, "b": 6, "c": 3},
        {"a": 6, "b": 6, "c": 3},
        {"a": 5, "b": 5, "c": 3},
        {"a": 3, "b": 3, "c": 3},
        {"a": 2, "b": 2, "c": 2},
        {"a": 1, "b": 1, "c": 1},
    ]


def test_a_rule_comes_before_the_size_of_a_pool() -> None:
    forgotten = a_session(application="small", state=SessionState.IDLE_IN_TRANSACTION)
    policy = a_policy(a_rule("transactions", states=IN_TRANSACTION), a_rule(), most_per_run=2)
    plan = decide(
        a_snapshot(*[a_session() for _ in range(9)], forgotten, usable=1), policy, Tier.CRITICAL
    )
    assert chosen(plan)[0] == forgotten.pid


def test_processes_behind_one_address_that_started_one_after_another_each_keep_some() -> None:
    """PostgreSQL shows them as one pool of 30; each opened its three sessions together."""
    processes = [
        [
            a_session(
                idle_for=timedelta(minutes=30 - number),
                connected_for=timedelta(hours=1, seconds=20 * number),
            )
            for _ in range(3)
        ]
        for number in range(10)
    ]
    sessions = [session for process in processes for session in process]
    plan = decide(a_snapshot(*sessions, usable=30), a_policy(target_percent=44), Tier.CRITICAL)
    gone = set(chosen(plan))
    assert len(gone) == 17
    assert {sum(session.pid not in gone for session in process) for process in processes} == {1, 2}


def test_a_session_that_an_earlier_run_could_not_move_goes_last_regardless_of_rule_and_age() -> (
    None
):
    stuck = [
        a_session(state=SessionState.IDLE_IN_TRANSACTION, idle_for=timedelta(hours=1))
        for _ in range(4)
    ]
    others = [a_session(idle_for=timedelta(minutes=minute)) for minute in (20, 30)]
    policy = a_policy(a_rule("transactions", states=IN_TRANSACTION), a_rule(), most_per_run=3)
    plan = decide(
        a_snapshot(*stuck, *others, usable=1),
        policy,
        Tier.CRITICAL,
        unmoved={each.identity for each in stuck},
    )
    assert chosen(plan) == [others[1].pid, others[0].pid, stuck[0].pid]


def test_where_roles_are_protected_a_session_whose_role_was_dropped_is_spared() -> None:
    orphan = a_session(role="")
    assert chosen(decide(a_snapshot(orphan, usable=1), a_policy(), Tier.CRITICAL)) == [orphan.pid]
    plan = decide(a_snapshot(orphan, usable=1), a_policy(protect_roles=("vault-*",)), Tier.CRITICAL)
    assert verdict_on(plan, orphan) == (
        "protect",
        "its role was dropped, so it may have been a protected one",
    )


def test_a_session_idle_in_transaction_is_checked_out_and_not_kept_for_its_pool() -> None:
    session = a_session(state=SessionState.IDLE_IN_TRANSACTION)
    policy = a_policy(a_rule(states=IN_TRANSACTION), keep_per_pool=1)
    assert chosen(decide(a_snapshot(session, usable=1), policy, Tier.CRITICAL)) == [session.pid]


def test_a_pool_that_reopens_what_it_loses_is_left_alone() -> None:
    storming, stale = a_session(application="storm"), a_session(application="leak")
    plan = decide(
        a_snapshot(storming, stale, usable=1),
        a_policy(),
        Tier.CRITICAL,
        reopening_pools={storming.pool},
    )
    assert chosen(plan) == [stale.pid]
    assert verdict_on(plan, storming)[0] == "pool reopens"


def test_an_observing_tier_plans_and_does_not_act() -> None:
    session = a_session()
    plan = decide(
        a_snapshot(session, usable=1),
        a_policy(modes=dict.fromkeys(Tier, Mode.OBSERVE)),
        Tier.CRITICAL,
    )
    assert chosen(plan) == [session.pid]
    assert plan.restraint is Restraint.OBSERVING

    nothing_to_plan = decide(
        a_snapshot(a_session(state=SessionState.ACTIVE), usable=1), a_policy(), Tier.WARNING
    )
    assert nothing_to_plan.restraint is Restraint.OBSERVING, (
        "a tier that observes does not try again and again"
    )


SESSIONS = st.builds(
    a_session,
    state=st.sampled_from([None, *SessionState]),
    idle_for=st.timedeltas(timedelta(), timedelta(hours=1)),
    role=st.sampled_from(["app", "connection_guard", "rdsadmin", "backup"]),
    application=st.sampled_from(["api", "pg_dump", ""]),
    client=st.sampled_from(["10.0.0.1", "10.0.0.2", "", "::1"]),
    superuser=st.booleans(),
    listening=st.booleans(),
    advisory_lock=st.booleans(),
    proxied=st.booleans(),
)


@given(
    sessions=st.lists(SESSIONS, min_size=1, max_size=40),
    usable=st.integers(1, 50),
    most_per_run=st.integers(1, 20),
    keep=st.integers(0, 3),
    states=st.frozensets(st.sampled_from(SessionState), min_size=1),
)
def test_with_any_content_every_session_has_one_verdict_and_no_limit_is_passed(
    sessions: list[Session],
    usable: int,
    most_per_run: int,
    keep: int,
    states: frozenset[SessionState],
) -> None:
    snapshot = a_snapshot(*sessions, usable=usable)
    policy = a_policy(
        a_rule(states=states),
        protect_applications=("pg_dump",),
        most_per_run=most_per_run,
        keep_per_pool=keep,
    )
    plan = decide(snapshot, policy, Tier.CRITICAL, guard_roles=("connection_guard",))
    assert sorted(verdict.session.pid for verdict in plan.verdicts) == sorted(
        session.pid for session in sessions
    )
    assert len(plan.chosen) <= min(most_per_run, max(len(sessions) - int(0.7 * usable), 0) + 1)
    for verdict in plan.chosen:
        session = verdict.session
        assert session.role == "app" or session.role == "backup"
        assert session.application_name != "pg_dump"
        assert session.state in states - {SessionState.STARTING, SessionState.DISABLED}
        assert not any((session.is_superuser, session.is_listening, session.holds_advisory_lock))
        assert not (session.is_owned_by_proxy and session.state is SessionState.IDLE)
    assert all(verdict.rule and verdict.reason for verdict in plan.verdicts)
