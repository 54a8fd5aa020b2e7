"""Slots that no session shows, and limits below the server's own."""

from collections.abc import Iterator

from connection_guard.core.database.capacity import ConnectionLimit
from connection_guard.core.database.session import SessionState
from connection_guard.core.diagnosis.application import quoted, shown
from connection_guard.core.diagnosis.cause import Case, Cause, Diagnosis, idle
from connection_guard.core.words import identifier

# A database with a role for each tenant can have hundreds of limits reached; the largest tell the
# story.
MOST_LIMITS = 3


def logins_in_progress(case: Case) -> Iterator[Diagnosis]:
    """Clients that connect and do not log in: a considerable part of the slots, or so many that
    logins are refused.
    """
    measurement, used = case.snapshot.measurement, case.snapshot.used
    starting = sum(session.state is SessionState.STARTING for session in case.sessions)
    logins = measurement.logins_in_progress + starting
    is_refusing = measurement.refused_a_login and used < case.usable
    if logins < case.considerable and not is_refusing:
        return
    summary = (
        f"{logins} of {case.usable} slots are held by clients that have connected and not logged in"
    )
    if is_refusing:
        summary += (
            f"; a login was refused while {used} are in use, so more must be connected that say "
            "nothing"
        )
    yield Diagnosis(
        Cause.LOGINS_IN_PROGRESS,
        logins,
        None,
        summary,
        {"logins in progress": logins, "slots in use": used, "usable": case.usable},
        "Find who connects and does not log in (a health check, a scanner, clients that stall; "
        "log_connections shows their addresses), and lower authentication_timeout, 60 s by "
        "default, after which PostgreSQL closes them",
    )


def reached_limits(case: Case) -> Iterator[Diagnosis]:
    """A role or database that uses up its own CONNECTION LIMIT. A limit of 0 is somebody's decision
    to shut it out.
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
            f"{whose} uses {limit.used} of its CONNECTION LIMIT {limit.limit}: its next client is "
            f"refused (too many connections for {whose}) while {free} slots are free",
            {
                limit.owner.value: shown(limit.name),
                "limit": limit.limit,
                "used": limit.used,
                "free slots": free,
                "limits reached": len(reached),
            },
            _advice(limit, idle(sessions), free),
        )


def _advice(limit: ConnectionLimit, idle_sessions: int, free: int) -> str:
    owner = f"{limit.owner.upper()} {identifier(limit.name)}"
    sizes = f"Size the pools that use {owner} to fewer than {limit.limit} together"
    if 2 * idle_sessions > limit.used:
        return f"{sizes}: {idle_sessions} of its sessions are idle"
    if free < 2:
        return f"{sizes}: no slots are free to raise it"
    return (
        f"ALTER {owner} CONNECTION LIMIT {limit.limit + free // 2} gives it half of the {free} "
        "free slots"
    )
