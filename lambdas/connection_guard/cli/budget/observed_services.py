"""What a live database shows of its services: sessions by application_name, now and at most."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from connection_guard.adapters.postgresql.observe import take_snapshot
from connection_guard.cli.access.database_access import DatabaseAccess, enter
from connection_guard.core.budget.service import Service
from connection_guard.core.database.session import Session

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """How many sessions there are now, and the most that were seen at once."""

    now: int
    most: int


@dataclass(frozen=True, slots=True)
class Observation:
    """The usable connections of a live database, and its sessions by application_name."""

    usable: int
    applications: Mapping[str, Seen]


def observe(
    access: DatabaseAccess, seconds: float, pause: Callable[[float], None] = time.sleep
) -> Observation:
    """Return what the database shows within that many seconds, by at least one look.

    Raise DatabaseError where it cannot be reached.
    """
    session, measurement = enter(access)
    own = session.connection.info.backend_pid
    most: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    try:
        while True:
            sessions = take_snapshot(session, measurement).sessions
            now = Counter(_name(each) for each in sessions if _is_service(each, access, own))
            most |= now
            if time.monotonic() + SECONDS_BETWEEN_LOOKS > deadline:
                break
            pause(SECONDS_BETWEEN_LOOKS)
    finally:
        session.close()
    seen = {name: Seen(now[name], most[name]) for name in most}
    return Observation(measurement.capacity.usable, seen)


def by_service(
    services: Sequence[Service], applications: Mapping[str, Seen]
) -> tuple[dict[str, Seen], dict[str, Seen]]:
    """Return what was seen of each service by its name, and the applications that are none.

    An application is a service's where its name is that of the service or of its `application`, or
    begins with it: what follows may be a pod's own name.
    """
    known = {each.application or each.name: each.name for each in services}
    of_services: dict[str, list[Seen]] = {}
    others = {}
    for application, seen in applications.items():
        meant = [name for name in known if _belongs(application, name)]
        if meant:
            of_services.setdefault(known[max(meant, key=len)], []).append(seen)
        else:
            others[application] = seen
    return {name: _together(parts) for name, parts in of_services.items()}, others


def _belongs(application: str, name: str) -> bool:
    rest = application.removeprefix(name)
    return application.startswith(name) and (not rest or not rest[0].isalnum())


def _together(parts: Iterable[Seen]) -> Seen:
    seen = list(parts)
    return Seen(sum(each.now for each in seen), sum(each.most for each in seen))


def _name(session: Session) -> str:
    return session.application_name or f"(no application_name) {session.role}"


def _is_service(session: Session, access: DatabaseAccess, own: int) -> bool:
    is_guard = session.role in access.guard_roles or session.pid == own
    return not is_guard and not session.is_owned_by_amazon
