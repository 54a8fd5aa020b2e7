"""An incident with what is known around it, as renderers take it."""

from datetime import datetime, timedelta
from typing import Any

from connection_guard.core.deployment.reporter_settings import ApplicationOwner, WatchedDatabase
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.view import View
from tests.support.reporter.incidents import LINKS, OPENED

LATER = OPENED + timedelta(minutes=12)


def a_view(
    incident: Incident,
    links: Links = LINKS,
    now: datetime = LATER,
    *,
    application_owners: tuple[ApplicationOwner, ...] = (),
    **known: Any,
) -> View:
    """Return the incident's view; `known` is what guard.toml says of its database."""
    database = WatchedDatabase(incident.database, False, "responder", **known)
    return View(incident, database, links, now, application_owners, "eu-central-1")
