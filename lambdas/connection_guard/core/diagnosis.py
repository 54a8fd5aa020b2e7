"""Why the connections ran out: evidence and one piece of advice a cause. Diagnosis before blame."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

from connection_guard.core.outcome import Reconnection, reopening_applications
from connection_guard.core.session import IN_TRANSACTION_STATES, Session, SessionState
from connection_guard.core.snapshot import ConnectionLimit, Snapshot
from connection_guard.core.wording import identifier, spelled

# Below this share of the usable connections there is no shortage to explain. It is also what all pools together are
# sized to: below the warning at 75 % that keeps room for deploys, jobs and people.
COMFORTABLE_PERCENT = 60
# Curing less than a tenth of the usable connections does not bring a full database below its critical alarm at 90 %.
CONSIDERABLE_PERCENT = 10
# On a tiny database a tenth is one session; fewer than three are a coincidence.
FEWEST_SESSIONS = 3
# A pool that renews its sessions every 30 min (HikariCP's maxLifetime) renews 7 % of them in a storm's two minutes: a
# third of the usable connections opened within that time is no renewal.
STORM_PERCENT = 33
# A database with a role for each tenant can have hundreds of limits reached; the largest tell the story.
MOST_LIMITS = 3


@dataclass(frozen=True, slots=True)
class DiagnosisTimes:
    """How long things last that tell one cause from another."""

    # A lull in the traffic leaves sessions unused for a minute or two; after five nobody is about to come back.
    unused_for: timedelta = timedelta(minutes=5)
    # A pool fills within seconds of its start. What took longer than this to pile up grew while the application ran.
    leak_grows_over: timedelta = timedelta(minutes=5)
    storm_window: timedelta = timedelta(minutes=2)
    # No statement, network round trip or retry leaves a transaction idle for a whole minute: the client has forgotten
    # it, or waits for something else meanwhile.
    idle_in_transaction_for: timedelta = timedelta(minutes=1)


TIMES = DiagnosisTimes()

Figures = dict[str, str | int | float]


class Cause(StrEnum):
    """What exhausts a database's connections."""

    LOGINS_IN_PROGRESS = "logins in progress"
    ROLE_OR_DATABASE_LIMIT = "role or database limit"
    BLOCKING_CHAIN = "blocking chain"
    POOL_REOPENS = "pool reopens"
    CONNECTION_STORM = "connection storm"
    IDLE_IN_TRANSACTION = "idle in transaction"
    LEAK = "leak"
    OVERSIZED_POOLS = "oversized pools"
    GENUINE_LOAD = "genuine load"


