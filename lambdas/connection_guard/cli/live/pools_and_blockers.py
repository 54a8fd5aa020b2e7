"""The sessions of a look, counted: which pool has how many, and who blocks whom."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connection_guard.core.database.session import Pool, Session
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.plan import Plan
from connection_guard.core.diagnosis.transactions import root_of_each_waiter
from connection_guard.core.report.fitting import NAME_BYTES, fitted

Row = dict[str, Any]

HIDDEN = "hidden"


def pool_rows(snapshot: Snapshot, plan: Plan) -> list[Row]:
    """Return each pool with its sessions by state and how long the longest has been in it, the
    largest pool first.
    """
    chosen = Counter(verdict.session.pool for verdict in plan.chosen)
    pools: dict[Pool, list[Session]] = {}
    for session in snapshot.sessions:
        pools.setdefault(session.pool, []).append(session)
    return [
        {
            "role": fitted(pool.role, NAME_BYTES),
            "application": fitted(pool.application_name, NAME_BYTES),
            "client": pool.client_address,
            "sessions": len(sessions),
            "would_terminate": chosen[pool],
            "states": _by_state(snapshot, sessions),
            "oldest_seconds_connected": _seconds_connected(snapshot, sessions),
        }
        for pool, sessions in sorted(pools.items(), key=lambda item: len(item[1]), reverse=True)
    ]


def _by_state(snapshot: Snapshot, sessions: Iterable[Session]) -> list[Row]:
    states: dict[str, list[float]] = {}
    for session in sessions:
        seconds = session.time_in_state(snapshot.taken_at).total_seconds()
        states.setdefault(session.state or HIDDEN, []).append(seconds)
    return [
        {"state": state, "sessions": len(times), "longest_seconds": round(max(times), 3)}
        for state, times in sorted(states.items(), key=lambda item: len(item[1]), reverse=True)
    ]


def _seconds_connected(snapshot: Snapshot, sessions: Iterable[Session]) -> float:
    first = min(session.backend_start for session in sessions)
    return round(max((snapshot.taken_at - first).total_seconds(), 0), 3)


def blocker_rows(snapshot: Snapshot) -> list[Row]:
    """Return who blocks whom: each session that others wait for, directly after the one that it
    waits for itself (`blocked_by`), the longest queue first.

    `waiting` counts all that wait for it, `waiting_directly` those that do not wait behind others.
    Of several blockers the first counts, so that each session is in one queue. A blocker that is no
    client's session, such as an autovacuum worker or (pid 0) a prepared transaction, has no state.
    """
    sessions = {session.pid: session for session in snapshot.sessions}
    waiters: dict[int, list[int]] = {}
    for session in snapshot.sessions:
        if session.blocked_by:
            waiters.setdefault(session.blocked_by[0], []).append(session.pid)
    roots = dict.fromkeys(root_of_each_waiter(snapshot.sessions).values())
    queues = sorted((_queue(root, waiters) for root in roots), key=len, reverse=True)
    return [
        _blocker(snapshot, place, sessions.get(place.pid), [sessions[pid] for pid in behind])
        for queue in queues
        for place in queue
        if (behind := waiters.get(place.pid, ()))
    ]


class _Place(NamedTuple):
    pid: int
    depth: int
    waiting: int


def _queue(root: int, waiters: Mapping[int, Sequence[int]]) -> list[_Place]:
    """Return everyone in the queue, each after the one that it waits for."""
    order = list(_walk(root, waiters))
    waiting: Counter[int] = Counter()
    for pid, _, blocked_by in reversed(order[1:]):
        waiting[blocked_by] += 1 + waiting[pid]
    return [_Place(pid, depth, waiting[pid]) for pid, depth, _ in order]


def _walk(root: int, waiters: Mapping[int, Sequence[int]]) -> Iterator[tuple[int, int, int]]:
    """Yield pid, depth and blocker; a chain can be longer than Python's stack, or a circle."""
    stack, seen = [(root, 0, root)], {root}
    while stack:
        pid, depth, blocked_by = stack.pop()
        yield pid, depth, blocked_by
        behind = [waiter for waiter in waiters.get(pid, ()) if waiter not in seen]
        seen.update(behind)
        stack += [(waiter, depth + 1, pid) for waiter in reversed(behind)]


def _blocker(
    snapshot: Snapshot, place: _Place, session: Session | None, behind: Sequence[Session]
) -> Row:
    longest = max(waiter.time_in_state(snapshot.taken_at) for waiter in behind)
    row = {
        "pid": place.pid,
        "depth": place.depth,
        "waiting": place.waiting,
        "waiting_directly": len(behind),
        "longest_wait_seconds": round(longest.total_seconds(), 3),
        "role": "",
        "application": "",
        "client": "",
        "state": None,
        "seconds_in_state": None,
        "blocked_by": None,
        "query": "",
    }
    if session is None:
        return row
    return row | {
        "role": fitted(session.role, NAME_BYTES),
        "application": fitted(session.application_name, NAME_BYTES),
        "client": session.client_address,
        "state": session.state,
        "seconds_in_state": round(session.time_in_state(snapshot.taken_at).total_seconds(), 3),
        "blocked_by": session.blocked_by[0] if session.blocked_by else None,
        "query": fitted(session.query),
    }
