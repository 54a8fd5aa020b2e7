"""Genuine load, full servers without a cause, and sessions that ended by themselves."""

import pytest

from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.session import Pool, SessionState
from connection_guard.core.decision.outcome import Vanished
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose
from tests.support.builders import NOW, a_session, a_snapshot
from tests.support.symptoms import (
    HOUR,
    SECOND,
    advice_of,
    causes,
    forgotten_transaction,
    idle_pool,
    leaked,
    the_only,
    working,
)


def test_when_all_sessions_work_none_is_to_be_terminated() -> None:
    found = the_only(diagnose(a_snapshot(*working(95))))

    assert (found.cause, found.sessions, found.since) == (Cause.GENUINE_LOAD, 95, NOW - SECOND)
    assert advice_of(found).startswith("Terminate nothing")
    assert 'application "search" (role "search")' in advice_of(found)
    assert "SELECT ? FROM products" in advice_of(found)
    assert found.evidence["most common wait"] == "IO"


def test_load_beside_a_leak_is_not_called_genuine() -> None:
    assert causes(diagnose(a_snapshot(*working(70), *leaked(20)))) == [Cause.LEAK]


def test_load_from_sessions_opened_just_now_is_still_load() -> None:
    assert Cause.GENUINE_LOAD in causes(
        diagnose(a_snapshot(*working(95, connected_for=20 * SECOND)))
    )


def test_the_guards_own_session_is_not_load() -> None:
    own = [
        a_session(role=role, state=SessionState.ACTIVE, idle_for=SECOND)
        for role in ("connection_guard", "guard")
    ]
    snapshot = a_snapshot(*working(29), *idle_pool(29, client="10.0.3.1"), *own)

    assert Cause.GENUINE_LOAD not in causes(diagnose(snapshot, guard_roles=["guard"]))
    assert diagnose(a_snapshot(*working(95), own[0]))[0].sessions == 95


@pytest.mark.parametrize("forgotten", [18, 22])
def test_load_beside_forgotten_transactions_is_not_called_genuine(forgotten: int) -> None:
    sessions = [*working(50 - forgotten), *(forgotten_transaction() for _ in range(forgotten))]

    assert causes(diagnose(a_snapshot(*sessions, usable=50))) == [Cause.IDLE_IN_TRANSACTION]


def test_load_comes_behind_a_cause_that_explains_a_considerable_part() -> None:
    limits = (ConnectionLimit(LimitOwner.ROLE, "reports", 20, 20),)
    reports = [
        a_session(role="reports", state=SessionState.ACTIVE, idle_for=SECOND) for _ in range(20)
    ]

    assert causes(diagnose(a_snapshot(*working(70), *reports, limits=limits))) == [
        Cause.ROLE_OR_DATABASE_LIMIT,
        Cause.GENUINE_LOAD,
    ]


def test_a_full_server_has_a_diagnosis_even_without_a_single_cause() -> None:
    pools = [
        s
        for n in range(12)
        for s in idle_pool(3 + n // 6, client=f"10.0.4.{n}", application=f"app {n}")
    ]
    unused = idle_pool(6, client="10.0.5.1", application="forgotten", idle_for=HOUR)
    busy = working(40)

    found = the_only(diagnose(a_snapshot(*pools, *unused, *busy)))
    no_unused = the_only(diagnose(a_snapshot(*pools, *busy)))

    assert (found.cause, found.evidence["application"]) == (Cause.NO_SINGLE_CAUSE, "forgotten")
    assert "has the most unused sessions (6 of its 6)" in found.summary
    assert (no_unused.cause, no_unused.evidence["application"]) == (Cause.NO_SINGLE_CAUSE, "search")
    assert "has the most, 40" in no_unused.summary


def test_a_small_limit_is_not_a_diagnosis_of_a_full_server() -> None:
    pools = [
        s
        for n in range(24)
        for s in idle_pool(4, client=f"10.0.4.{n}", application=f"app {n}", role=f"app {n}")
    ]

    found = diagnose(a_snapshot(*pools, limits=(ConnectionLimit(LimitOwner.ROLE, "app 3", 4, 4),)))

    assert causes(found) == [Cause.ROLE_OR_DATABASE_LIMIT, Cause.NO_SINGLE_CAUSE]


def test_sessions_that_ended_by_themselves_show_a_process_that_may_have_died() -> None:
    pool = Pool("app", "checkout", "10.0.1.10")

    *_, last = diagnose(a_snapshot(*leaked(70)), vanished=(Vanished(pool, terminated=16, gone=21),))
    of_one = diagnose(a_snapshot(*leaked(70)), vanished=(Vanished(pool, terminated=16, gone=1),))

    assert (last.cause, last.sessions) == (Cause.ENDED_BY_THEMSELVES, 21)
    assert last.summary.startswith(
        '21 more sessions of application "checkout" (role "app") ended by themselves'
    )
    assert "its process may have died" in last.summary
    assert causes(of_one) == [Cause.LEAK]
