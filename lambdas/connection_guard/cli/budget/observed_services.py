"""What a live database shows of its services: sessions by application_name, now and at most."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connection_guard.adapters.postgresql.observe import take_snapshot
from connection_guard.cli.access.database_access import DatabaseAccess, enter
from connection_guard.core.budget.observed import Seen, sessions_by_application

SECONDS_BETWEEN_LOOKS = 1.0


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
            others = (each for each in sessions if each.pid != own)
            now = sessions_by_application(others, access.guard_roles)
            most |= now
            if time.monotonic() + SECONDS_BETWEEN_LOOKS > deadline:
                break
            pause(SECONDS_BETWEEN_LOOKS)
    finally:
        session.close()
    seen = {name: Seen(now[name], most[name]) for name in most}
    return Observation(measurement.capacity.usable, seen)
