"""When a drill is refused, and where to look where it has found something."""

import os
from collections.abc import Iterable
from datetime import datetime

from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.drill.filling import APPLICATION, WATCHER
from connection_guard.cli.drill.phases import NOTIFIED, PhaseName, Sighting
from connection_guard.cli.drill.production_words import production_signs
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard.core.database.session import Session
from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.incident.lifecycle import REOPENS_WITHIN
from connection_guard.core.incident.progress import Progress
from connection_guard.core.words import quoted, spelled


def refuse_production(
    access: DatabaseAccess, configuration: Configuration, host: str | None
) -> None:
    """Raise UserMistakeError where anything about the database looks like production."""
    database, target = access.configured, configuration.target
    texts = {
        "its name": access.name,
        "its environment": database.environment if database else None,
        "its owner": str(database.owner.name) if database and database.owner else None,
        "its endpoint": access.door.host,
        "its PostgreSQL database": access.login.dbname,
        "the address": host,
        "the AWS profile": access.login.profile or os.environ.get("AWS_PROFILE"),
        "the stack": target.stack_name,
        **{f"the tag {name}": value for name, value in target.tags.items()},
    }
    if signs := production_signs(texts):
        raise UserMistakeError(
            f"this looks like production ({', '.join(signs)}): a drill takes nearly all "
            "connections; add --yes-production where that is meant"
        )


def refuse_role(own: Session, measurement: Measurement) -> None:
    """Raise UserMistakeError where the drill's role may take connections that are not for
    applications: a drill must not shut the door that the guard itself comes in by.
    """
    if own.is_superuser or measurement.privileges.uses_reserved_connections:
        raise UserMistakeError(
            f"role {quoted(own.role)} may take the reserved connections, by which the guard itself "
            "gets in: name another role with --user"
        )


def refuse_another_drill(own: Session, snapshot: Snapshot) -> None:
    """Raise UserMistakeError where the database has sessions of another drill.

    A drill marks its own session before it looks, so of two at least one sees the other.
    """
    if any(
        each.application_name in (APPLICATION, WATCHER) and each.pid != own.pid
        for each in snapshot.sessions
    ):
        raise UserMistakeError("another drill is at work on this database: drill once it has ended")


def refuse_unrest(database: str, alarms: Iterable[str], seen: Sighting, now: datetime) -> None:
    """Raise UserMistakeError where the guard is not deployed, or is at work."""
    if missing := [name for name in alarms if name not in seen.alarms]:
        raise UserMistakeError(
            f"there is no alarm {missing[0]}: deploy the guard with `make deploy`, or look with "
            f"`connection-guard doctor {database}`"
        )
    if seen.alarms_on:
        raise UserMistakeError(f"alarm {seen.alarms_on[0]} is on: drill once it is OK")
    incident = seen.incident
    if incident is None or not incident.matters:
        return
    if incident.progress is not Progress.CLOSED:
        raise UserMistakeError(
            f"incident {incident.id} of {database} is not resolved: drill once it is"
        )
    ago = now - incident.closed_at if incident.closed_at else REOPENS_WITHIN
    if ago < REOPENS_WITHIN:
        raise UserMistakeError(
            f"the last incident of {database} was resolved {spelled(ago)} ago: within "
            f"{spelled(REOPENS_WITHIN)} another alarm reopens it, and notifications wait; drill "
            f"in {spelled(REOPENS_WITHIN - ago)}"
        )


def where_to_look(late: str | None, database: str, stack: str | None) -> str | None:
    """Return which command says more about a phase that did not happen; None for a local drill."""
    if stack is None:
        return None
    if late is not None and late.startswith(NOTIFIED):
        return f"connection-guard notify-test --stack {stack}"
    if late == PhaseName.RESOLVED:
        return "connection-guard incidents"
    if late == PhaseName.RELIEF:
        return f"connection-guard plan {database}"
    return f"connection-guard doctor {database}"