# What follows from a cause in the same application: clients that wait for a lock make their pools open more, and what
# a pool always reopens only looks like a leak.
_SYMPTOMS = {
    Cause.BLOCKING_CHAIN: {Cause.CONNECTION_STORM},
    Cause.POOL_REOPENS: {Cause.CONNECTION_STORM, Cause.LEAK, Cause.OVERSIZED_POOLS},
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One cause: how many sessions it explains, since when (None where not known), who in figures, and what to change.

    `evidence` holds strings and numbers under names that a reader understands.
    """

    cause: Cause
    sessions: int
    since: datetime | None
    summary: str
    evidence: Mapping[str, str | int | float]
    advice: str


def diagnose(
    snapshot: Snapshot, reconnections: tuple[Reconnection, ...] = (), times: DiagnosisTimes = TIMES
) -> tuple[Diagnosis, ...]:
    """Every cause that stands out, the most telling first; empty where none does.

    They are ordered by how many sessions each explains, a cause before its own symptoms. One session can be evidence
    of two causes: one that was left in a transaction can belong to a pool that leaks.
    """
    found = [
        *_logins_in_progress(snapshot),
        *_limits(snapshot),
        *_blocking_chain(snapshot),
        *_pools_that_reopen(reconnections),
        *_idle_in_transaction(snapshot, times),
    ]
    if snapshot.utilisation >= COMFORTABLE_PERCENT:
        found += [
            *_storm(snapshot, times),
            *_leaks(snapshot, times),
            *_oversized_pools(snapshot, times),
            *_genuine_load(snapshot, times),
        ]
    return tuple(sorted(found, key=lambda diagnosis: _explained(diagnosis, found), reverse=True))


def _explained(cause: Diagnosis, found: Iterable[Diagnosis]) -> int:
    """The sessions that a cause accounts for: its own, or those of a symptom where they are more."""

    def same_application(other: Diagnosis) -> bool:
        return all(other.evidence[who] == cause.evidence[who] for who in ("role", "application"))

    symptoms = (other for other in found if other.cause in _SYMPTOMS.get(cause.cause, ()) and same_application(other))
    return max(cause.sessions, *(symptom.sessions for symptom in symptoms), 0)


def _logins_in_progress(snapshot: Snapshot) -> Iterator[Diagnosis]:
    """Clients that connect and do not log in: a considerable part of the slots, or so many that logins are refused."""
    usable, measurement = snapshot.measurement.capacity.usable, snapshot.measurement
    starting = sum(session.state is SessionState.STARTING for session in snapshot.sessions)
    logins = measurement.logins_in_progress + starting
    is_refusing = measurement.refused_a_login and snapshot.used < usable
    if logins < _considerable(snapshot) and not is_refusing:
        return
    summary = f"{logins} of {usable} slots are held by clients that have connected and not logged in"
    if is_refusing:
        summary += f"; a login was refused while {snapshot.used} are in use, so more must be connected that say nothing"
    yield Diagnosis(
        Cause.LOGINS_IN_PROGRESS,
        logins,
        None,
        summary,
        {"logins in progress": logins, "slots in use": snapshot.used, "usable": usable},
        "Find who connects and does not log in (a health check, a scanner, clients that stall; log_connections shows "
        "their addresses), and lower authentication_timeout, 60 s by default, after which PostgreSQL closes them",
    )


def _limits(snapshot: Snapshot) -> Iterator[Diagnosis]:
    """A role or database that uses up its own CONNECTION LIMIT. A limit of 0 is somebody's decision to shut it out."""
    reached = [limit for limit in snapshot.measurement.limits if 0 < limit.limit <= limit.used]
    free = max(snapshot.measurement.capacity.usable - snapshot.used, 0)
    for limit in sorted(reached, key=lambda limit: limit.used, reverse=True)[:MOST_LIMITS]:
        # An owner's literal is the name of the session's field.
        sessions = [session for session in snapshot.sessions if getattr(session, limit.owner) == limit.name]
        whose = f"{limit.owner} {_quoted(limit.name)}"
        yield Diagnosis(
            Cause.ROLE_OR_DATABASE_LIMIT,
            len(sessions),
            None,
            f"{whose} uses {limit.used} of its CONNECTION LIMIT {limit.limit}: its next client is refused "
            f"(too many connections for {whose}) while {free} slots are free",
            {
                limit.owner.value: _line(limit.name),
                "limit": limit.limit,
                "used": limit.used,
                "free slots": free,
                "limits reached": len(reached),
            },
            _advice_on_limit(limit, _idle(sessions), free),
        )


def _advice_on_limit(limit: ConnectionLimit, idle: int, free: int) -> str:
    owner = f"{limit.owner.upper()} {identifier(limit.name)}"
    if 2 * idle > limit.used:
        return f"Size the pools that use {owner} to fewer than {limit.limit} together: {idle} of its sessions are idle"
    if free < 2:
        return f"Size the pools that use {owner} to fewer than {limit.limit} together: no slots are free to raise it"
    return f"ALTER {owner} CONNECTION LIMIT {limit.limit + free // 2} gives it half of the {free} free slots"


def _blocking_chain(snapshot: Snapshot) -> Iterator[Diagnosis]:
    """A considerable part of the sessions waits, directly or behind others, for locks that a few roots hold."""
    root_of = _root_of_each_waiter(snapshot.sessions)
    if len(root_of) < _considerable(snapshot):
        return
    waiting = [session for session in snapshot.sessions if session.pid in root_of]
    behind = Counter(root_of.values())
    worst = behind.most_common(3)
    pid, behind_worst = worst[0]
    root = next((session for session in snapshot.sessions if session.pid == pid), None)
    yield Diagnosis(
        Cause.BLOCKING_CHAIN,
        len(root_of),
        _oldest_state_change(waiting),
        f"{len(root_of)} sessions wait for locks, {behind_worst} of them behind pid {pid}: "
        f"{_described_root(root, snapshot.taken_at)}",
        _owner(waiting).evidence
        | {
            "roots": len(behind),
            "worst roots": ", ".join(f"pid {pid} ({count} waiting)" for pid, count in worst),
            "root query": _line(root.query) if root else "",
        },
        _advice_on_root(pid, root, is_cycle=pid in root_of),
    )


def _root_of_each_waiter(sessions: Iterable[Session]) -> dict[int, int]:
    """The pid at the head of the queue that each waiting session stands in.

    Of several blockers the first is followed, so that each session stands in one queue and is counted once. A root
    that waits itself is part of a cycle: a deadlock that PostgreSQL has yet to detect.
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


def _described_root(root: Session | None, at: datetime) -> str:
    if root is None:
        return "no client session"
    since = root.transaction_start
    transaction = f", its transaction open for {spelled(at - since)}" if since else ""
    return f"{_owner([root]).name}, {root.state or 'its state hidden'}{transaction}"


def _advice_on_root(pid: int, root: Session | None, *, is_cycle: bool) -> str:
    if root is None and pid == 0:
        return "A prepared transaction holds the locks: find it in pg_prepared_xacts, COMMIT or ROLLBACK PREPARED it"
    if root is None:
        return f"Look up pid {pid} in pg_stat_activity: an autovacuum to prevent wraparound is to be left to finish"
    if is_cycle:
        return f"Let the transactions of {_owner([root]).name} lock in one order: pid {pid} is in a deadlock"
    if root.state in IN_TRANSACTION_STATES:
        return f"SELECT pg_terminate_backend({pid}) frees them now, {_end_idle_transactions(root.role)} the next time"
    if root.state is SessionState.IDLE:
        return f"Let {_owner([root]).name} unlock its session-level advisory lock: pid {pid} is idle and keeps it"
    return f"SELECT pg_cancel_backend({pid}) frees them now; then do in small transactions: {_line(root.query, 120)}"


def _pools_that_reopen(reconnections: Iterable[Reconnection]) -> Iterator[Diagnosis]:
    """An application whose pools opened again most of what was terminated."""
    for (role, application), pools in reopening_applications(reconnections).items():
        terminated = sum(pool.terminated for pool in pools)
        reopened = sum(pool.reopened for pool in pools)
        largest = max(pools, key=lambda pool: pool.reopened).pool.client_address
        owner = _Owner(role, application, largest, len(pools))
        reopener = "the pool" if len(pools) == 1 else f"{len(pools)} pools"
        yield Diagnosis(
            Cause.POOL_REOPENS,
            reopened,
            None,
            f"Terminated {terminated}, {reopener} reopened {reopened}: {owner.name}",
            owner.evidence | {"terminated": terminated, "reopened": reopened},
            "Terminate no more of them; lower the minimum pool size (HikariCP minimumIdle, SQLAlchemy pool_size) of "
            f"{owner.name} by {reopened} over {_clients(owner.clients)}",
        )


def _idle_in_transaction(snapshot: Snapshot, times: DiagnosisTimes) -> Iterator[Diagnosis]:
    """A role's transactions that were left open, where they and those that wait for them are a considerable part."""
    held_up_by = Counter(_root_of_each_waiter(snapshot.sessions).values())
    roles: dict[str, list[Session]] = {}
    for session in snapshot.sessions:
        lasts = session.time_in_state(snapshot.taken_at) >= times.idle_in_transaction_for
        if lasts and session.state in IN_TRANSACTION_STATES:
            roles.setdefault(session.role, []).append(session)
    for role, sessions in roles.items():
        held_up = sum(held_up_by[session.pid] for session in sessions)
        if len(sessions) + held_up < _considerable(snapshot):
            continue
        owner = _owner(sessions)
        oldest = max(session.time_in_state(snapshot.taken_at) for session in sessions)
        aborted = sum(session.state is SessionState.IDLE_IN_TRANSACTION_ABORTED for session in sessions)
        yield Diagnosis(
            Cause.IDLE_IN_TRANSACTION,
            len(sessions),
            _oldest_state_change(sessions),
            f"{len(sessions)} sessions of role {_quoted(role)} left a transaction idle for up to {spelled(oldest)}, "
            f"most of them of {owner.name}, and hold up {held_up} others",
            owner.evidence | {"aborted": aborted, "held up": held_up, "last query": _most_common_query(sessions)},
            f"{_end_idle_transactions(role)} ends them; let {owner.name} commit or roll back before it waits",
        )


def _storm(snapshot: Snapshot, times: DiagnosisTimes) -> Iterator[Diagnosis]:
    """A large share of the usable connections was opened just now, and not because there is that much to do."""
    at = snapshot.taken_at
    fresh = [
        session
        for session in snapshot.sessions
        if _is_fresh(session, at, times)
        and session.state not in (SessionState.ACTIVE, SessionState.STARTING)
        and not session.is_owned_by_proxy
    ]
    if len(fresh) < max(snapshot.measurement.capacity.usable * STORM_PERCENT / 100, FEWEST_SESSIONS):
        return
    owner, since = _owner(fresh), min(session.backend_start for session in fresh)
    own = sum((session.role, session.application_name) == (owner.role, owner.application) for session in fresh)
    if own < 2 * owner.clients:
        advice = f"Put RDS Proxy before {owner.name}: {_clients(owner.clients)} opened {own} sessions, about one each"
    else:
        advice = (
            f"Let the pools of {owner.name} start small and reconnect with back-off and jitter: "
            f"{_clients(owner.clients)} opened {own} sessions at once"
        )
    yield Diagnosis(
        Cause.CONNECTION_STORM,
        len(fresh),
        since,
        f"{len(fresh)} of {snapshot.used} sessions were opened within the last {spelled(at - since)}, "
        f"{own} of them by {owner.name}",
        owner.evidence | {"opened by it": own, "sessions in all": snapshot.used},
        advice,
    )


def _leaks(snapshot: Snapshot, times: DiagnosisTimes) -> Iterator[Diagnosis]:
    """An application whose pools pile up sessions that nobody uses again."""
    for pools in _pools_by_application(snapshot):
        leaked = [session for pool in pools for session in _leaked(pool, snapshot.taken_at, times)]
        if len(leaked) < _considerable(snapshot):
            continue
        owner, query = _owner(leaked), _most_common_query(leaked)
        starts = [session.backend_start for session in leaked]
        grew_over = spelled(max(starts) - min(starts))
        oldest = max(session.time_in_state(snapshot.taken_at) for session in leaked)
        yield Diagnosis(
            Cause.LEAK,
            len(leaked),
            _oldest_state_change(leaked),
            f"{len(leaked)} sessions of {owner.name} were opened one after another over {grew_over} "
            f"and have not been used for up to {spelled(oldest)}",
            owner.evidence
            | {"others": sum(map(len, pools)) - len(leaked), "grew over": grew_over, "last query": query},
            f"Find where {owner.name} does not give back a session, most often after: {_line(query, 120)}; until then "
            f"ALTER ROLE {identifier(owner.role)} SET idle_session_timeout = '15min' (PostgreSQL 14 and later)",
        )


def _oversized_pools(snapshot: Snapshot, times: DiagnosisTimes) -> Iterator[Diagnosis]:
    """Applications whose pools, mostly idle and used now and then, together want more than a comfortable share.

    The clients of an application are configured alike: each may grow as large as the largest pool of one of them.
    """
    usable, at = snapshot.measurement.capacity.usable, snapshot.taken_at
    oversized: list[tuple[list[Session], int, int]] = []
    for pools in _pools_by_application(snapshot):
        settled = [[s for s in pool if not _is_fresh(s, at, times)] for pool in pools if not _leaked(pool, at, times)]
        held = [session for pool in settled for session in pool]
        if len(held) >= _considerable(snapshot) and 2 * _idle(held) > len(held):
            oversized.append((held, sum(map(bool, settled)), max(map(len, settled))))
    wanted_in_all = sum(clients * largest for _, clients, largest in oversized)
    budget = usable * COMFORTABLE_PERCENT // 100
    if wanted_in_all <= budget:
        return
    for held, clients, largest in oversized:
        owner, wanted = _owner(held), clients * largest
        part = budget * wanted // wanted_in_all
        share = (
            f"{part} sessions, {'' if wanted == wanted_in_all else 'its part of '}{COMFORTABLE_PERCENT} % of {usable}"
        )
        arithmetic = f"{_clients(clients)} x pool of {largest} = {wanted} wanted, {usable} usable"
        if part >= clients:
            change = f"set the pool size of {owner.name} to at most {part // clients} (= {share}, / {clients})"
        else:
            change = f"one session for each client is more than {share}: put RDS Proxy before {owner.name}"
        yield Diagnosis(
            Cause.OVERSIZED_POOLS,
            len(held),
            min(session.backend_start for session in held),
            f"{owner.name} holds {len(held)} sessions, {_idle(held)} of them idle: {arithmetic}",
            owner.evidence | {"largest pool": largest, "wanted": wanted, "usable": usable, "idle": _idle(held)},
            f"{arithmetic}: {change}",
        )


def _genuine_load(snapshot: Snapshot, times: DiagnosisTimes) -> Iterator[Diagnosis]:
    """Most sessions work and few are left over: nothing here is anybody's mistake."""
    working = [session for session in snapshot.sessions if _is_working(session)]
    unused = sum(_is_unused(session, snapshot.taken_at, times) for session in snapshot.sessions)
    if 2 * len(working) <= snapshot.used or unused >= _considerable(snapshot):
        return
    owner, query = _owner(working), _most_common_query(working)
    wait = Counter(session.wait_event_type or "CPU" for session in working).most_common(1)[0][0]
    yield Diagnosis(
        Cause.GENUINE_LOAD,
        len(working),
        _oldest_state_change(working),
        f"{len(working)} of {snapshot.used} sessions are at work, most of them {owner.name}; {unused} are unused",
        owner.evidence | {"unused": unused, "most common wait": wait, "most common query": query},
        f"Kill nothing: take a larger instance, or let {owner.name} queue in smaller pools; its sessions wait most for "
        f"{wait}, most common is: {_line(query, 120)}",
    )


def _considerable(snapshot: Snapshot) -> int:
    """The fewest sessions whose loss would be felt."""
    return max(ceil(snapshot.measurement.capacity.usable * CONSIDERABLE_PERCENT / 100), FEWEST_SESSIONS)


def _waits_for_lock(session: Session) -> bool:
    return bool(session.blocked_by) or session.wait_event_type == "Lock"


def _is_working(session: Session) -> bool:
    return session.state in (SessionState.ACTIVE, SessionState.FASTPATH) and not _waits_for_lock(session)


def _is_fresh(session: Session, at: datetime, times: DiagnosisTimes) -> bool:
    return at - session.backend_start <= times.storm_window


def _is_unused(session: Session, at: datetime, times: DiagnosisTimes) -> bool:
    """A listener and the holder of an advisory lock serve their purpose while they are idle."""
    is_free = session.state is SessionState.IDLE and not session.is_listening and not session.holds_advisory_lock
    return is_free and session.time_in_state(at) >= times.unused_for


def _leaked(pool: Sequence[Session], at: datetime, times: DiagnosisTimes) -> Sequence[Session]:
    """The unused sessions of a pool that leaks: more than it uses, and opened one after another.

    The middle half of their starts is looked at, so that one replaced session does not make a full pool a growing one.
    """
    unused = sorted((s for s in pool if _is_unused(s, at, times)), key=lambda session: session.backend_start)
    if len(unused) < FEWEST_SESSIONS or 2 * len(unused) <= len(pool):
        return ()
    grew_over = unused[len(unused) * 3 // 4].backend_start - unused[len(unused) // 4].backend_start
    return unused if grew_over >= times.leak_grows_over else ()


def _idle(sessions: Iterable[Session]) -> int:
    return sum(session.state is SessionState.IDLE for session in sessions)


def _pools_by_application(snapshot: Snapshot) -> list[list[list[Session]]]:
    """Each application's pools, one a client. What RDS Proxy owns is the proxy's own pool, and no client's."""
    applications: dict[tuple[str, str], dict[str, list[Session]]] = {}
    for session in snapshot.sessions:
        if not session.is_owned_by_proxy:
            pools = applications.setdefault((session.role, session.application_name), {})
            pools.setdefault(session.client_address, []).append(session)
    return [list(pools.values()) for pools in applications.values()]


@dataclass(frozen=True, slots=True)
class _Owner:
    """The application, as a role, that most of some sessions belong to, and where it logs in from."""

    role: str
    application: str
    largest_client: str
    clients: int

    @property
    def name(self) -> str:
        application = f"application {_quoted(self.application)}" if self.application else "unnamed application"
        return f"{application} (role {_quoted(self.role)})"

    @property
    def evidence(self) -> Figures:
        return {
            "role": _line(self.role),
            "application": _line(self.application),
            "clients": self.clients,
            "largest client": self.largest_client or "local socket",
        }


def _owner(sessions: Iterable[Session]) -> _Owner:
    applications: dict[tuple[str, str], Counter[str]] = {}
    for session in sessions:
        applications.setdefault((session.role, session.application_name), Counter())[session.client_address] += 1
    (role, application), clients = max(applications.items(), key=lambda item: item[1].total())
    return _Owner(role, application, clients.most_common(1)[0][0], len(clients))


def _clients(number: int) -> str:
    return "1 client" if number == 1 else f"{number} clients"


def _oldest_state_change(sessions: Iterable[Session]) -> datetime | None:
    return min((session.state_change for session in sessions if session.state_change), default=None)


def _most_common_query(sessions: Iterable[Session]) -> str:
    return _line(Counter(session.query for session in sessions).most_common(1)[0][0])


def _end_idle_transactions(role: str) -> str:
    return f"ALTER ROLE {identifier(role)} SET idle_in_transaction_session_timeout = '1min'"


def _quoted(name: str) -> str:
    return f'"{_line(name)}"'


def _line(text: str, length: int = 500) -> str:
    """Names and statements are the clients' to choose: one printable line of them, cut where it is too long."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
