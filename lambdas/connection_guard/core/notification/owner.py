"""Who is to act: the owner of the application to restart, or else the database's."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from connection_guard.core.incident.entry import DiagnosedCause
from connection_guard.core.notification.status import escalating
from connection_guard.core.notification.view import View

# The ID of a user (U, W) or a user group (S) in Slack, behind the name.
_WITH_ID = re.compile(r"(?P<name>.*?)\s*<(?P<slack_id>[SUW][A-Z0-9]+)>\s*")


@dataclass(frozen=True, slots=True)
class Owner:
    """`slack_id` is None where nobody is to be mentioned."""

    name: str
    slack_id: str | None = None


def owner_of(view: View) -> Owner | None:
    """Return who owns what is to be changed, as guard.toml has it, None where it does not say."""
    cause = cause_to_remove(view)
    application = cause.application if cause else None
    owners = (
        each.owner
        for each in view.application_owners
        if application is not None and fnmatchcase(application, each.pattern)
    )
    text = next(owners, view.database.owner)
    return _read(text) if text else None


def cause_to_remove(view: View) -> DiagnosedCause | None:
    """Return the cause that is worth removing first, None where the guard itself is in trouble, or
    no cause is known.
    """
    entry = escalating(view.incident)
    if entry is not None and entry.is_trouble:
        return None
    return next(iter(view.incident.causes), None)


def _read(text: str) -> Owner:
    match = _WITH_ID.fullmatch(text)
    return Owner(match["name"] or match["slack_id"], match["slack_id"]) if match else Owner(text)
