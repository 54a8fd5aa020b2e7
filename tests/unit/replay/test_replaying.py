"""A policy over a run of the past: what it decides is what the guard would have decided then."""

import gzip
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.adapters.postgresql.roles import AMAZON_ROLES
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.decision.outcome import Result
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.policy import Action, Mode, Policy, Tier
from connection_guard.core.replay.aftermath import Aftermath
from connection_guard.core.replay.past_run import past_run
from connection_guard.core.replay.replaying import (
    Fate,
    decided_then,
    protected_roles,
    replayed,
    roles_of_the_guard,
)
from connection_guard.core.replay.stored_lines import read_lines
from tests.support.builders import NOW, a_policy, a_rule, a_session
from tests.support.cli.past_runs import GUARD, a_report, looked, stored_objects

MINUTE = timedelta(minutes=1)
NOTHING = Aftermath()


@st.composite
def any_sessions(draw: st.DrawFn) -> tuple[Session, ...]:
    """Return sessions of different ages: evidence has times to the millisecond."""
    ages = draw(st.lists(st.integers(0, 3_600_000), min_size=1, max_size=25, unique=True))
    roles = st.sampled_from(["app", "batch", "connection_guard", "rdsadmin", "admin"])
    return tuple(
        a_session(
            pid=100 + place,
            state=draw(st.sampled_from([None, *SessionState])),
            idle_for=timedelta(milliseconds=age),
            connected_for=timedelta(milliseconds=age + draw(st.integers(0, 100_000))),
            role=(role := draw(roles)),
            application=draw(st.sampled_from(["checkout", "é\x01", ""])),
            client=draw(st.sampled_from(["10.0.1.10", "fd00::1", ""])),
            superuser=role == "admin",
            listening=draw(st.booleans()),
            advisory_lock=draw(st.booleans()),
            proxied=draw(st.booleans()),
        )
        for place, age in enumerate(ages)
    )


@st.composite
def any_policies(draw: st.DrawFn) -> Policy:
    states = st.frozensets(
        st.sampled_from([SessionState.IDLE, SessionState.ACTIVE, SessionState.IDLE_IN_TRANSACTION]),
        min_size=1,
    )
    rules = tuple(
        a_rule(
            f"rule {place}",
            action=draw(st.sampled_from(Action)),
            states=draw(states),
            older_than=draw(st.integers(0, 30)) * MINUTE,
            roles=draw(st.sampled_from([(), ("app",), ("b*",)])),
            clients=draw(st.sampled_from([(), ("10.0.0.0/8",)])),
            even_if_listening=draw(st.booleans()),
        )
        for place in range(draw(st.integers(1, 3)))
    )
    return a_policy(
        *rules,
        modes={tier: draw(st.sampled_from(Mode)) for tier in Tier},
        protect_roles=draw(st.sampled_from([(), ("batch",)])),
        target_percent=draw(st.integers(1, 99)),
        most_per_run=draw(st.integers(1, 20)),
        most_per_hour=draw(st.integers(20, 40)),
        refuse_above_percent=draw(st.integers(1, 100)),
        keep_per_pool=draw(st.integers(0, 3)),
    )


@given(any_sessions(), any_policies(), st.sampled_from(Tier), st.integers(1, 40), st.booleans())
def test_the_same_policy_decides_what_was_decided(
    sessions: tuple[Session, ...], policy: Policy, tier: Tier, usable: int, is_stored: bool
) -> None:
    report = a_report(*sessions, policy=policy, tier=tier, usable=usable)
    if is_stored:
        *_, lines = stored_objects(report).values()
        run = past_run(report, gzip.decompress(lines).decode(), AMAZON_ROLES)
        assert run is not None
    else:
        run = looked(report)
    again = replayed(run, policy, tier, NOTHING, GUARD)
    assert not again.is_different
    assert again.anew == decided_then(run)
    assert len(again.anew.pids(Fate.TERMINATE)) == len(report["terminated"])
    assert len(again.anew.pids(Fate.WOULD_TERMINATE)) == (
        report["verdicts"]["terminate"] if report["restraint"] else 0
    )


def sessions_idle_for(*minutes: float, **of_session: object) -> list[Session]:
    return [a_session(idle_for=each * MINUTE, **of_session) for each in minutes]  # type: ignore[arg-type]


STALE = a_rule("stale idle", older_than=10 * MINUTE)


