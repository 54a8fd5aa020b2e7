"""Who is to act: the owner of the application to restart, or else the database's."""

from fnmatch import fnmatchcase

from connection_guard.core.deployment.reporter_settings import Owner
from connection_guard.core.incident.entry import DiagnosedCause
from connection_guard.core.notification.status import escalating
from connection_guard.core.notification.view import View


def owner_of(view: View) -> Owner | None:
    """Return who owns what is to be changed, as guard.toml has it, None where it does not say."""
    cause = cause_to_remove(view)
    application = cause.application if cause else None
    owners = (
        each.owner
        for each in view.application_owners
        if application is not None and fnmatchcase(application, each.pattern)
    )
    return next(owners, view.database.owner)


def cause_to_remove(view: View) -> DiagnosedCause | None:
    """Return the cause that is worth removing first, None where the guard itself is in trouble, or
    no cause is known.
    """
    entry = escalating(view.incident)
    if entry is not None and entry.is_trouble:
        return None
    return next(iter(view.incident.causes), None)
