"""Detects sessions that wait for locks, and transactions that were left open."""

from collections import Counter
from collections.abc import Iterable, Iterator

from connection_guard.core.database.session import IN_TRANSACTION_STATES, Session, SessionState
from connection_guard.core.diagnosis.application import (
    application_of,
    most_common_query,
    oldest_state_change,
    share_of,
)
from connection_guard.core.diagnosis.case import Case, Diagnosis
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.remedy import Advice, Remedy, RemedyKind
from connection_guard.core.words import counted, quoted, shown, spelled


def blocking_chain(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis where a considerable part of the sessions waits, directly or behind others,
    for locks that a few roots hold.
    """
    root_of = root_of_each_waiter(case.sessions)
    if len(root_of) < case.considerable:
        return
    waiting = [session for session in case.sessions if session.pid in root_of]
    behind = Counter(root_of.values())
    worst = behind.most_common(3)
    pid, behind_worst = worst[0]
    root = next((session for session in case.snapshot.sessions if session.pid == pid), None)
    yield Diagnosis(
        Cause.BLOCKING_CHAIN,
        len(root_of),
        oldest_state_change(waiting),
        f"{len(root_of)} sessions wait for locks, {behind_worst} of them behind pid {pid}: "
        f"{_described(case, root)}",
        application_of(waiting).evidence
        | {
            "roots": len(behind),
            "worst roots": ", ".join(f"pid {pid} ({count} waiting)" for pid, count in worst),
            "root query": shown(root.query) if root else "",
        },
        _advice_on_root(case, pid, root, is_cycle=pid in root_of),
    )


def forgotten_transactions(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each role whose open transactions, with the sessions that wait for
    them, are a considerable part.
    """
    held_up_by = Counter(root_of_each_waiter(case.sessions).values())
    roles: dict[str, list[Session]] = {}
    for session in case.sessions:
        if is_forgotten(case, session):
            roles.setdefault(session.role, []).append(session)
    for role, sessions in roles.items():
        held_up = sum(held_up_by[session.pid] for session in sessions)
        if len(sessions) + held_up < case.considerable:
            continue
        application = application_of(sessions)
        oldest = max(session.time_in_state(case.at) for session in sessions)
        aborted = sum(
            session.state is SessionState.IDLE_IN_TRANSACTION_ABORTED for session in sessions
        )
        whose = f"role {quoted(role)}" if role else "a role that was dropped"
        timeout = _timeout(case, role)
        in_their_way = (
            f", with {counted(held_up, 'other')} waiting for their locks" if held_up else ""
        )
        yield Diagnosis(
            Cause.IDLE_IN_TRANSACTION,
            len(sessions),
            oldest_state_change(sessions),
            f"{len(sessions)} sessions of {whose} left a transaction idle for up to "
            f"{spelled(oldest)}, {share_of(application, sessions)}{in_their_way}",
            application.evidence
            | {"aborted": aborted, "held up": held_up, "last query": most_common_query(sessions)},
            (timeout, f" ends them; make {application} commit or roll back before it waits")
            if timeout
            else f"Make {application} commit or roll back before it waits",
        )


def is_forgotten(case: Case, session: Session) -> bool:
    """Return whether the session's client left it in a transaction."""
    lasts = session.time_in_state(case.at) >= case.times.idle_in_transaction_for
    return lasts and session.state in IN_TRANSACTION_STATES


def waits_for_lock(session: Session) -> bool:
    """Return whether the session can do nothing but wait for another."""
    return bool(session.blocked_by) or session.wait_event_type == "Lock"


def root_of_each_waiter(sessions: Iterable[Session]) -> dict[int, int]:
    """Return the pid at the head of the queue that each waiting session is in.

    Of several blockers the first is followed, so that each session is in one queue and is counted
    once. A root that waits itself is part of a cycle: a deadlock that the server has yet to detect.
    """
    waits_for = {session.pid: session.blocked_by[0] for session in sessions if session.blocked_by}
    root_of: dict[int, int] = {}
    for waiter in waits_for:
        pid = waiter
        path: set[int] = set()
        while pid in waits_for and pid not in root_of and pid not in path:
            path.add(pid)
            pid = waits_for[pid]
        root_of.update(dict.fromkeys(path, root_of.get(pid, pid)))
    return root_of


def _described(case: Case, root: Session | None) -> str:
    if root is None:
        return "no client session"
    since = root.transaction_start
    transaction = f", its transaction open for {spelled(case.at - since)}" if since else ""
    return f"{application_of([root])}, {root.state or 'state hidden'}{transaction}"


def _timeout(case: Case, role: str) -> Remedy | None:
    """Return the timeout that ends a role's idle transactions, None where it cannot be advised."""
    if not role or role in case.protected_roles:
        return None
    return Remedy(RemedyKind.END_IDLE_TRANSACTIONS, role)


def _advice_on_root(case: Case, pid: int, root: Session | None, *, is_cycle: bool) -> Advice:
    if root is None and pid == 0:
        end = Remedy(RemedyKind.END_PREPARED_TRANSACTION)
        return "A prepared transaction holds the locks: ", end
    if root is None:
        return (Remedy(RemedyKind.INSPECT_PROCESS, number=pid),)
    application = application_of([root])
    if is_cycle:
        return (
            f"Make the transactions of {application} take their locks in the same order: pid {pid} "
            "is in a deadlock"
        )
    if root.state in IN_TRANSACTION_STATES:
        free = Remedy(RemedyKind.TERMINATE_SESSION, number=pid), " frees them now, and "
        if timeout := _timeout(case, root.role):
            return *free, timeout, " does so the next time"
        return *free, f"then make {application} end its transactions"
    if root.state is SessionState.IDLE:
        return (
            f"Make {application} release its session-level advisory lock: pid {pid} is idle and "
            "still holds it"
        )
    return (
        Remedy(RemedyKind.CANCEL_STATEMENT, number=pid),
        f" frees them now; then run it in smaller transactions: {shown(root.query, 120)}",
    )
