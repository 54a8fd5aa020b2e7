"""Detects sessions that were opened just now: all at once, or one for each use."""

from collections.abc import Iterator

from connection_guard.core.database.session import SessionState
from connection_guard.core.diagnosis.application import application_of, clients
from connection_guard.core.diagnosis.case import FEWEST_SESSIONS, Case, Diagnosis
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.remedy import Remedy, RemedyKind
from connection_guard.core.words import quoted, shown, spelled

# A pool that renews its sessions every 30 min (HikariCP's maxLifetime) renews 7 % of them within a
# storm's two minutes. A third of the usable connections within that time is not a renewal.
STORM_PERCENT = 33
# Churn is as many logins per minute as there are usable connections: each slot gets a new session
# every minute. Pools, which keep their sessions for half an hour, are far below that. On a tiny
# database it is one login per second.
FEWEST_LOGINS = 60


def storm(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis where a large share of the usable connections was opened just now and is
    not at work.
    """
    fresh = [
        session
        for session in case.sessions
        if case.is_fresh(session)
        and session.state not in (SessionState.ACTIVE, SessionState.STARTING)
        and not session.is_owned_by_proxy
    ]
    if len(fresh) < max(case.usable * STORM_PERCENT / 100, FEWEST_SESSIONS):
        return
    application, since = application_of(fresh), min(session.backend_start for session in fresh)
    own, openers = application.sessions, clients(application.addresses)
    if own < 2 * application.addresses:
        advice = (
            f"Put RDS Proxy in front of the database for {application}: {openers} opened {own} "
            "sessions, about one each"
        )
    else:
        advice = (
            f"Make the pools of {application} start small and reconnect with back-off and jitter: "
            f"{openers} opened {own} sessions at once"
        )
    yield Diagnosis(
        Cause.CONNECTION_STORM,
        len(fresh),
        since,
        f"{len(fresh)} of {case.snapshot.used} sessions were opened within the last "
        f"{spelled(case.at - since)}, {own} of them by {application}",
        application.evidence | {"opened by it": own, "sessions in all": case.snapshot.used},
        advice,
    )


def churn(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis where clients log in for each use: far more log in than stay."""
    if case.logins is None:
        return
    logins = case.logins
    stayed = sum(session.backend_start > logins.since for session in case.snapshot.sessions)
    if logins.per_minute(max(logins.total - stayed, 0)) < max(case.usable, FEWEST_LOGINS):
        return
    rate = logins.per_minute(logins.total)
    figures = {
        "logins per minute": rate,
        "abandoned per minute": logins.per_minute(logins.abandoned),
        "fatal per minute": logins.per_minute(logins.fatal),
    }
    fresh = [session for session in case.sessions if case.is_fresh(session)]
    advice = (
        "keep its sessions in a pool, or put RDS Proxy in front of the database: each login "
        "costs a new server process"
    )
    if not fresh:
        database, count = max(logins.by_database.items(), key=lambda item: item[1], default=("", 0))
        where = (
            f", {logins.per_minute(count):,} of them to database {quoted(database)}"
            if database
            else ""
        )
        yield Diagnosis(
            Cause.CHURN,
            0,
            None,
            f"{rate:,} logins per minute{where}, and none of these sessions stays open",
            {**figures, "database": shown(database)},
            (
                "Find which application logs in for each use (",
                Remedy(RemedyKind.LOG_LOGINS),
                f" shows it); {advice}",
            ),
        )
        return
    application = application_of(fresh)
    yield Diagnosis(
        Cause.CHURN,
        application.sessions,
        None,
        f"{rate:,} logins per minute; {application} has {application.sessions} of the {len(fresh)} "
        "youngest sessions",
        application.evidence | figures,
        f"Make {application} {advice}",
    )
