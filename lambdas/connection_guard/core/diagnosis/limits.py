"""Detects slots that no session shows, and limits below the server's own."""

from collections.abc import Iterator

from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.session import SessionState
from connection_guard.core.diagnosis.case import Case, Diagnosis, idle
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.remedy import Advice, Remedy, RemedyKind
from connection_guard.core.words import quoted, shown

# A database with a role for each tenant can have hundreds of limits reached; the largest are enough
# to act on.
MOST_LIMITS = 3

_RAISES = {
    LimitOwner.ROLE: RemedyKind.LIMIT_ROLE,
    LimitOwner.DATABASE: RemedyKind.LIMIT_DATABASE,
}


def logins_in_progress(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis where clients connect and do not log in: a considerable part of the slots,
    or so many that logins are refused.
    """
    measurement, used = case.snapshot.measurement, case.snapshot.used
    starting = sum(session.state is SessionState.STARTING for session in case.sessions)
    logins = measurement.logins_in_progress + starting
    is_refusing = measurement.refused_a_login and used < case.usable
    if logins < case.considerable and not is_refusing:
        return
    summary = (
        f"{logins} of {case.usable} slots are held by clients that have connected but not logged in"
    )
    if is_refusing:
        summary += (
            f"; a login was refused while only {used} are in use, so more clients must be "
            "connected without logging in"
        )
    yield Diagnosis(
        Cause.LOGINS_IN_PROGRESS,
        logins,
        None,
        summary,
        {"logins in progress": logins, "slots in use": used, "usable": case.usable},
        (
            "Find the clients that connect and do not log in (a health check or a scanner; ",
            Remedy(RemedyKind.LOG_LOGINS),
            " shows their addresses), and ",
            Remedy(RemedyKind.SHORTEN_LOGINS),
        ),
    )


def reached_limits(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each role or database that uses up its own limit, the largest first. A
    limit of 0 is a decision to shut it out.
    """
    reached = [limit for limit in case.snapshot.measurement.limits if 0 < limit.limit <= limit.used]
    free = max(case.usable - case.snapshot.used, 0)
    for limit in sorted(reached, key=lambda limit: limit.used, reverse=True)[:MOST_LIMITS]:
        # An owner's literal is the name of the session's field.
        sessions = [
            session
            for session in case.snapshot.sessions
            if getattr(session, limit.owner) == limit.name
        ]
        whose = f"{limit.owner} {quoted(limit.name)}"
        yield Diagnosis(
            Cause.ROLE_OR_DATABASE_LIMIT,
            len(sessions),
            None,
            f"{whose} uses {limit.used} of its connection limit of {limit.limit}: its next client "
            f"is refused (too many connections for {whose}) while {free} slots are free",
            {
                limit.owner.value: shown(limit.name),
                "limit": limit.limit,
                "used": limit.used,
                "free slots": free,
                "limits reached": len(reached),
            },
            _advice(limit, idle(sessions), free),
        )


def _advice(limit: ConnectionLimit, idle_sessions: int, free: int) -> Advice:
    sizes = (
        f"Size the pools that use {limit.owner} {quoted(limit.name)} to fewer than {limit.limit} "
        "sessions in total"
    )
    if 2 * idle_sessions > limit.used:
        return f"{sizes}: {idle_sessions} of its sessions are idle"
    if free < 2:
        return f"{sizes}: there are no free slots for a higher limit"
    raised = Remedy(_RAISES[limit.owner], limit.name, limit.limit + free // 2)
    return raised, f" gives it half of the {free} free slots"
