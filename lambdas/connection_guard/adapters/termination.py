"""Guarded termination: signal a batch, look until it is gone, then the next. Nothing is signalled twice blindly."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from connection_guard.adapters.database import GuardSession, run
from connection_guard.core.outcome import Outcome, Result
from connection_guard.core.plan import Verdict
from connection_guard.core.policy import Limits
from connection_guard.core.snapshot import Server
from connection_guard.errors import ConnectionLostError, StatementError

# How long one batch is looked after before the next goes out; whoever is still there is looked at again at the end.
GONE_SECONDS = 2.0
SECONDS_BETWEEN_LOOKS = 0.005

Results = Mapping[int, Result]
"""The result for each pid."""


def terminate(
    session: GuardSession,
    chosen: Sequence[Verdict],
    server: Server,
    limits: Limits,
    *,
    guard_roles: Collection[str],
    enough: int,
    deadline: float,
    on_batch: Callable[[Results], None],
) -> tuple[tuple[Outcome, ...], str | None]:
    """The outcome of every chosen session, in order, and in a line what stopped it short, if anything did.

    Acts only on `server`. Stops once no more than `enough` sessions are in use, at the deadline (of time.monotonic),
    or when the database is lost. `on_batch` hears of each batch before the next is signalled.
    """
    results = dict.fromkeys((verdict.session.pid for verdict in chosen), Result.LEFT)
    stopped = None
    used = None
    for start in range(0, len(chosen), limits.batch_size):
        batch = chosen[start : start + limits.batch_size]
        if start:
            time.sleep(max(min(limits.pause_between_batches.total_seconds(), deadline - time.monotonic()), 0))
        if time.monotonic() >= deadline:
            stopped = "the function's deadline is near"
        elif used is not None and used <= enough:
            stopped = f"{used} sessions are in use, below the target"
        if stopped:
            break
        try:
            used, batch_results = _terminate_batch(session, batch, server, guard_roles, deadline)
        except ConnectionLostError as error:
            batch_results = {verdict.session.pid: Result.UNKNOWN for verdict in batch}
            stopped = f"the database was lost: {error}"
        results.update(batch_results)
        on_batch(batch_results)
        if stopped:
            break
    return tuple(Outcome(verdict, results[verdict.session.pid]) for verdict in chosen), stopped


def _terminate_batch(
    session: GuardSession, batch: Sequence[Verdict], server: Server, guard_roles: Collection[str], deadline: float
) -> tuple[int, dict[int, Result]]:
    """How many sessions are in use afterwards, and the results."""
    try:
        not_sent = _signal(session, batch, server, guard_roles, deadline)
    except StatementError:
        return _terminate_singly(session, batch, server, guard_roles, deadline)
    sent = [verdict for verdict in batch if verdict.session.pid not in not_sent]
    used, still_there = _look_until_gone(session, sent, deadline)
    return used, {verdict.session.pid: _seen(verdict, still_there) for verdict in sent} | not_sent


def _terminate_singly(
    session: GuardSession, batch: Sequence[Verdict], server: Server, guard_roles: Collection[str], deadline: float
) -> tuple[int, dict[int, Result]]:
    """After an ERROR nobody knows which sessions of the batch were signalled: look, then signal the rest one by one."""
    _, still_there = _look(session, batch, deadline)
    rest = [verdict for verdict in batch if verdict.session.pid in still_there]
    not_sent: dict[int, Result] = {}
    for verdict in rest:
        try:
            not_sent |= _signal(session, [verdict], server, guard_roles, deadline)
        except StatementError:
            not_sent[verdict.session.pid] = Result.DENIED
    sent = [verdict for verdict in rest if verdict.session.pid not in not_sent]
    used, still_there = _look_until_gone(session, sent, deadline)
    return used, {verdict.session.pid: _seen(verdict, still_there) for verdict in batch} | not_sent


def _seen(verdict: Verdict, still_there: Collection[int]) -> Result:
    return Result.SURVIVED if verdict.session.pid in still_there else Result.TERMINATED


def _signal(
    session: GuardSession, verdicts: Sequence[Verdict], server: Server, guard_roles: Collection[str], deadline: float
) -> dict[int, Result]:
    """Sends the signals, and gives the results of those sessions that got none."""
    sessions = [verdict.session for verdict in verdicts]
    rows = run(
        session,
        "terminate",
        {
            "pids": [each.pid for each in sessions],
            "backend_starts": [each.backend_start for each in sessions],
            "roles": [each.role for each in sessions],
            "states": [str(each.state) for each in sessions],
            "state_changes": [each.state_change for each in sessions],
            "guard_roles": list(guard_roles),
            "server_started_at": server.started_at,
        },
        deadline,
    )
    return {
        row.pid: Result.DENIED if row.is_same and row.was_signalled is None else Result.MOVED_ON
        for row in rows
        if not row.was_signalled
    }


def _look(session: GuardSession, verdicts: Sequence[Verdict], deadline: float) -> tuple[int, list[int]]:
    """How many sessions are in use, and which of these are still there."""
    sessions = [verdict.session for verdict in verdicts]
    sought = {"pids": [each.pid for each in sessions], "backend_starts": [each.backend_start for each in sessions]}
    ((used, still_there),) = run(session, "look", sought, deadline)
    return used, still_there


def _look_until_gone(session: GuardSession, sent: Sequence[Verdict], deadline: float) -> tuple[int, list[int]]:
    patience = min(deadline, time.monotonic() + GONE_SECONDS)
    while True:
        used, still_there = _look(session, sent, deadline)
        if not still_there or time.monotonic() >= patience:
            return used, still_there
        time.sleep(SECONDS_BETWEEN_LOOKS)
