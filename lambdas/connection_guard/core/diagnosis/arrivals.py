"""Sessions that were opened just now: all at once, or one for each use."""

from collections.abc import Iterator

from connection_guard.core.database.session import SessionState
from connection_guard.core.diagnosis.application import application_of, clients, quoted, shown
from connection_guard.core.diagnosis.cause import FEWEST_SESSIONS, Case, Cause, Diagnosis
from connection_guard.core.words import spelled

# A pool that renews its sessions every 30 min (HikariCP's maxLifetime) renews 7 % of them in a
# storm's two minutes: a third of the usable connections opened within that time is no renewal.
STORM_PERCENT = 33
# As many logins per minute as there are usable connections: each slot is given away anew every
# minute. Pools, which keep theirs for half an hour, are far from it. On a tiny database, one per
# second.
FEWEST_LOGINS = 60


def storm(case: Case) -> Iterator[Diagnosis]:
    """A large share of the usable connections was opened just now, and not because there is that
    much to do.
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
            f"Put RDS Proxy before {application}: {openers} opened {own} sessions, about one each"
        )
    else:
        advice = (
            f"Let the pools of {application} start small and reconnect with back-off and jitter: "
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
    """Clients log in for each use: far more logins per minute than sessions that stay."""
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
        "keep its sessions in a pool, or put RDS Proxy before it: each login costs a new server "
        "process"
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
            f"{rate:,} logins per minute{where}, and none of these sessions stays",
            {**figures, "database": shown(database)},
            f"Find who logs in for each use (log_connections shows it); {advice}",
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
        f"Let {application} {advice}",
    )
