"""When a drill is refused, and where to look where it has found something."""

from datetime import datetime

from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.drill.phases import NOTIFIED, PhaseName, Sighting, usage_alarm_names
from connection_guard.cli.drill.production_words import production_signs
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.guard.guard_configuration import Target
from connection_guard.core.incident.lifecycle import REOPENS_WITHIN
from connection_guard.core.incident.progress import Progress
from connection_guard.core.words import spelled


def refuse_production(access: DatabaseAccess, target: Target, host: str | None) -> None:
    """Raise UserMistakeError where anything about the database looks like production."""
    database = access.configured
    texts = {
        "its name": access.name,
        "its environment": database.environment if database else None,
        "its owner": str(database.owner.name) if database and database.owner else None,
        "its endpoint": access.door.host,
        "its PostgreSQL database": database.database_name if database else None,
        "the address": host,
        "the stack": target.stack_name,
        **{f"the tag {name}": value for name, value in target.tags.items()},
    }
    if signs := production_signs(texts):
        raise UserMistakeError(
            f"this looks like production ({', '.join(signs)}): a drill takes nearly all "
            "connections; add --yes-production where that is meant"
        )


def refuse_unrest(database: str, seen: Sighting, now: datetime) -> None:
    """Raise UserMistakeError where the guard is not deployed, or is at work."""
    if missing := [name for name in usage_alarm_names(database) if name not in seen.alarms]:
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
    if late in (PhaseName.CLEARED, PhaseName.RESOLVED):
        return "connection-guard incidents"
    if late == PhaseName.RELIEF:
        return f"connection-guard plan {database}"
    return f"connection-guard doctor {database}"
