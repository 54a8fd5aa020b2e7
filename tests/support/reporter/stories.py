"""Builders of an incident's story: alarms, and runs of the responder, by the minute."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

from connection_guard.core.incident.entry import (
    FAILURE,
    GUARD_ALARM,
    Alarm,
    Entry,
    Reopened,
    SessionGroup,
    Usage,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.lifecycle import absorb
from connection_guard.core.notification.timeline import timeline_of
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from tests.support.builders import NOW

TARGET = 70


USABLE = 100


_requests = count(1)


def an_entry(
    kind: str = Kind.OBSERVATION, *, minute: float, used: int | None = None, **changes: Any
) -> Entry:
    """Return a run of that minute after NOW that last saw so many of 100 connections in use; the
    target is 70 %.
    """
    usage = None if used is None else Usage(used, USABLE)
    entry = Entry(
        request_id=f"run-{next(_requests)}",
        at=NOW + timedelta(minutes=minute),
        kind=kind,
        headline="orders-prod: what happened",
        is_below_target=None if used is None else used < TARGET,
        before=usage,
    )
    return replace(entry, **changes)


def an_alarm(tier: Tier, state: str = "ALARM") -> Alarm:
    return Alarm(f"orders-prod {tier}", f"arn:{tier}", state, tier)


def in_alarm(tier: Tier, *, minute: float, used: int, **changes: Any) -> Entry:
    """Return a run whose policy only observes, or allows nobody to be terminated."""
    changes = {"explanation": "the policy only observes at warning", **changes}
    return an_entry(minute=minute, used=used, alarm=an_alarm(tier), tier=tier, **changes)


def alarm_ok(tier: Tier, *, minute: float, used: int) -> Entry:
    return an_entry(
        minute=minute, used=used, alarm=an_alarm(tier, "OK"), explanation="the alarm's state is OK"
    )


def a_group(
    sessions: int = 12, *, rule: str = "aborted transactions", application: str = "invoices"
) -> SessionGroup:
    return SessionGroup(
        rule, "idle in transaction for 9 min", "shop", application, "idle in transaction", sessions
    )


def an_attempt(
    *, minute: float, before: int, after: int, attempt: int = 1, **changes: Any
) -> Entry:
    """Return a run that terminated the difference."""
    changes = {"terminated": (a_group(before - after),), "after": Usage(after, USABLE), **changes}
    below = after < TARGET
    entry = an_entry(
        Kind.REMEDIATION, minute=minute, used=before, attempt=attempt, tier=Tier.CRITICAL, **changes
    )
    return replace(entry, is_below_target=below, has_recovered=below)


def recovered(*, minute: float, used: int = 31) -> Entry:
    """Return a heartbeat that found usage below the target again."""
    return an_entry(minute=minute, used=used, has_recovered=True)


def locked_out(*, minute: float, **changes: Any) -> Entry:
    return an_entry(Kind.LOCKED_OUT, minute=minute, escalation="no door opened", **changes)


def a_failure(*, minute: float, **changes: Any) -> Entry:
    return an_entry(
        FAILURE, minute=minute, escalation="the responder was killed: look at its memory", **changes
    )


def a_guard_alarm(name: str, state: str, *, minute: float, **changes: Any) -> Entry:
    """Return a change of an alarm about the guard itself."""
    alarm = Alarm(name, f"arn:{name}", state, None, NOW + timedelta(minutes=minute))
    escalation = f"{name}: see the log" if state == "ALARM" else None
    changes = {"escalation": escalation, "escalation_code": escalation and name, **changes}
    return an_entry(GUARD_ALARM, minute=minute, alarm=alarm, **changes)


def absorbed(entries: Iterable[Entry], current: Incident | None = None) -> Incident:
    """Return what comes of the entries, in this order."""
    for entry in entries:
        current = absorb(
            current, entry, database="orders-prod", new_id=f"by {entry.request_id}"
        ).latest
    assert current is not None
    return current


def sentences(incident: Incident) -> list[str]:
    return [sentence for _, sentence in timeline_of(incident)]


def a_whole_story() -> list[Entry]:
    """75 %, then 90 %, two attempts of which one's pool storms back, recovery, both alarms' end."""
    pool = Reopened("shop", "checkout", 40, 38)
    return [
        in_alarm(Tier.WARNING, minute=0, used=77, would_terminate=(a_group(8),)),
        an_attempt(minute=2, before=97, after=95, alarm=an_alarm(Tier.CRITICAL), reopened=(pool,)),
        an_attempt(minute=3, before=96, after=84, attempt=2),
        alarm_ok(Tier.CRITICAL, minute=5, used=80),
        an_attempt(minute=6, before=80, after=66, attempt=3),
        alarm_ok(Tier.WARNING, minute=9, used=31),
    ]


def changed(entry: Entry, minute: float) -> Entry:
    """Return the entry as CloudWatch dates it, whenever the run took place."""
    assert entry.alarm is not None
    return replace(entry, alarm=replace(entry.alarm, changed_at=NOW + timedelta(minutes=minute)))
