"""A marked test incident through every channel: what `make notify-test` shows."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.entry import Entry, Usage
from connection_guard.core.incident.incident import Incident
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from reporter.notifier import Notifier

DATABASE = "TEST-nothing-is-wrong"
HEADLINE = f"{DATABASE}: this is a test of Connection Guard's notifications; nothing is wrong"


def test_channels(notifier: Notifier, now: datetime) -> Mapping[str, Any]:
    """Return what each channel answered to an incident that began and is resolved, and is not
    stored.
    """
    database = WatchedDatabase(DATABASE, is_cluster=False, function_name=DATABASE)
    opened = _entry("opened", now, Usage(80, 97))
    resolved = _entry("resolved", now + timedelta(seconds=1), Usage(40, 97), has_recovered=True)
    name = f"{now:%Y%m%dT%H%M%S}-test"
    errors: dict[str, str | None] = {}
    for entries in ((opened,), (opened, resolved)):
        incident = Incident(DATABASE, name, entries, version=len(entries))
        answers = notifier.test(database, incident)
        errors |= {each: errors.get(each) or error for each, error in answers.items()}
    return {
        "channels": [
            {"channel": name, "answer": "delivered"}
            if error is None
            else {"channel": name, "error": error}
            for name, error in errors.items()
        ]
    }


def _entry(name: str, at: datetime, usage: Usage, *, has_recovered: bool = False) -> Entry:
    return Entry(
        request_id=name,
        at=at,
        kind=Kind.OBSERVATION,
        headline=HEADLINE,
        tier=Tier.WARNING,
        has_recovered=has_recovered,
        is_below_target=has_recovered,
        before=usage,
        explanation=HEADLINE,
    )