def test_a_changed_policy_shows_whom_it_newly_ends_and_spares_and_who_is_at_work() -> None:
    old = a_policy(STALE, target_percent=1)
    new = a_policy(
        a_rule("long queries", states=frozenset({SessionState.ACTIVE}), older_than=MINUTE),
        a_rule("stale idle", older_than=20 * MINUTE),
        target_percent=1,
    )
    spared, ended = sessions_idle_for(15, 25)
    at_work = a_session(state=SessionState.ACTIVE, idle_for=5 * MINUTE)
    run = looked(a_report(spared, ended, at_work, policy=old))
    again = replayed(run, new, Tier.CRITICAL, NOTHING, GUARD)
    by_pid = {each.session.pid: each for each in again.changes}
    assert set(by_pid) == {spared.pid, at_work.pid}
    assert (by_pid[spared.pid].then.rule, by_pid[spared.pid].anew.fate) == (
        "stale idle",
        Fate.SPARE,
    )
    assert by_pid[at_work.pid].anew.rule == "long queries"
    assert [each.ends_work for each in (by_pid[spared.pid], by_pid[at_work.pid])] == [False, True]
    back = replayed(run, old, Tier.CRITICAL, NOTHING, GUARD, against=new)
    assert not any(each.ends_work for each in back.changes), "nobody newly ended is at work"


def test_a_role_that_the_policy_protects_is_known_with_and_without_a_decision() -> None:
    policy = a_policy(STALE, target_percent=1, protect_roles=("batch",))
    run = looked(
        a_report(*sessions_idle_for(15), *sessions_idle_for(1, role="batch"), policy=policy)
    )
    again = replayed(run, policy, Tier.CRITICAL, NOTHING, GUARD)
    for known in (again, None):
        assert protected_roles(run, policy, GUARD, known) == {"batch"}


def test_two_policies_are_compared_with_each_other_and_not_with_what_was() -> None:
    run = looked(a_report(*sessions_idle_for(15, 25), policy=a_policy(STALE, target_percent=1)))
    nothing = a_policy(a_rule(older_than=60 * MINUTE), target_percent=1)
    again = replayed(run, nothing, Tier.CRITICAL, NOTHING, GUARD, against=nothing)
    assert not again.is_different
    assert replayed(run, nothing, Tier.CRITICAL, NOTHING, GUARD).is_different


def test_another_tier_lifts_the_restraint_of_a_run_that_only_observed() -> None:
    policy = a_policy(STALE, target_percent=1)
    run = looked(a_report(*sessions_idle_for(15, 25), policy=policy, tier=Tier.WARNING))
    assert decided_then(run).restraint is Restraint.OBSERVING
    again = replayed(run, policy, Tier.CRITICAL, NOTHING, GUARD)
    assert [each.then.fate for each in again.changes] == [Fate.WOULD_TERMINATE] * 2
    assert [each.anew.fate for each in again.changes] == [Fate.TERMINATE] * 2


def test_what_amazon_and_the_guard_own_is_known_although_the_evidence_does_not_say_so() -> None:
    policy = a_policy(STALE, target_percent=1)
    guard, amazon, app = (
        sessions_idle_for(30, role=role)[0] for role in ("connection_guard", "rdsadmin", "app")
    )
    run = looked(a_report(guard, amazon, app, policy=policy))
    assert roles_of_the_guard(run, policy) == {"connection_guard"}
    again = replayed(run, policy, Tier.CRITICAL, NOTHING, roles_of_the_guard(run, policy))
    assert again.anew.pids(Fate.TERMINATE) == [app.pid]


def test_sessions_that_found_no_room_count_as_used() -> None:
    policy = a_policy(STALE, target_percent=50)
    report = a_report(*sessions_idle_for(15, 20, 25), policy=policy, usable=10)
    report["before"]["used"] = 10
    report["evidence"]["omitted"] = 7
    run = looked(report)
    assert (run.snapshot.used, run.omitted) == (10, 7)
    assert len(replayed(run, policy, Tier.CRITICAL, NOTHING, GUARD).anew.pids(Fate.TERMINATE)) == 3


def test_a_guard_that_was_paused_stays_paused() -> None:
    policy = a_policy(STALE, target_percent=1)
    report = a_report(*sessions_idle_for(15), policy=policy)
    report["restraint"] = "paused"
    again = replayed(looked(report), policy, Tier.CRITICAL, NOTHING, GUARD)
    assert again.anew.restraint is Restraint.PAUSED


def test_a_server_that_refused_a_login_stays_full() -> None:
    policy = a_policy(STALE, target_percent=50)
    report = a_report(*sessions_idle_for(15), policy=policy)
    report["before"]["refused_a_login"] = True
    again = replayed(looked(report), policy, Tier.CRITICAL, NOTHING, GUARD)
    assert (again.then.restraint, again.anew.restraint) == (
        Restraint.BELOW_TARGET,
        Restraint.NOTHING_MATCHES,
    )
    assert again.is_different
    assert not again.changes


def test_a_pool_that_the_run_knew_to_reopen_is_left_alone() -> None:
    policy = a_policy(STALE, target_percent=1)
    pools = {each.pool for each in sessions_idle_for(15)}
    run = looked(a_report(*sessions_idle_for(15, 20), policy=policy, reopening=pools))
    again = replayed(run, policy, Tier.CRITICAL, NOTHING, GUARD)
    assert not again.is_different
    assert again.anew.restraint is Restraint.POOLS_REOPEN


