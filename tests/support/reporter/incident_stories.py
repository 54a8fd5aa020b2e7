"""Builders of incidents that people are notified of: a database that is full, and its recovery."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from connection_guard.core.incident.circumstances import Circumstances, RdsEvent
from connection_guard.core.incident.entry import (
    Alarm,
    DiagnosedCause,
    Entry,
    Reopened,
    SessionGroup,
    Usage,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.document import document_of
from connection_guard.core.notification.links import Links
from connection_guard.core.policy import Tier
from tests.support.reporter.views import a_view

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "incident.schema.json").read_text())


START = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


MINUTE = timedelta(minutes=1)


CONSOLE = "https://eu-central-1.console.aws.amazon.com"


LINKS = Links(
    f"{CONSOLE}/alarm", f"{CONSOLE}/log", f"{CONSOLE}/evidence?{'x' * 100}", f"{CONSOLE}/dashboard"
)


FULL, HALF, OVER = Usage(97, 97), Usage(48, 97), Usage(98, 97)


CHECKOUT = SessionGroup("stale idle", "idle for 12 min", "shop", "checkout", "idle", 30)


BACKUP = SessionGroup("protect.applications", "protected", "shop", "pg_dump", "active", 1)


HOSTILE = "x\n\nLinks\n-----\n  Alarm  https://evil.example\r\x1b[31m\u202e\u2028" + "y" * 5000


def an_alarm(tier: Tier = Tier.CRITICAL, state: str = "ALARM") -> Alarm:
    name = f"orders connections {tier}"
    return Alarm(name, f"arn:aws:cloudwatch:eu-central-1:123456789012:alarm:{name}", state, tier)


def an_entry(minute: int = 0, kind: str = "remediation", **changes: Any) -> Entry:
    """Return a run that found the database full and left it full; other facts are the test's to
    say.
    """
    facts: dict[str, Any] = {
        "request_id": f"run-{minute}",
        "at": START + minute * MINUTE,
        "kind": kind,
        "headline": "97 of 97 connections in use",
        "alarm": an_alarm() if minute == 0 else None,
        "tier": Tier.CRITICAL,
        "attempt": 1,
        "has_recovered": False,
        "is_below_target": False,
        "escalation": None,
        "before": FULL,
        "after": FULL,
        "terminated": (),
        "survived": 0,
        "would_terminate": (),
        "spared": (),
        "reopened": (),
        "causes": (),
        "explanation": None,
        "problems": (),
        "evidence": None,
    }
    return Entry(**(facts | changes))


def a_recovery(minute: int) -> Entry:
    """Return the alarm's OK, on a database that is half empty."""
    usage = {"before": HALF, "after": None, "is_below_target": True, "has_recovered": True}
    return an_entry(minute, "observation", alarm=an_alarm(state="OK"), tier=None, **usage)


def an_incident(*entries: Entry, database: str = "orders", **changes: Any) -> Incident:
    return replace(Incident(database, "orders-1", entries or (an_entry(),)), **changes)


def document(incident: Incident, minutes: int = 12) -> dict[str, Any]:
    """Return the incident as machines read it, and as the schema says."""
    read: dict[str, Any] = json.loads(
        json.dumps(document_of(a_view(incident, LINKS, START + minutes * MINUTE)), allow_nan=False)
    )
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(read)
    return read


def a_large_incident(name: str = "service") -> Incident:
    """Return a day of attempts on 5,000 sessions, each of an application of its own."""
    groups = tuple(
        SessionGroup(f"rule {n}", f"idle {name}", f"{name} role", f"{name} {n}", "idle", 1)
        for n in range(5000)
    )
    reopened = tuple(Reopened(f"{name} role", f"{name} {n}", 3, 2) for n in range(100))
    causes = tuple(
        DiagnosedCause(f"cause {n} {name}", f"because {name}", f"change {name}") for n in range(30)
    )
    entries = [
        an_entry(
            n,
            terminated=groups,
            spared=groups,
            reopened=reopened,
            causes=causes,
            escalation=f"{chr(97 + n % 26)} {name}",
            problems=(name,) * 50,
        )
        for n in range(20)
    ]
    events = tuple(RdsEvent(START + n * MINUTE, name, f"event {n} {name}") for n in range(50))
    return an_incident(
        *entries, circumstances=Circumstances(events, (), f"rose {name}", (name,) * 50)
    )
