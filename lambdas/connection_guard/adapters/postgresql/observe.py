"""Reads what the database shows: a Measurement in one round trip, a Snapshot in one more."""

import json
import socket
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from typing import Any

from connection_guard.adapters.postgresql.guard_session import GuardSession, execute
from connection_guard.adapters.postgresql.roles import AMAZON_ROLES, PROXY_MONITOR
from connection_guard.adapters.postgresql.rows.locks import Hold, Wait, blockers
from connection_guard.adapters.postgresql.rows.masking import is_listen, mask_query
from connection_guard.adapters.postgresql.rows.reservations import capacity_of
from connection_guard.adapters.postgresql.rows.statements import last_use
from connection_guard.adapters.postgresql.rows.states import STATES
from connection_guard.adapters.postgresql.turn import MEMORY
from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.door import Door
from connection_guard.core.database.pause import Pause
from connection_guard.core.database.session import Session
from connection_guard.core.database.snapshot import (
    LoginStatistics,
    Measurement,
    Privileges,
    Server,
    Snapshot,
)

# Longer than a run (55 s) and the pause before the next one: a living environment has used its seat
# since.
SEAT_IS_STALE_AFTER = timedelta(minutes=3)


def measure(
    session: GuardSession, guard_roles: Collection[str], deadline: float | None = None
) -> Measurement:
    """Return the limits and the sessions by state. Raise DatabaseError as `execute` does."""
    parameters = {"guard_roles": list(guard_roles), "seat_is_stale_after": SEAT_IS_STALE_AFTER}
    (row,) = execute(session, "measure", parameters, deadline)
    return Measurement(
        taken_at=row.taken_at,
        server=Server(
            address=row.server_address,
            port=row.server_port,
            started_at=row.server_started_at,
            version=_version(row.server_version),
            database=row.database,
            is_in_recovery=row.is_in_recovery,
        ),
        role=row.role,
        privileges=Privileges(
            reads_all_stats=row.reads_all_stats,
            signals_sessions=row.signals_sessions,
            uses_reserved_connections=row.uses_reserved_connections,
        ),
        capacity=capacity_of(row),
        used=row.sessions + row.logins_in_progress,
        logins_in_progress=row.logins_in_progress,
        sessions_by_state={
            STATES.get(literal, literal): sessions
            for literal, sessions in json.loads(row.sessions_by_state).items()
        },
        oldest_idle_in_transaction=timedelta(seconds=row.oldest_idle_in_transaction_seconds),
        limits=tuple(
            ConnectionLimit(LimitOwner(owner), name, limit, used)
            for owner, name, limit, used in zip(
                row.limit_owners, row.limit_names, row.limits, row.limit_sessions, strict=True
            )
        ),
        other_backends=json.loads(row.other_backends),
        memories=tuple(memory.partition("=")[2].removeprefix(MEMORY) for memory in row.memories),
        has_stale_seats=row.has_stale_seats,
        logins=None
        if row.logins is None
        else LoginStatistics(
            total=row.logins,
            abandoned=row.abandoned_sessions,
            fatal=row.fatal_sessions,
            by_database=dict(zip(row.login_databases, row.logins_by_database, strict=True)),
        ),
        pause=Pause(row.paused_until, row.pause_note or "") if row.is_paused else None,
    )


def clear_seats(
    session: GuardSession, guard_roles: Collection[str], deadline: float | None = None
) -> None:
    """End the sessions that earlier execution environments left behind.

    Raise DatabaseError as `execute` does.
    """
    parameters = {"guard_roles": list(guard_roles), "seat_is_stale_after": SEAT_IS_STALE_AFTER}
    execute(session, "clear_seats", parameters, deadline)


def take_snapshot(
    session: GuardSession,
    measurement: Measurement,
    proxy_addresses: Collection[str] = (),
    deadline: float | None = None,
) -> Snapshot:
    """Return the measurement with every client backend. Raise DatabaseError as `execute` does.

    A session is RDS Proxy's where its client address is one of `proxy_addresses`, or one that the
    proxy's own monitor logs in from: the proxy has more addresses than its endpoint shows.
    """
    rows = execute(session, "sessions", {}, deadline)
    proxy_addresses = {
        *proxy_addresses,
        *(row.client_address for row in rows if row.role == PROXY_MONITOR),
    } - {""}
    blocked_by = blockers(_waits(rows), _holds(rows))
    clients = [row for row in rows if row.backend_type == "client backend"]
    texts = {row.query for row in clients}
    masked = {text: mask_query(text) for text in texts}
    last_uses = {text: last_use(text) for text in set(masked.values())}
    listening = {text for text in texts if is_listen(text)}
    return Snapshot(
        measurement=measurement,
        taken_at=rows[0].taken_at,
        sessions=tuple(
            Session(
                pid=row.pid,
                backend_start=row.backend_start,
                role=row.role,
                role_id=row.role_id,
                database=row.database,
                application_name=row.application_name,
                client_address=row.client_address,
                # A later PostgreSQL may have states that are not known here. Such a session is
                # spared, like one whose state is hidden.
                state=STATES.get(row.state),
                state_change=row.state_change,
                transaction_start=row.xact_start,
                query_start=row.query_start,
                wait_event_type=row.wait_event_type,
                wait_event=row.wait_event,
                query=masked[row.query],
                is_superuser=row.is_superuser,
                is_listening=row.query in listening,
                holds_advisory_lock=row.holds_advisory_lock,
                is_owned_by_proxy=row.client_address in proxy_addresses
                and row.role not in AMAZON_ROLES,
                blocked_by=blocked_by.get(row.pid, ()),
                is_owned_by_amazon=row.role in AMAZON_ROLES,
                last_use=last_uses[masked[row.query]],
            )
            for row in clients
        ),
    )


def addresses_of(door: Door) -> frozenset[str]:
    """Return the addresses of the door's host name; none where it cannot be resolved now."""
    try:
        answers = socket.getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(str(answer[4][0]) for answer in answers)


def _version(number: int) -> str:
    """Return what server_version_num says: 180004 is 18.4 (PostgreSQL manual, libpq)."""
    return f"{number // 10_000}.{number % 10_000}"


def _waits(rows: Iterable[Any]) -> Iterator[Wait]:
    return (
        Wait(row.pid, row.waits_for, row.waits_for_mode, row.waits_since)
        for row in rows
        if row.waits_for
    )


def _holds(rows: Iterable[Any]) -> Iterator[Hold]:
    for row in rows:
        for target, mode in zip(row.holds or (), row.holds_modes or (), strict=True):
            yield Hold(row.pid, target, mode)
