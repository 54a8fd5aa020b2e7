"""Detects genuine load, names the largest user where there is no single cause, and reports
sessions that ended by themselves.
"""

from collections import Counter
from collections.abc import Iterator

from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.diagnosis.application import (
    Application,
    application_of,
    at_address,
    most_common_query,
    oldest_state_change,
    share_of,
)
from connection_guard.core.diagnosis.case import FEWEST_SESSIONS, Case, Diagnosis, idle
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.transactions import is_forgotten, waits_for_lock
from connection_guard.core.words import shown


def genuine_load(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis where most sessions are at work and few are unused: nothing here is a
    mistake.
    """
    working = [session for session in case.sessions if _is_working(session)]
    left_over = sum(
        case.is_unused(session) or is_forgotten(case, session) for session in case.sessions
    )
    if 2 * len(working) <= len(case.sessions) or left_over >= case.considerable:
        return
    application, query = application_of(working), most_common_query(working)
    wait = Counter(session.wait_event_type or "CPU" for session in working).most_common(1)[0][0]
    most_common = f"; the most common statement is: {shown(query, 120)}" if query else ""
    yield Diagnosis(
        Cause.GENUINE_LOAD,
        len(working),
        oldest_state_change(working),
        f"{len(working)} of {case.snapshot.used} sessions are at work, "
        f"{share_of(application, working)}; {left_over} are unused",
        application.evidence
        | {"unused": left_over, "most common wait": wait, "most common query": query},
        f"Terminate nothing: use a larger instance, or make {application} queue in smaller pools; "
        f"its sessions wait most often for {wait}{most_common}",
    )


def nearest_fact(case: Case) -> Iterator[Diagnosis]:
    """Yield the application with the most unused sessions, or with the most where none are unused:
    the nearest fact where there is no single cause.
    """
    unused = [session for session in case.sessions if case.is_unused(session)]
    if not case.sessions:
        return
    application = application_of(unused or case.sessions)
    own = [
        s
        for s in case.sessions
        if (s.role, s.application_name) == (application.role, application.name)
    ]
    most = (
        f"the most unused sessions ({application.sessions} of its {len(own)})"
        if unused
        else f"the most, {len(own)} ({idle(own)} of them idle)"
    )
    where = (
        f"the pools of {application}; {at_address(application.largest_address)} has the most "
        "sessions"
    )
    if all(session.is_owned_by_proxy for session in own):
        where = (
            f"the sessions that RDS Proxy keeps open for {application} (MaxConnectionsPercent, "
            "MaxIdleConnectionsPercent)"
        )
    yield Diagnosis(
        Cause.NO_SINGLE_CAUSE,
        len(own),
        None,
        f"No single cause explains the {case.snapshot.used} sessions; {application} has {most}",
        application.evidence | {"unused": application.sessions if unused else 0, "idle": idle(own)},
        f"Look first at {where}",
    )


def ended_by_themselves(case: Case) -> Iterator[Diagnosis]:
    """Yield each application that lost more sessions than were terminated."""
    for role, name in dict.fromkeys(
        (each.pool.role, each.pool.application_name) for each in case.vanished
    ):
        pools = [
            each
            for each in case.vanished
            if (each.pool.role, each.pool.application_name) == (role, name)
        ]
        gone, terminated = sum(each.gone for each in pools), sum(each.terminated for each in pools)
        if gone < FEWEST_SESSIONS:
            continue
        application = Application(role, name, pools[0].pool.client_address, len(pools), gone)
        yield Diagnosis(
            Cause.ENDED_BY_THEMSELVES,
            gone,
            None,
            f"{gone} more sessions of {application} ended by themselves while {terminated} were "
            "terminated: its process may have died",
            application.evidence | {"terminated": terminated, "gone": gone},
            f"Check that {application} is running: a process must survive the loss of a session "
            "(under node-postgres it ends unless pool.on('error') is handled)",
        )


def _is_working(session: Session) -> bool:
    return session.state in (SessionState.ACTIVE, SessionState.FASTPATH) and not waits_for_lock(
        session
    )
