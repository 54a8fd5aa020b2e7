"""Transactions that were left open, and sessions that wait for locks."""

from dataclasses import replace

import pytest

from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose
from tests.support.builders import NOW, a_session, a_snapshot
from tests.support.symptoms import (
    MINUTE,
    SECOND,
    advice_of,
    causes,
    forgotten_transaction,
    the_only,
    waiter,
    waiting,
    working,
)


def test_transactions_left_open_are_named_with_the_timeout_that_ends_them() -> None:
    sessions = [
        *(forgotten_transaction() for _ in range(12)),
        *(forgotten_transaction(state=SessionState.IDLE_IN_TRANSACTION_ABORTED) for _ in range(5)),
    ]

    found = the_only(diagnose(a_snapshot(*sessions)))

    assert (found.cause, found.sessions, found.evidence["aborted"]) == (
        Cause.IDLE_IN_TRANSACTION,
        17,
        5,
    )
    assert "others" not in found.summary
    assert found.since == NOW - 12 * MINUTE
    assert """ALTER ROLE "app" SET idle_in_transaction_session_timeout = '1min'""" in advice_of(
        found
    )


def test_a_few_open_transactions_count_when_they_hold_up_others() -> None:
    few = [forgotten_transaction(pid) for pid in range(1, 5)]

    assert diagnose(a_snapshot(*few)) == ()

    found = the_only(diagnose(a_snapshot(*few, *waiting(6, behind=2))))
    assert (found.cause, found.sessions, found.evidence["held up"]) == (
        Cause.IDLE_IN_TRANSACTION,
        4,
        6,
    )
    assert found.summary.endswith(", with 6 others waiting for their locks")


def test_an_application_without_a_name_is_identified_by_its_role() -> None:
    found = the_only(
        diagnose(a_snapshot(*(forgotten_transaction(application="") for _ in range(12))))
    )

    assert 'unnamed application (role "app")' in found.summary


def test_a_moment_between_two_statements_of_a_transaction_is_nothing() -> None:
    assert (
        diagnose(a_snapshot(*(forgotten_transaction(idle_for=20 * SECOND) for _ in range(40))))
        == ()
    )


def test_most_of_them_is_used_only_for_more_than_half() -> None:
    names = ["jobs"] * 5 + ["mail"] * 4 + ["shop"] * 4
    mixed = diagnose(a_snapshot(*(forgotten_transaction(application=name) for name in names)))[0]
    most = diagnose(
        a_snapshot(*(forgotten_transaction(application=name) for name in [*names, *["jobs"] * 9]))
    )[0]

    assert '5 of them from application "jobs"' in mixed.summary
    assert 'most of them from application "jobs"' in most.summary


def test_a_blocking_chain_names_its_root() -> None:
    """pid 7 holds a row; 8 waits for it, and fifty wait behind 8."""
    found, *others = diagnose(
        a_snapshot(forgotten_transaction(7), waiter(7, pid=8), *waiting(50, behind=8))
    )

    assert (found.cause, found.sessions, found.since) == (
        Cause.BLOCKING_CHAIN,
        51,
        NOW - 3 * MINUTE,
    )
    assert 'behind pid 7: application "jobs" (role "app"), idle in transaction' in found.summary
    assert "its transaction open for 12 min" in found.summary
    assert "SELECT pg_terminate_backend(7)" in advice_of(found)
    assert "idle_in_transaction_session_timeout" in advice_of(found)
    assert [other.cause for other in others] == [Cause.IDLE_IN_TRANSACTION]


def test_sessions_that_wait_for_locks_are_neither_load_nor_a_storm() -> None:
    opened_to_wait = [
        replace(session, backend_start=NOW - MINUTE) for session in waiting(85, behind=7)
    ]

    assert causes(diagnose(a_snapshot(*working(1), *opened_to_wait))) == [Cause.BLOCKING_CHAIN]


@pytest.mark.parametrize(
    ("root", "advice"),
    [
        (
            a_session(pid=7, state=SessionState.ACTIVE, query="ALTER TABLE orders"),
            "pg_cancel_backend(7)",
        ),
        (a_session(pid=7, advisory_lock=True), "release its session-level advisory lock: pid 7"),
        (a_session(pid=99), "Look up pid 7 in pg_stat_activity"),
        (forgotten_transaction(7, blocked_by=(7,)), "pid 7 is in a deadlock"),
    ],
    ids=["active", "advisory lock", "no client session", "deadlock"],
)
def test_the_advice_suits_what_the_root_does(root: Session, advice: str) -> None:
    assert advice in advice_of(diagnose(a_snapshot(root, *waiting(30, behind=7)))[0])


def test_a_prepared_transaction_can_be_the_root() -> None:
    """PostgreSQL names pid 0 for it (pg_blocking_pids)."""
    assert "pg_prepared_xacts" in advice_of(the_only(diagnose(a_snapshot(*waiting(30, behind=0)))))


def test_many_small_queues_count_together_and_the_worst_is_named() -> None:
    queues = [waiter(root) for root in range(1, 7) for _ in range(root)]

    found = the_only(diagnose(a_snapshot(*queues)))

    assert (found.sessions, found.evidence["roots"]) == (21, 6)
    assert (
        found.evidence["worst roots"] == "pid 6 (6 waiting), pid 5 (5 waiting), pid 4 (4 waiting)"
    )


def test_a_queue_behind_a_deadlock_is_counted_once() -> None:
    cycle = [waiter(2, pid=1), waiter(3, pid=2), waiter(1, pid=3)]

    found = the_only(diagnose(a_snapshot(*waiting(20, behind=2), *cycle)))

    assert (found.sessions, found.evidence["roots"]) == (23, 1)


@pytest.mark.parametrize("order", [1, -1], ids=["head first", "tail first"])
def test_five_thousand_in_one_chain_have_one_root(order: int) -> None:
    in_a_row = [forgotten_transaction(1), *(waiter(pid - 1, pid=pid) for pid in range(2, 5002))]

    found = diagnose(a_snapshot(*in_a_row[::order], usable=5000))[0]

    assert (found.cause, found.sessions, found.evidence["roots"]) == (Cause.BLOCKING_CHAIN, 5000, 1)
    assert "5000 of them behind pid 1:" in found.summary


def test_a_thousand_behind_one_session_have_one_root() -> None:
    found = diagnose(a_snapshot(forgotten_transaction(1), *waiting(1000, behind=1), usable=5000))[0]

    assert (found.cause, found.sessions, found.evidence["roots"]) == (Cause.BLOCKING_CHAIN, 1000, 1)
