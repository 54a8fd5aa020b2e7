"""Guarded termination: signal a batch, look until it is gone, then signal the next. No session is
signalled twice without a look in between.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from connection_guard.adapters.postgresql.guard_session import GuardSession, execute
from connection_guard.adapters.postgresql.roles import AMAZON_ROLES
from connection_guard.adapters.postgresql.rows.states import LITERALS
from connection_guard.core.database.snapshot import Server
from connection_guard.core.decision.outcome import Outcome, Result
from connection_guard.core.decision.plan import Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.policy import Limits
from connection_guard.errors import DatabaseError, StatementError

# How long to wait for one batch to be gone before the next. Sessions that are still there are
# looked at again at the end.
GONE_SECONDS = 2.0
SECONDS_BETWEEN_LOOKS = 0.002
# A statement that began before the deadline may finish after it: without its answer the outcome is
# unknown.
SECONDS_OF_GRACE = 1.0

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
) -> tuple[tuple[Outcome, ...], Reason | None]:
    """Terminate the chosen sessions on `server`, and return the outcome of each, in order, and what
    stopped it early, None where nothing did.

    Stop once no more than `enough` sessions are in use, at the deadline (of time.monotonic), or
    when the connection to the database is lost. `on_batch` gets the results of each batch before
    the next is signalled.
    """
    results = dict.fromkeys((verdict.session.pid for verdict in chosen), Result.LEFT)
    stopped: Reason | None = None
    used = None
    for start in range(0, len(chosen), limits.batch_size):
        batch = chosen[start : start + limits.batch_size]
        if start:
            time.sleep(
                max(
                    min(limits.pause_between_batches.total_seconds(), deadline - time.monotonic()),
                    0,
                )
            )
        if time.monotonic() >= deadline:
            stopped = Reason(ReasonCode.DEADLINE_NEAR)
        elif used is not None and used <= enough:
            stopped = Reason(ReasonCode.ENOUGH_FREED, {"used": used})
        if stopped:
            break
        try:
            used, batch_results = _terminate_batch(session, batch, server, guard_roles, deadline)
        except DatabaseError as error:
            batch_results = {verdict.session.pid: Result.UNKNOWN for verdict in batch}
            stopped = Reason(ReasonCode.LOST_WHILE_TERMINATING, {"error": str(error)})
        results.update(batch_results)
        on_batch(batch_results)
        if stopped:
            break
    return tuple(Outcome(verdict, results[verdict.session.pid]) for verdict in chosen), stopped


def _terminate_batch(
    session: GuardSession,
    batch: Sequence[Verdict],
    server: Server,
    guard_roles: Collection[str],
    deadline: float,
) -> tuple[int | None, dict[int, Result]]:
    """Return how many sessions are in use afterwards (None while some of these are still there),
    and the results.
    """
    try:
        not_sent = _signal(session, batch, server, guard_roles, deadline)
    except StatementError:
        return _terminate_singly(session, batch, server, guard_roles, deadline)
    sent = [verdict for verdict in batch if verdict.session.pid not in not_sent]
    used, still_there = _look_until_gone(session, sent, deadline)
    return used, {verdict.session.pid: _seen(verdict, still_there) for verdict in sent} | not_sent


def _terminate_singly(
    session: GuardSession,
    batch: Sequence[Verdict],
    server: Server,
    guard_roles: Collection[str],
    deadline: float,
) -> tuple[int | None, dict[int, Result]]:
    """Look which sessions of the batch are gone, then signal the others one by one: after an ERROR
    it is unknown which of them were signalled.
    """
    _, still_there = _look(session, batch, deadline)
    not_sent: dict[int, Result] = {}
    for verdict in batch:
        if verdict.session.pid in still_there:
            try:
                not_sent |= _signal(session, [verdict], server, guard_roles, deadline)
            except StatementError:
                not_sent[verdict.session.pid] = Result.DENIED
    _look_until_gone(
        session, [verdict for verdict in batch if verdict.session.pid not in not_sent], deadline
    )
    used, still_there = _look(session, batch, deadline)
    results = {verdict.session.pid: _seen(verdict, still_there) for verdict in batch}
    # A session that is gone by now did not move on: it was signalled before the ERROR.
    return used, results | {
        pid: result
        for pid, result in not_sent.items()
        if result is Result.DENIED or pid in still_there
    }


def _seen(verdict: Verdict, still_there: Collection[int]) -> Result:
    return Result.SURVIVED if verdict.session.pid in still_there else Result.TERMINATED


def _signal(
    session: GuardSession,
    verdicts: Sequence[Verdict],
    server: Server,
    guard_roles: Collection[str],
    deadline: float,
) -> dict[int, Result]:
    """Send the signals, and return the results of those sessions that got none."""
    sessions = [verdict.session for verdict in verdicts]
    rows = execute(
        session,
        "terminate",
        {
            "pids": [each.pid for each in sessions],
            "backend_starts": [each.backend_start for each in sessions],
            "role_ids": [each.role_id for each in sessions],
            "states": [each.state and LITERALS[each.state] for each in sessions],
            "state_changes": [each.state_change for each in sessions],
            "guard_roles": list(guard_roles),
            "amazon_roles": list(AMAZON_ROLES),
            "server_started_at": server.started_at,
        },
        deadline + SECONDS_OF_GRACE,
    )
    return {
        row.pid: Result.DENIED if row.is_same and row.was_signalled is None else Result.MOVED_ON
        for row in rows
        if not row.was_signalled
    }


def _look(
    session: GuardSession, verdicts: Sequence[Verdict], deadline: float
) -> tuple[int | None, list[int]]:
    """Return how many sessions are in use (None while some of these are still there), and which of
    these are.
    """
    sessions = [verdict.session for verdict in verdicts]
    sought = {
        "pids": [each.pid for each in sessions],
        "backend_starts": [each.backend_start for each in sessions],
    }
    ((still_there, used),) = execute(session, "look", sought, deadline + SECONDS_OF_GRACE)
    return used, still_there


def _look_until_gone(
    session: GuardSession, sent: Sequence[Verdict], deadline: float
) -> tuple[int | None, list[int]]:
    patience = min(deadline, time.monotonic() + GONE_SECONDS)
    while True:
        used, still_there = _look(session, sent, deadline)
        if not still_there or time.monotonic() >= patience:
            return used, still_there
        time.sleep(SECONDS_BETWEEN_LOOKS)
