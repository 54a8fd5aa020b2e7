"""Builders of incidents: each gives a plausible value, so that a test names only what its story is
about.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

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
from connection_guard.core.notification.links import Links
from connection_guard.core.policy import Tier
from tests.support.builders import CRITICAL_ALARM, WARNING_ALARM

OPENED = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)

CONSOLE = "https://eu-central-1.console.aws.amazon.com"
LINKS = Links(
    alarm=f"{CONSOLE}/cloudwatch/home?region=eu-central-1#alarmsV2:alarm/orders-prod%20connections%20critical",
    logs=f"{CONSOLE}/cloudwatch/home?region=eu-central-1#logsV2:log-groups/log-group/orders",
    evidence=f"{CONSOLE}/s3/object/evidence?region=eu-central-1&prefix=evidence/1.jsonl.gz",
    dashboard=f"{CONSOLE}/cloudwatch/home?region=eu-central-1#dashboards/dashboard/connection-guard",
)

LEAK = DiagnosedCause(
    "leak", "30 sessions of invoices idle for hours", "Give the pool of invoices an idle timeout"
)


def an_alarm(tier: Tier = Tier.CRITICAL, state: str = "ALARM") -> Alarm:
    arn = CRITICAL_ALARM if tier is Tier.CRITICAL else WARNING_ALARM
    return Alarm(arn.rpartition(":")[2], arn, state, tier)


def a_group(sessions: int = 30, *, application: str = "invoices", **changes: Any) -> SessionGroup:
    facts: dict[str, Any] = {
        "rule": "stuck in transaction",
        "reason": "idle in transaction for 12 min",
        "role": "shop",
        "state": "idle in transaction",
    }
    return SessionGroup(application=application, sessions=sessions, **(facts | changes))


def an_entry(minute: float = 0, kind: str = "remediation", **changes: Any) -> Entry:
    """Return a remediation that freed 30 of 97 connections, that many minutes after three
    o'clock.
    """
    is_remediation = kind == "remediation"
    facts: dict[str, Any] = {
        "request_id": f"run-{minute}",
        "at": OPENED + timedelta(minutes=minute),
        "kind": kind,
        "headline": "orders-prod: 97 of 97 connections in use; terminated 30, now 67 of 97",
        "alarm": None,
        "tier": Tier.CRITICAL,
        "attempt": 1 if is_remediation else 0,
        "has_recovered": False,
        "is_below_target": None,
        "escalation": None,
        "before": Usage(97, 97),
        "after": Usage(67, 97) if is_remediation else None,
        "terminated": (a_group(),) if is_remediation else (),
        "survived": 0,
        "would_terminate": (),
        "spared": (
            a_group(
                1, application="pg_dump", rule="protect", reason="its application is protected"
            ),
        ),
        "reopened": (),
        "causes": (LEAK,),
        "explanation": None,
        "problems": (),
        "evidence": "evidence/1.jsonl.gz",
    }
    return Entry(**(facts | changes))


def an_escalation(minute: float, why: str = "attempts have run out", **changes: Any) -> Entry:
    return an_entry(minute, escalation=why, is_below_target=False, **changes)


def a_recovery(minute: float) -> Entry:
    """Return the critical alarm's OK, with live usage below the target."""
    ok = an_alarm(state="OK")
    return an_entry(
        minute,
        "observation",
        alarm=ok,
        before=Usage(50, 97),
        has_recovered=True,
        is_below_target=True,
        causes=(),
    )


def an_incident(*entries: Entry, **changes: Any) -> Incident:
    """By default of one remediation, which answered the critical alarm."""
    entries = entries or (an_entry(alarm=an_alarm()),)
    return Incident("orders-prod", "2026-11-20T03:00-orders-prod", entries, **changes)


def a_context(**changes: Any) -> Circumstances:
    """Return a climb over three hours, and a failover."""
    facts: dict[str, Any] = {
        "events": (
            RdsEvent(
                OPENED - timedelta(minutes=20),
                "orders-prod",
                "Multi-AZ instance failover completed",
            ),
        ),
        "usage": tuple((OPENED - timedelta(minutes=180 - i), i / 2) for i in range(0, 180, 5)),
        "trend": "a steady climb over 3 h: a leak",
        "problems": (),
    }
    return Circumstances(**(facts | changes))


def a_pool_that_reopens() -> DiagnosedCause:
    """Return what terminating proved of checkout, which holds 87 of 97 connections."""
    who = 'application "checkout" (role "shop")'
    return DiagnosedCause(
        "pool reopens",
        f"30 sessions of {who} were terminated, and the pool reopened 24",
        f"Terminate no more sessions of {who}: lower its minimum pool size by 24",
        sessions=24,
        role="shop",
        application="checkout",
        clients=1,
        largest_client="10.0.1.10",
    )


def an_attempt_that_is_undone(minute: float) -> Entry:
    """Return a run that freed 30 connections, of which checkout took 24 again, and others the rest;
    every other session is spared.
    """
    return an_entry(
        minute,
        alarm=an_alarm(),
        after=Usage(97, 97),
        terminated=(a_group(30, application="checkout"),),
        spared=(a_group(57, application="checkout"), a_group(10, application="pg_dump")),
        reopened=(Reopened("shop", "checkout", 30, 24),),
        causes=(a_pool_that_reopens(),),
        is_below_target=False,
        is_engaged=True,
    )


def given_up(*, attempts: int) -> list[Entry]:
    """Return a run per minute, of which the first is undone and the last gives up."""
    first = an_attempt_that_is_undone(0)
    futile = [
        replace(
            first,
            request_id=f"run-{minute}",
            at=OPENED + timedelta(minutes=minute),
            alarm=None,
            attempt=minute + 1,
            terminated=(),
            reopened=(),
            causes=(),
        )
        for minute in range(1, attempts)
    ]
    last = replace(
        futile.pop(),
        is_engaged=False,
        escalation=f"still at 100 % after {attempts} attempts",
        escalation_code="attempts used",
    )
    return [first, *futile, last]