def test_what_earlier_runs_did_bounds_a_later_one_as_it_did_then() -> None:
    policy = a_policy(STALE, target_percent=1, most_per_hour=3)
    first = looked(a_report(*sessions_idle_for(15, 20), policy=policy))
    later = a_report(*sessions_idle_for(15, 20), policy=policy, at=NOW + 10 * MINUTE)
    past = NOTHING.after(first)
    assert past.terminated_within_an_hour(looked(later)) == 2
    assert (
        len(replayed(looked(later), policy, Tier.CRITICAL, past, ()).anew.pids(Fate.TERMINATE)) == 1
    )
    much_later = looked(a_report(*sessions_idle_for(15), policy=policy, at=NOW + 61 * MINUTE))
    assert past.terminated_within_an_hour(much_later) == 0


def test_a_pool_that_reopens_is_left_alone_for_an_hour() -> None:
    policy = a_policy(STALE, target_percent=1)
    report = a_report(*sessions_idle_for(15, 20), policy=policy)
    report["reconnections"] = [
        {
            "role": "app",
            "application": "checkout",
            "client": "10.0.1.10",
            "terminated": 2,
            "reopened": 2,
            "reopens": True,
        }
    ]
    past = NOTHING.after(looked(report))
    for minutes, count in ((10, 0), (70, 1)):
        later = looked(a_report(*sessions_idle_for(15), policy=policy, at=NOW + minutes * MINUTE))
        again = replayed(later, policy, Tier.CRITICAL, past, ())
        assert len(again.anew.pids(Fate.TERMINATE)) == count


def test_whom_a_run_could_not_move_goes_last_until_usage_is_down() -> None:
    policy = a_policy(STALE, target_percent=1, most_per_run=1)
    stubborn, other = sessions_idle_for(30, 20)
    results = {stubborn.pid: Result.SURVIVED}
    report = a_report(stubborn, other, policy=policy, results=results)
    past = NOTHING.after(looked(report))
    # The next look sees its start a fraction of a millisecond apart.
    later = MINUTE + timedelta(microseconds=300)
    same = replace(stubborn, backend_start=stubborn.backend_start - MINUTE)
    run = looked(a_report(same, other, policy=policy, at=NOW + later))
    for known, gone in ((NOTHING, stubborn), (past, other)):
        again = replayed(run, policy, Tier.CRITICAL, known, ())
        assert again.anew.pids(Fate.TERMINATE) == [gone.pid]
    reused = replace(same, backend_start=same.backend_start + MINUTE)
    run = looked(a_report(reused, other, policy=policy, at=NOW + later))
    assert not past.unmoved_sessions(run), "another session has its pid"
    report["before"]["utilisation"] = 0.5
    assert not NOTHING.after(looked(report)).unmoved


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda report: report.clear(), "not a report"),
        (lambda report: report.update(schema_version=2), "version 2"),
        (lambda report: report.pop("before"), "damaged"),
        (lambda report: report["evidence"].update(format=2), "format 2"),
        (lambda report: report["evidence"].update(data="AAAA"), "damaged or truncated"),
        (lambda report: report["evidence"].update(data=report["evidence"]["data"][:80]), "damaged"),
        (lambda report: report["before"].update(used=0), "damaged"),
        (lambda report: report.update(restraint="asleep"), "damaged"),
        (lambda report: report.update(tier=[]), "damaged"),
    ],
)
def test_what_is_no_evidence_is_said_to_be_none(change: object, words: str) -> None:
    report = a_report(*sessions_idle_for(15), policy=a_policy(STALE))
    change(report)  # type: ignore[operator]
    with pytest.raises(ValueError, match=words):
        past_run(report, None)


def test_lines_that_are_missing_are_counted() -> None:
    report = a_report(*sessions_idle_for(15, 20), policy=a_policy(STALE))
    *_, lines = stored_objects(report).values()
    first, *_ = gzip.decompress(lines).decode().splitlines()
    assert len(read_lines(first, NOW, 0).sessions) == 1
    with pytest.raises(ValueError, match="1 of 2 sessions"):
        past_run(report, first)


def test_a_report_of_no_look_is_no_run() -> None:
    report = a_report(*sessions_idle_for(15), policy=a_policy(STALE))
    assert past_run({**report, "evidence": None}, None) is None


@given(st.data())
def test_a_report_with_anything_in_it_is_read_or_refused(data: st.DataObject) -> None:
    report = a_report(*sessions_idle_for(15, 20), policy=a_policy(STALE, target_percent=1))
    *_, packed = stored_objects(report).values()
    rows = [json.loads(line) for line in gzip.decompress(packed).decode().splitlines()]
    place: Any = data.draw(st.sampled_from([report, report["before"], report["server"], *rows]))
    key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(
        st.sampled_from([None, "", "x", -1, 1e300, True, [], {}, [{}], "2026-11-20", 2**80])
    )
    try:
        run = past_run(report, "\n".join(map(json.dumps, rows)))
    except ValueError:
        return
    if run is not None and run.tier is not None:
        again = replayed(run, a_policy(STALE), run.tier, NOTHING, ())
        assert len({each.anew for each in again.changes}) <= len(again.anew.of_sessions) <= 2
