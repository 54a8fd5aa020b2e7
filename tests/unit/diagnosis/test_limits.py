"""Roles and databases that use up their own limit."""

from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.session import SessionState
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose
from tests.support.builders import a_session, a_snapshot
from tests.support.symptoms import advice_of, the_only


def test_a_role_that_uses_up_its_own_limit() -> None:
    sessions = [a_session(role="reports", state=SessionState.ACTIVE) for _ in range(20)]
    limits = (
        ConnectionLimit(LimitOwner.ROLE, "reports", 20, 20),
        ConnectionLimit(LimitOwner.ROLE, "app", 50, 49),
    )

    found = the_only(diagnose(a_snapshot(*sessions, limits=limits)))

    assert (found.cause, found.sessions) == (Cause.ROLE_OR_DATABASE_LIMIT, 20)
    assert found.summary.startswith('role "reports" uses 20 of its connection limit of 20')
    assert '(too many connections for role "reports") while 77 slots are free' in found.summary
    assert (
        advice_of(found)
        == 'ALTER ROLE "reports" CONNECTION LIMIT 58 gives it half of the 77 free slots'
    )


def test_a_limit_used_up_by_idle_sessions_is_not_raised() -> None:
    sessions = [a_session(database="shop") for _ in range(20)]
    limits = (ConnectionLimit(LimitOwner.DATABASE, "shop", 20, 20),)

    assert advice_of(the_only(diagnose(a_snapshot(*sessions, limits=limits)))) == (
        'Size the pools that use database "shop" to fewer than 20 sessions in total: 20 of its '
        "sessions are idle"
    )


def test_a_limit_is_not_raised_where_the_database_is_full() -> None:
    sessions = [a_session(role="reports", state=SessionState.ACTIVE) for _ in range(20)]
    limits = (ConnectionLimit(LimitOwner.ROLE, "reports", 20, 20),)

    assert "there are no free slots for a higher limit" in advice_of(
        diagnose(a_snapshot(*sessions, usable=20, limits=limits))[0]
    )


def test_a_limit_of_0_is_a_decision_and_no_cause() -> None:
    assert diagnose(a_snapshot(limits=(ConnectionLimit(LimitOwner.ROLE, "former", 0, 0),))) == ()


def test_of_hundreds_of_limits_the_largest_are_reported() -> None:
    limits = tuple(ConnectionLimit(LimitOwner.ROLE, f"tenant {n}", n, n) for n in range(1, 300))

    found = diagnose(a_snapshot(limits=limits))

    assert [diagnosis.evidence["role"] for diagnosis in found] == [
        "tenant 299",
        "tenant 298",
        "tenant 297",
    ]
    assert found[0].evidence["limits reached"] == 299
