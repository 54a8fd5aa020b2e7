"""What the table holds of the databases that a stack guards, and why some of it cannot be read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from connection_guard.adapters.aws.incident_table import IncidentTable, Kept
from connection_guard.adapters.aws.table import Table
from connection_guard.cli.access.deployed_stack import DeployedStack
from connection_guard.cli.incidents.incident_list import ListedIncident, listed_incident
from connection_guard.core.deployment.reporter_settings import ReporterSettings
from connection_guard.errors import StoreError


@dataclass
class StoredIncidents:
    """By their IDs; `problems` says in a line why an incident cannot be shown."""

    kept: dict[str, Kept] = field(default_factory=dict)
    listed: dict[str, ListedIncident] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.kept or self.problems)


def databases_of(
    stack: DeployedStack, settings: ReporterSettings, watched: Iterable[str]
) -> list[str]:
    """Return the names under which the table may have incidents. What all databases share is the
    stack's own, under the name of its dashboard.
    """
    configured = stack.configuration.databases if stack.configuration else ()
    return sorted({*watched, *(each.identifier for each in configured), settings.dashboard})


def stored_incidents(
    stack: DeployedStack,
    settings: ReporterSettings,
    databases: Iterable[str],
    since: datetime | None,
    now: datetime,
) -> StoredIncidents:
    """Return the incidents that have had an entry since then or are not closed, all where `since`
    is None. Raise StoreError where the table cannot be read.
    """
    table = IncidentTable(Table(settings.table, stack.session))
    stored = StoredIncidents()
    for database in databases:
        for name, found in table.changed_since(database, since).items():
            if isinstance(found, StoreError):
                stored.problems[name] = str(found)
                continue
            try:
                stored.listed[name] = listed_incident(found, settings.channels, now)
                stored.kept[name] = found
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                stored.problems[name] = (
                    f"table {settings.table}: incident {name} of {database} is damaged, or of "
                    f"another version: {error!r}"
                )
    return stored
