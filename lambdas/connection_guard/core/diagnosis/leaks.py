"""Detects pools that lose sessions, one after another.

A pool is what the database shows of one: a role, an application and a client's address. Several
processes behind one address look like one pool.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from connection_guard.core.database.session import Session
from connection_guard.core.diagnosis.application import (
    application_of,
    most_common_query,
    pools_by_application,
)
from connection_guard.core.diagnosis.case import FEWEST_SESSIONS, Case, Diagnosis
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.remedy import Parts, Remedy, RemedyKind
from connection_guard.core.words import shown, spelled

# The time in which sessions fell out of use is divided into this many parts. A leak has lost
# sessions in most of them, two at a time where a request takes two, while processes that fall
# silent one after another leave gaps.
FEWEST_PARTS, MOST_PARTS = 3, 20


def leaks(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each application whose pools lose sessions one after another.

    A pool with a free session opens no other: if it opened some while others were unused, those
    others were lost. If all were opened before, traffic that dies down bit by bit looks the same.
    """
    for pools in pools_by_application(case.sessions):
        lost_of_each = [(pool, lost_sessions(case, pool)) for pool in pools]
        lost = [session for _, sessions in lost_of_each for session in sessions]
        if len(lost) < case.considerable:
            continue
        replaced = sum(
            _opened_meanwhile(case, pool, sessions) for pool, sessions in lost_of_each if sessions
        )
        yield _leak(
            case,
            lost,
            others=sum(map(len, pools)) - len(lost),
            is_certain=2 * replaced >= len(lost),
        )


def _leak(case: Case, lost: Sequence[Session], *, others: int, is_certain: bool) -> Diagnosis:
    application, query, last_uses = application_of(lost), most_common_query(lost), _last_uses(lost)
    lost_over, unused_for = spelled(last_uses[-1] - last_uses[0]), spelled(case.at - last_uses[0])
    last_query = f", most often after: {shown(query, 120)}" if query else ""
    find = f"Find where {application} does not return a session to its pool{last_query}"
    until_then = _until_then(case, application.role)
    what_it_lost = "its pool still counts the lost sessions as in use"
    return Diagnosis(
        Cause.LEAK,
        len(lost),
        last_uses[0],
        f"{len(lost)} sessions of {application} fell out of use one after another over "
        f"{lost_over}, and have not been used for up to {unused_for}"
        + (
            "; others were opened meanwhile"
            if is_certain
            else ": a leak, or traffic that died down"
        ),
        application.evidence | {"others": others, "grew over": lost_over, "last query": query},
        (f"Restart {application}: {what_it_lost}. {find}", *until_then)
        if is_certain
        else (
            f"If {application} waits for sessions, restart it: {what_it_lost}. {find}",
            *until_then,
            ". If it does not, its pool is too large for its traffic",
        ),
    )


def _until_then(case: Case, role: str) -> Parts:
    """Return the timeout that ends a role's idle sessions; nothing where it cannot be advised.

    It would end listeners and holders of advisory locks, too.
    """
    on_duty = any(
        session.role == role and (session.is_listening or session.holds_advisory_lock)
        for session in case.sessions
    )
    if not role or role in case.protected_roles or on_duty:
        return ()
    return "; until then, run ", Remedy(RemedyKind.END_IDLE_SESSIONS, role)


def lost_sessions(case: Case, pool: Sequence[Session]) -> Sequence[Session]:
    """Return the sessions that fell out of use one after another, where they are more than the pool
    still uses.

    In a pool that falls silent all last uses are close together, however it was opened. The first
    and the last tenth are left out, so that a few outliers neither look like a leak nor hide one.
    """
    unused = [
        session for session in pool if case.is_unused(session) and not session.last_use.given_back
    ]
    if len(unused) < FEWEST_SESSIONS or 2 * len(unused) <= len(pool):
        return ()
    last_uses = _inner(_last_uses(unused))
    lost_over = last_uses[-1] - last_uses[0]
    if lost_over < case.times.leak_grows_over:
        return ()
    parts = min(max(len(last_uses) // 2, FEWEST_PARTS), MOST_PARTS)
    lost_in = [min(int((use - last_uses[0]) / lost_over * parts), parts - 1) for use in last_uses]
    most_at_once = max(map(lost_in.count, set(lost_in)))
    is_bit_by_bit = 2 * len(set(lost_in)) > parts and 2 * most_at_once <= len(last_uses)
    return unused if is_bit_by_bit else ()


def _opened_meanwhile(case: Case, pool: Sequence[Session], lost: Sequence[Session]) -> int:
    """Return how many sessions the pool opened while it had lost some. Those that it opened after a
    termination replace the terminated ones.
    """
    first = _inner(_last_uses(lost))[0]
    until = case.terminated_since or case.at
    return sum(first < session.backend_start <= until for session in pool)


def _last_uses(sessions: Sequence[Session]) -> list[datetime]:
    return sorted(session.state_change for session in sessions if session.state_change)


def _inner(times: list[datetime]) -> list[datetime]:
    outer = len(times) // 10
    return times[outer : len(times) - outer]
