"""What an incident keeps of a delivery: a run in a few KB, and a failure in words that say what to
do.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connection_guard.core.database.session import Pool
from connection_guard.core.decision.outcome import Reconnection, reopening_applications
from connection_guard.core.deployment.alarm import AlarmState
from connection_guard.core.incident.delivery import Delivery, FailureDelivery, ReportDelivery
from connection_guard.core.incident.incident import (
    FAILURE,
    Alarm,
    Cause,
    Entry,
    Incident,
    Reopened,
    SessionGroup,
    Usage,
    merged,
)
from connection_guard.core.incident.item import body_of, incident_of
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind

MOST_GROUPS = 10
MOST_LINES = 5
LINE_LENGTH = 400

OTHERS = "others"
"""The rule, role and application of the group of all sessions that found no room, or that the
Report did not list.
"""

# What Lambda says of a function that it had to end.
# https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
_TIMED_OUT = re.compile(r"Task timed out after ([\d.]+) seconds")
# The function was not called; or its code raised this before it looked at anything.
_CALLED_NOTHING = frozenset({"EventAgeExceeded", "ZeroReservedConcurrency"})
_RAISED_AT_ONCE = frozenset({"ForeignEventError", "ConfigurationError"})
_OUT_OF_MEMORY = re.compile(r"signal: killed|OutOfMemory|MemoryError", re.IGNORECASE)

Row = Mapping[str, Any]


def entry_of(delivery: Delivery, *, evidence: str | None) -> Entry:
    """A Report that is not as its schema has it is a failure, told with its headline."""
    if isinstance(delivery, FailureDelivery):
        return _failure(delivery, evidence)
    try:
        entry = _run(delivery, evidence)
        # What cannot be read again would make its whole incident unreadable, and with it every
        # later one.
        incident_of(body_of(Incident(delivery.database, delivery.request_id, (entry,))))
        return entry
    except (LookupError, TypeError, ValueError, AttributeError) as wrong:
        problem = (
            f"a report of kind {delivery.kind} is malformed ({type(wrong).__name__}: {wrong}): "
            f"{delivery.headline}"
        )
        trouble = _trouble(
            delivery.request_id, delivery.received_at, delivery.headline, problem, None, evidence
        )
        return replace(trouble, has_unknown_outcomes=delivery.kind == Kind.REMEDIATION)


def _run(delivery: ReportDelivery, evidence: str | None) -> Entry:
    report = delivery.report
    before, after = _usage(report["before"]), _usage(report["after"])
    outcomes, omitted = report["outcomes"], report["omitted"]
    terminated = merged(_group(row, 1) for row in report["terminated"])
    would_terminate = merged(_group(row, 1) for row in report["would_terminate"])
    spared = [
        _group(row, row["sessions"]) for row in (*report["spared"], *report["spared_of_proxy"])
    ]
    problems = [
        f"{door['door']} door: {door['error']}" for door in report["doors"] if door["error"]
    ]
    return Entry(
        request_id=delivery.request_id,
        at=delivery.received_at,
        kind=delivery.kind,
        headline=_cut(delivery.headline),
        alarm=_alarm(report["event"]),
        tier=Tier(report["tier"]) if report["tier"] else None,
        attempt=report["attempt"],
        has_recovered=report["recovered"],
        is_below_target=report["recovered"]
        or _is_below(after or before, report.get("target_percent")),
        escalation=report["escalation"] and _cut(report["escalation"]),
        before=before,
        after=after,
        terminated=_bounded(terminated, outcomes["terminated"]),
        survived=outcomes["survived"],
        would_terminate=_bounded(
            would_terminate, len(report["would_terminate"]) + omitted["would_terminate"]
        ),
        spared=_bounded(spared, report["verdicts"]["spare"] if report["verdicts"] else 0),
        reopened=_reopened(report["reconnections"]),
        causes=tuple(
            Cause(row["cause"], _cut(row["summary"]), _cut(row["advice"]))
            for row in report["diagnoses"][:MOST_LINES]
        ),
        explanation=report["explanation"] and _cut(report["explanation"]),
        problems=_lines([*report["problems"], *problems], omitted["problems"]),
        evidence=evidence,
        has_unknown_outcomes=outcomes["unknown"] > 0,
    )


def _failure(delivery: FailureDelivery, evidence: str | None) -> Entry:
    what, look = _failed(delivery)
    trouble = _trouble(
        delivery.request_id,
        delivery.failed_at,
        what,
        f"{what}: {look}",
        _alarm_left_undone(delivery.record),
        evidence,
    )
    did_nothing = delivery.condition in _CALLED_NOTHING or delivery.error_type in _RAISED_AT_ONCE
    return replace(trouble, has_unknown_outcomes=not did_nothing)


def _trouble(
    request_id: str,
    at: datetime,
    headline: str,
    escalation: str,
    alarm: Alarm | None,
    evidence: str | None,
) -> Entry:
    """Nothing is known but that people have to look."""
    return Entry(
        request_id=request_id,
        at=at,
        kind=FAILURE,
        headline=_cut(headline),
        alarm=alarm,
        tier=None,
        attempt=0,
        has_recovered=False,
        is_below_target=None,
        escalation=_cut(escalation),
        before=None,
        after=None,
        terminated=(),
        survived=0,
        would_terminate=(),
        spared=(),
        reopened=(),
        causes=(),
        explanation=None,
        problems=(),
        evidence=evidence,
    )


def _failed(delivery: FailureDelivery) -> tuple[str, str]:
    """What became of the responder, and what to look at."""
    error = " ".join((delivery.error or "").split())
    match delivery.condition:
        case "EventAgeExceeded":
            return (
                "the responder did not run within 5 minutes",
                "look whether Lambda throttles it (it runs one at a time: an earlier run may hang)",
            )
        case "ZeroReservedConcurrency":
            return (
                "the responder may not run",
                "somebody set its reserved concurrency to 0; set it to 1",
            )
    if timed_out := _TIMED_OUT.search(error):
        seconds = f"{float(timed_out[1]):g}"
        return (
            f"the responder ran out of time after {seconds} s",
            "look in its log for the last thing it did; the database may have stopped answering",
        )
    if _OUT_OF_MEMORY.search(f"{delivery.error_type} {error}"):
        return (
            "the responder was killed: out of memory",
            "look at the memory that its log's last REPORT line tells",
        )
    if delivery.error_type and not delivery.error_type.startswith("Runtime."):
        return (
            f"the responder raised {delivery.error_type}: {_cut(error, 200)}",
            "look in its log for where",
        )
    return (
        f"the responder failed: {_cut(error, 200) or delivery.condition}",
        "look in its log for why",
    )


def _alarm_left_undone(record: Row) -> Alarm | None:
    """The alarm that the responder failed over, where it was one: as SNS delivered it."""
    try:
        message = json.loads(record["requestPayload"]["Records"][0]["Sns"]["Message"])
        return Alarm(
            _cut(message["AlarmName"]),
            message["AlarmArn"],
            str(AlarmState(message["NewStateValue"])),
            changed_at=_moment(message.get("StateChangeTime")),
        )
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, RecursionError):
        return None


def _alarm(event: Row) -> Alarm | None:
    """Old news of an alarm is none: only its end is the end, however late."""
    alarm = event["alarm"]
    is_old = event["is_stale"] or event["is_duplicate"]
    if alarm is None or (is_old and alarm["state"] == AlarmState.ALARM):
        return None
    return Alarm(
        _cut(alarm["name"]),
        alarm["arn"],
        alarm["state"],
        Tier(alarm["tier"]),
        _moment(event.get("at")),
    )


def _moment(text: object) -> datetime | None:
    """None for what is no time with a zone: the run's own time then stands in for it."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def _usage(row: Row | None) -> Usage | None:
    return Usage(row["used"], row["usable"]) if row else None


