"""Goes the responder's way through a door, and looks around behind it. Nothing is changed there: no
seat is cleared, no turn is taken, no session is terminated.
"""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connection_guard.adapters.postgresql.doors import DOOR_SECONDS
from connection_guard.adapters.postgresql.examination.examine import examine
from connection_guard.adapters.postgresql.examination.login_refusals import login_refusal
from connection_guard.adapters.postgresql.guard_session import (
    STATEMENT_SECONDS,
    GuardSession,
    open_session,
)
from connection_guard.adapters.postgresql.login import root_certificates
from connection_guard.adapters.postgresql.observe import measure
from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.doctor.doors.network_probe import probe
from connection_guard.cli.doctor.facts.check import Unknown
from connection_guard.cli.doctor.facts.door_facts import DoorFacts, LoginFacts
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.database.door import Door
from connection_guard.errors import DatabaseError


def visit(access: DatabaseAccess, door: Door) -> DoorFacts:
    """Return what is seen at the door, and behind it where it opens."""
    is_own = door == access.door
    roots = access.roots if is_own else root_certificates(door)
    network = probe(door, access.tunnel if is_own else None, roots)
    if network.obstacle is None:
        login = log_in_at(access, door)
    else:
        login = LoginFacts(door, obstacle=network.obstacle)
    return DoorFacts(door, network, login, datetime.now(UTC))


def log_in_at(access: DatabaseAccess, door: Door) -> LoginFacts:
    """Return what a login shows, within the time that the responder gives this door."""
    try:
        session = open_session(access.connect, door, time.monotonic() + DOOR_SECONDS[door.name])
    except UserMistakeError as mistake:  # there is nothing to sign a token with
        return LoginFacts(door, obstacle=mistake.message)
    except DatabaseError as error:
        return LoginFacts(door, error=str(error), refusal=login_refusal(error))
    try:
        return _look_around(access, session)
    except DatabaseError as error:
        return LoginFacts(door, error=str(error))
    finally:
        session.close()


def _look_around(access: DatabaseAccess, session: GuardSession) -> LoginFacts:
    deadline = time.monotonic() + STATEMENT_SECONDS
    before = datetime.now(UTC)
    measurement = measure(session, access.guard_roles, deadline)
    after = datetime.now(UTC)
    seen = LoginFacts(
        session.door,
        measurement=measurement,
        clock_offset=_ahead(measurement.taken_at, before, after),
    )
    try:
        examination = examine(session, access.guard_roles, deadline)
    except DatabaseError as error:
        return replace(seen, examination=Unknown(str(error)))
    return replace(seen, examination=examination)


def _ahead(theirs: datetime, before: datetime, after: datetime) -> timedelta:
    """Return how far their clock is ahead: it was read between the two looks at this one."""
    if theirs < before:
        return theirs - before
    return max(theirs - after, timedelta())
