"""All causes together: their order, hostile names, and any snapshot at all."""

from dataclasses import replace
from datetime import timedelta
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose
from tests.support.builders import NOW, a_session, a_snapshot
from tests.support.symptoms import (
    HOUR,
    MINUTE,
    SECOND,
    advice_of,
    causes,
    forgotten_transaction,
    idle_pool,
    leaked,
    the_only,
    waiter,
    waiting,
    working,
)


def test_a_calm_database_needs_no_diagnosis() -> None:
    """Overnight: a leak too small to matter yet, idle pools, one open transaction, one session
    waiting.
    """
    calm = [
        *leaked(20),
        *idle_pool(10, client="10.0.3.1"),
        forgotten_transaction(7),
        waiter(7),
        *working(5),
    ]

    assert diagnose(a_snapshot(*calm)) == ()
    assert diagnose(a_snapshot()) == ()


def test_causes_are_in_the_order_of_how_much_they_explain() -> None:
    sessions = [
        *leaked(40),
        *(forgotten_transaction() for _ in range(12)),
        *waiting(25, behind=4711),
        *working(10),
    ]
    limits = (ConnectionLimit(LimitOwner.ROLE, "search", 10, 10),)

    assert causes(diagnose(a_snapshot(*sessions, limits=limits))) == [
        Cause.LEAK,
        Cause.BLOCKING_CHAIN,
        Cause.IDLE_IN_TRANSACTION,
        Cause.ROLE_OR_DATABASE_LIMIT,
    ]


def test_a_chain_comes_before_the_storm_that_it_raises() -> None:
    """Everyone waits for pid 4711, so the same application opens ever more sessions."""
    opened = [
        a_session(client=f"10.0.2.{n}", connected_for=30 * SECOND, idle_for=SECOND)
        for n in range(50)
    ]

    assert causes(diagnose(a_snapshot(*waiting(30, behind=4711), *opened))) == [
        Cause.BLOCKING_CHAIN,
        Cause.CONNECTION_STORM,
    ]


def test_a_limit_comes_before_the_leak_that_reaches_it() -> None:
    limits = (ConnectionLimit(LimitOwner.ROLE, "app", 70, 70),)

    assert causes(diagnose(a_snapshot(*leaked(70), limits=limits))) == [
        Cause.ROLE_OR_DATABASE_LIMIT,
        Cause.LEAK,
    ]


def test_hostile_names_stay_names() -> None:
    role = 'x"; DROP TABLE orders; --'
    sessions = [
        forgotten_transaction(role=role, application="a\nb\x1b[31m" + "é" * 9999) for _ in range(20)
    ]

    found = the_only(diagnose(a_snapshot(*sessions)))

    assert """ALTER ROLE "x""; DROP TABLE orders; --" SET idle_in""" in advice_of(found)
    assert found.summary.isprintable()
    assert len(found.summary) < 1000


names = st.sampled_from(["", "app", 'a"b', "x\ny"]) | st.text(max_size=8)


ages = st.timedeltas(-MINUTE, 2 * HOUR) | st.just(timedelta(days=9000))


pids = st.integers(0, 60)


kinds = st.builds(
    a_session,
    state=st.none() | st.sampled_from(SessionState),
    idle_for=ages,
    role=names,
    application=names,
    listening=st.booleans(),
    advisory_lock=st.booleans(),
    proxied=st.booleans(),
    blocked_by=st.just(()) | st.lists(pids, max_size=3).map(tuple),
    wait_event_type=st.none() | st.sampled_from(["Client", "Lock"]),
)


def crowd(
    kind: Session, size: int, clients: int, connected_for: timedelta, apart: timedelta
) -> list[Session]:
    """Sessions of one kind, as real snapshots have them: from a few clients, opened one after
    another.
    """
    return [
        replace(
            kind,
            client_address=f"10.0.0.{n % clients}",
            backend_start=NOW - connected_for - n * apart,
        )
        for n in range(size)
    ]


crowds = st.builds(crowd, kinds, st.integers(1, 30), st.integers(1, 10), ages, ages)


limits = st.builds(
    ConnectionLimit,
    owner=st.sampled_from(LimitOwner),
    name=names,
    limit=st.integers(-2, 20),
    used=st.integers(0, 20),
)


snapshots = st.builds(
    lambda drawn, usable, some: a_snapshot(
        *(
            replace(session, pid=pid)
            for pid, session in enumerate(chain.from_iterable(drawn), start=1)
        ),
        usable=usable,
        limits=tuple(some),
    ),
    st.lists(crowds, max_size=4),
    st.integers(1, 100),
    st.lists(limits, max_size=3),
)


@given(snapshots)
def test_any_snapshot_is_diagnosed_and_no_session_is_invented(snapshot: Snapshot) -> None:
    for diagnosis in diagnose(snapshot):
        assert 0 <= diagnosis.sessions <= snapshot.used
        assert diagnosis.summary.isprintable()
        assert advice_of(diagnosis)