def _is_below(usage: Usage | None, target_percent: float | None) -> bool | None:
    return usage.percent < target_percent if usage and target_percent is not None else None


def _group(row: Row, sessions: int) -> SessionGroup:
    return SessionGroup(
        rule=_cut(row["rule"], 100),
        reason=_cut(row["reason"], 200),
        role=row["role"],
        application=row["application"],
        state=row["state"],
        sessions=sessions,
    )


def _bounded(groups: Iterable[SessionGroup], sessions: int) -> tuple[SessionGroup, ...]:
    """The largest groups; all other sessions of so many are one more."""
    largest = tuple(sorted(groups, key=lambda group: -group.sessions)[:MOST_GROUPS])
    rest = sessions - sum(group.sessions for group in largest)
    if rest <= 0:
        return largest
    return (*largest, SessionGroup(OTHERS, "not listed one by one", OTHERS, OTHERS, None, rest))


def _reopened(rows: Iterable[Row]) -> tuple[Reopened, ...]:
    """The applications that it frees next to nothing to terminate sessions of."""
    pools = [
        Reconnection(
            Pool(row["role"], row["application"], row["client"]), row["terminated"], row["reopened"]
        )
        for row in rows
    ]
    terminated, reopened = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for name, each_pool in reopening_applications(pools).items():
        terminated[name] = sum(each.terminated for each in each_pool)
        reopened[name] = sum(each.reopened for each in each_pool)
    return tuple(
        Reopened(role, application, terminated[role, application], count)
        for (role, application), count in reopened.most_common(MOST_GROUPS)
    )


def _lines(lines: Sequence[str], omitted: int) -> tuple[str, ...]:
    rest = len(lines) - MOST_LINES + omitted
    more = (f"and {rest} more",) if rest > 0 else ()
    return (*(_cut(line) for line in lines[:MOST_LINES]), *more)


def _cut(text: str, length: int = LINE_LENGTH) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
