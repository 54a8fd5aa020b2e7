"""Pools by size with their states, and lock queues as trees."""

from datetime import timedelta

from connection_guard.cli.live.pools_and_blockers import blocker_rows, pool_rows
from connection_guard.core.database.session import SessionState
from connection_guard.core.decision.decide import decide
from connection_guard.core.policy import Tier
from tests.support.builders import a_policy, a_session, a_snapshot
from tests.support.symptoms import MINUTE, SECOND, forgotten_transaction, waiter


def test_pools_are_counted_by_state_the_largest_first() -> None:
    snapshot = a_snapshot(
        a_session(application="small", connected_for=timedelta(hours=3)),
        a_session(application="large", idle_for=9 * MINUTE, connected_for=10 * MINUTE),
        a_session(application="large", idle_for=MINUTE, connected_for=20 * MINUTE),
        a_session(application="large", state=SessionState.ACTIVE, idle_for=2 * SECOND),
        a_session(application="large", state=None),
        usable=5,
    )
    plan = decide(snapshot, a_policy(target_percent=70), Tier.CRITICAL)

    large, small = pool_rows(snapshot, plan)

    assert (large["application"], large["sessions"], large["oldest_seconds_connected"]) == (
        "large",
        4,
        1200.0,
    )
    assert large["states"] == [
        {"state": "idle", "sessions": 2, "longest_seconds": 540.0},
        {"state": "active", "sessions": 1, "longest_seconds": 2.0},
        {"state": "hidden", "sessions": 1, "longest_seconds": 0.0},
    ]
    assert small["oldest_seconds_connected"] == 10_800
    assert large["would_terminate"] + small["would_terminate"] == len(plan.chosen) == 2


def test_a_queue_is_a_tree_with_counts() -> None:
    snapshot = a_snapshot(
        forgotten_transaction(1),
        waiter(1, pid=2),
        waiter(2, pid=3),
        waiter(2, pid=4),
        waiter(1, pid=5),
        forgotten_transaction(9),
        waiter(9, pid=10),
    )

    rows = blocker_rows(snapshot)

    counts = [
        (row["pid"], row["depth"], row["waiting"], row["waiting_directly"], row["blocked_by"])
        for row in rows
    ]
    assert counts == [(1, 0, 4, 2, None), (2, 1, 2, 2, 1), (9, 0, 1, 1, None)]
    assert rows[0]["longest_wait_seconds"] == 180
    assert (rows[0]["state"], rows[0]["seconds_in_state"]) == ("idle in transaction", 720)


def test_a_deadlock_and_a_chain_of_thousands_end() -> None:
    circle = a_snapshot(waiter(2, pid=1), waiter(1, pid=2))
    chain = a_snapshot(*(waiter(pid + 1, pid=pid) for pid in range(1, 3001)))

    assert {(row["pid"], row["waiting_directly"]) for row in blocker_rows(circle)} == {
        (1, 1),
        (2, 1),
    }
    root = blocker_rows(chain)[0]
    assert (root["pid"], root["waiting"], root["state"]) == (3001, 3000, None)
