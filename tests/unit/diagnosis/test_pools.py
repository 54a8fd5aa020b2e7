"""Pools that are too large, and pools that reopen what was terminated."""

from dataclasses import replace

import pytest

from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.session import Pool
from connection_guard.core.decision.outcome import Reconnection
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose
from tests.support.builders import a_snapshot
from tests.support.symptoms import MINUTE, advice_of, causes, idle_pool, leaked, the_only, working


def test_the_pool_arithmetic() -> None:
    """Twelve clients may open ten each; the last ones found the database full."""
    sizes = [10, 10, 10, 10, 10, 10, 10, 10, 5, 4, 4, 4]
    sessions = [s for n, size in enumerate(sizes) for s in idle_pool(size, client=f"10.0.3.{n}")]

    found = the_only(diagnose(a_snapshot(*sessions)))

    assert (found.cause, found.sessions) == (Cause.OVERSIZED_POOLS, 97)
    assert "12 clients x 10 sessions = 120 wanted, 97 usable" in found.summary
    assert advice_of(found) == (
        'Limit the pools of application "checkout" (role "app") to 4 sessions in total for all '
        "processes at one address: 10.0.3.0 has 10 open (= 58 sessions, 60 % of 97, / 12 "
        "addresses)"
    )


def test_what_several_processes_at_one_address_may_open_is_advised_for_all_of_them_together() -> (
    None
):
    found = the_only(diagnose(a_snapshot(*idle_pool(40, client="10.0.8.17"), usable=55)))

    assert advice_of(found) == (
        'Limit the pools of application "checkout" (role "app") to 33 sessions in total for all '
        "processes at 10.0.8.17, which have 40 open (= 33 sessions, 60 % of 55)"
    )


def test_two_applications_share_what_is_comfortable() -> None:
    large = [s for n in range(6) for s in idle_pool(10, client=f"10.0.3.{n}", application="shop")]
    small = [s for n in range(6) for s in idle_pool(5, client=f"10.0.4.{n}", application="mail")]

    first, second = diagnose(a_snapshot(*large, *small))

    assert (
        "6 sessions in total for all processes at one address: 10.0.3.0 has 10 open"
        in advice_of(first)
    )
    assert "(= 38 sessions, its share of 60 % of 97, / 6 addresses)" in advice_of(first)
    assert "(= 19 sessions, its share of 60 % of 97, / 6 addresses)" in advice_of(second)


def test_more_clients_than_sessions_to_share_need_a_proxy() -> None:
    sessions = [s for n in range(80) for s in idle_pool(1, client=f"10.0.3.{n}")]

    assert "put RDS Proxy in front of the database for application" in advice_of(
        the_only(diagnose(a_snapshot(*sessions)))
    )


def test_pools_that_work_are_not_oversized() -> None:
    assert Cause.OVERSIZED_POOLS not in causes(
        diagnose(a_snapshot(*working(60), *idle_pool(30, client="10.0.3.1")))
    )


def test_the_pool_of_rds_proxy_is_not_the_applications() -> None:
    sessions = [
        replace(session, is_owned_by_proxy=True) for session in idle_pool(90, client="10.0.9.9")
    ]

    found = the_only(diagnose(a_snapshot(*sessions)))

    assert found.cause is Cause.NO_SINGLE_CAUSE
    assert "the sessions that RDS Proxy keeps open" in advice_of(found)


def test_a_pool_that_reopens_what_was_terminated_comes_before_what_it_looks_like() -> None:
    reopened = Reconnection(Pool("app", "checkout", "10.0.1.10"), terminated=40, reopened=38)

    first, second = diagnose(a_snapshot(*leaked(70)), (reopened,))

    assert (first.cause, first.sessions) == (Cause.POOL_REOPENS, 38)
    assert first.summary == (
        '40 sessions of application "checkout" (role "app") were terminated, and the pool '
        "reopened 38"
    )
    assert "Terminate no more sessions of application" in advice_of(first)
    assert (
        'ALTER ROLE "app" CONNECTION LIMIT 58 limits the role to what the others leave it'
        in advice_of(first)
    )
    assert 'ALTER ROLE "app" CONNECTION LIMIT -1 restores its limit' in advice_of(first)
    assert second.cause is Cause.LEAK


def test_pools_of_one_application_are_counted_together() -> None:
    pools = tuple(
        Reconnection(Pool("app", "checkout", f"10.0.1.{n}"), terminated=2, reopened=2)
        for n in range(10)
    )

    assert the_only(diagnose(a_snapshot(), pools)).summary.startswith("20 sessions of ")


def test_a_role_that_others_share_is_held_with_them_and_put_back_at_its_own_limit() -> None:
    reopened = Reconnection(Pool("app", "checkout", "10.0.1.10"), terminated=40, reopened=38)
    limits = (ConnectionLimit(LimitOwner.ROLE, "app", 90, 90),)
    sessions = [*leaked(70), *idle_pool(20, client="10.0.3.1", application="mail")]

    found = diagnose(a_snapshot(*sessions, limits=limits), (reopened,))
    first = next(each for each in found if each.cause is Cause.POOL_REOPENS)

    assert (
        "limits the role, including its other applications, to what the others leave it"
        in advice_of(first)
    )
    assert "CONNECTION LIMIT 90 restores its limit" in advice_of(first)


def test_a_role_that_was_dropped_or_leaves_enough_is_not_held() -> None:
    dropped = Reconnection(Pool("", "checkout", "10.0.1.10"), terminated=40, reopened=38)
    small = Reconnection(Pool("app", "checkout", "10.0.1.10"), terminated=4, reopened=4)

    first = diagnose(
        a_snapshot(*(replace(session, role="") for session in leaked(70))), (dropped,)
    )[0]
    second = diagnose(a_snapshot(*leaked(4)), (small,))[0]

    assert "CONNECTION LIMIT" not in advice_of(first) + advice_of(second)


def test_a_pool_that_was_seen_to_reopen_stays_the_cause_of_what_it_holds() -> None:
    """Nothing is terminated any more, so nothing reopens."""
    pool = idle_pool(90, client="10.0.1.10", idle_for=20 * MINUTE)

    first, second = diagnose(a_snapshot(*pool), reopening_pools={pool[0].pool})

    assert (first.cause, first.sessions, second.cause) == (
        Cause.POOL_REOPENS,
        90,
        Cause.OVERSIZED_POOLS,
    )
    assert "reopened most of what was terminated within the last hour" in first.summary
    assert diagnose(a_snapshot(), reopening_pools={pool[0].pool}) == ()


@pytest.mark.parametrize(("terminated", "reopened"), [(40, 10), (2, 2), (0, 0)])
def test_a_few_reconnects_are_nothing(terminated: int, reopened: int) -> None:
    assert diagnose(a_snapshot(), (Reconnection(Pool("app", "", ""), terminated, reopened),)) == ()
