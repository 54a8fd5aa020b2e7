"""What pools do: lose sessions, grow larger than the server, and reopen what was terminated.

A pool is what PostgreSQL shows of one: a role, an application and a client's address. Several
processes behind one address look like one pool, so sizes are advised for all of them together.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from connection_guard.core.database.capacity import LimitOwner
from connection_guard.core.database.session import Session
from connection_guard.core.decision.outcome import reopening_applications
from connection_guard.core.diagnosis.application import (
    Application,
    application_of,
    at_address,
    clients,
    end_idle_sessions,
    most_common_query,
    oldest_state_change,
    pools_by_application,
    shown,
    was_given_back,
)
from connection_guard.core.diagnosis.cause import (
    COMFORTABLE_PERCENT,
    FEWEST_SESSIONS,
    Case,
    Cause,
    Diagnosis,
    Figures,
    idle,
)
from connection_guard.core.words import identifier, spelled

# In how many parts the time is looked at in which sessions fell out of use: a leak has lost some in
# most of them, two at a time where a request takes two, while processes that fall silent one after
# another leave gaps.
FEWEST_PARTS, MOST_PARTS = 3, 20


def leaks(case: Case) -> Iterator[Diagnosis]:
    """An application whose pools lose sessions one after another.

    A pool with a free session opens no other: where it did while some were unused, they were lost.
    Where all were opened before, traffic that ebbs away bit by bit looks the same.
    """
    for pools in pools_by_application(case.sessions):
        lost_of_each = [(pool, _lost(case, pool)) for pool in pools]
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
    timeout = end_idle_sessions(case, application.role)
    last_query = f", most often after: {shown(query, 120)}" if query else ""
    bounded = f"; until then {timeout}" if timeout else ""
    find = f"Find where {application} does not give back a session{last_query}{bounded}"
    return Diagnosis(
        Cause.LEAK,
        len(lost),
        last_uses[0],
        f"{len(lost)} sessions of {application} fell out of use one after another over "
        f"{lost_over}, and have not been used for up to {unused_for}"
        + (
            "; others were opened meanwhile"
            if is_certain
            else ": a leak, or traffic that ebbed away"
        ),
        application.evidence | {"others": others, "grew over": lost_over, "last query": query},
        f"Restart {application}: its pool counts what it lost as lent. {find}"
        if is_certain
        else f"If {application} waits for sessions, restart it: its pool counts what it lost as "
        f"lent. {find}. If it waits for none, its pool is too large for its traffic",
    )


def _lost(case: Case, pool: Sequence[Session]) -> Sequence[Session]:
    """Return the sessions that fell out of use one after another, where they are more than the pool
    still uses.

    A pool that falls silent has its last uses in a cluster, however it was opened. The outermost
    tenths are left out, so that a few strays neither make a leak nor hide one.
    """
    unused = [
        session for session in pool if case.is_unused(session) and not was_given_back(session)
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
    """How many sessions the pool opened while it had lost some. What it opened after a termination
    replaces that.
    """
    first = _inner(_last_uses(lost))[0]
    until = case.terminated_since or case.at
    return sum(first < session.backend_start <= until for session in pool)


def _last_uses(sessions: Sequence[Session]) -> list[datetime]:
    return sorted(session.state_change for session in sessions if session.state_change)


def _inner(times: list[datetime]) -> list[datetime]:
    outer = len(times) // 10
    return times[outer : len(times) - outer]


def oversized_pools(case: Case) -> Iterator[Diagnosis]:
    """Applications whose pools, mostly idle and used now and then, together want more than a
    comfortable share.

    The addresses of an application are configured alike: each may grow as large as the largest of
    them.
    """
    oversized: list[tuple[list[Session], Application, int]] = []
    for pools in pools_by_application(case.sessions):
        settled = [
            [s for s in pool if not case.is_fresh(s)] for pool in pools if not _lost(case, pool)
        ]
        held = [session for pool in settled for session in pool]
        if len(held) >= case.considerable and 2 * idle(held) > len(held):
            oversized.append((held, application_of(held), max(map(len, settled))))
    wanted_in_all = sum(application.addresses * largest for _, application, largest in oversized)
    budget = case.usable * COMFORTABLE_PERCENT // 100
    if wanted_in_all <= budget:
        return
    for held, application, largest in oversized:
        wanted = application.addresses * largest
        arithmetic = (
            f"{clients(application.addresses)} x {largest} sessions = {wanted} wanted, "
            f"{case.usable} usable"
        )
        part = budget * wanted // wanted_in_all
        yield Diagnosis(
            Cause.OVERSIZED_POOLS,
            len(held),
            min(session.backend_start for session in held),
            f"{application} holds {len(held)} sessions, {idle(held)} of them idle: {arithmetic}",
            application.evidence
            | {
                "largest pool": largest,
                "wanted": wanted,
                "usable": case.usable,
                "idle": idle(held),
            },
            _sizes(case, application, largest, part, is_shared=wanted < wanted_in_all),
        )


def _sizes(
    case: Case, application: Application, largest: int, part: int, *, is_shared: bool
) -> str:
    share = (
        f"{part} sessions, {'its part of ' if is_shared else ''}{COMFORTABLE_PERCENT} % of "
        f"{case.usable}"
    )
    where, number = at_address(application.largest_address), application.addresses
    if part < number:
        return (
            f"One session for each client is more than {share}: put RDS Proxy before {application}"
        )
    if number == 1:
        return (
            f"Set the pools of {application} to at most {part} sessions for all processes at "
            f"{where} together, which have {largest} open (= {share})"
        )
    return (
        f"Set the pools of {application} to at most {part // number} sessions for all processes at "
        f"one address together: {where} has {largest} open (= {share}, / {number} addresses)"
    )


def pools_that_reopen(case: Case) -> Iterator[Diagnosis]:
    """An application whose pools opened again most of what was terminated, in this run or within
    the hour before.
    """
    applications = {
        name: (
            sum(pool.terminated for pool in pools),
            sum(pool.reopened for pool in pools),
            len(pools),
        )
        for name, pools in reopening_applications(case.reconnections).items()
    }
    for pool in case.reopening_pools:
        applications.setdefault((pool.role, pool.application_name), (0, 0, 0))
    for (role, name), (terminated, reopened, pools) in applications.items():
        open_now = [s for s in case.sessions if (s.role, s.application_name) == (role, name)]
        if not (terminated or open_now):
            continue
        application = (
            application_of(open_now) if open_now else Application(role, name, "", pools, 0)
        )
        if terminated:
            reopener = "the pool" if pools == 1 else f"{pools} pools"
            summary = f"Terminated {terminated}, {reopener} reopened {reopened}: {application}"
        else:
            summary = (
                f"{application} reopened most of what was terminated within the last hour, and "
                f"holds {len(open_now)}"
            )
        figures: Figures = {"terminated": terminated, "reopened": reopened} if terminated else {}
        yield Diagnosis(
            Cause.POOL_REOPENS,
            reopened or len(open_now),
            oldest_state_change(open_now) if not terminated else None,
            summary,
            application.evidence | figures,
            "Terminate no more of them; lower the minimum pool size (HikariCP minimumIdle, "
            "SQLAlchemy pool_size) of "
            f"{application}{_by(reopened, application)}{_hold_down(case, role, name)}",
        )


def _by(reopened: int, application: Application) -> str:
    return f" by {reopened} over {clients(application.addresses)}" if reopened else ""


def _hold_down(case: Case, role: str, name: str) -> str:
    """The statement that holds a role at what the others leave it, where it holds more."""
    of_role = [session for session in case.sessions if session.role == role]
    held = len(of_role)
    left = case.usable * COMFORTABLE_PERCENT // 100 - (case.snapshot.used - held)
    if not role or not 0 < left < held:
        return ""
    limits = {
        each.name: each.limit
        for each in case.snapshot.measurement.limits
        if each.owner is LimitOwner.ROLE
    }
    limit = f"ALTER ROLE {identifier(role)} CONNECTION LIMIT"
    too = (
        ", its other applications included,"
        if any(s.application_name != name for s in of_role)
        else ""
    )
    return (
        f". Until then {limit} {left} holds the role{too} at what the others leave it, and {limit} "
        f"{limits.get(role, -1)} puts it back"
    )
