"""What an incident keeps of a delivery: a run in a few KB, and a failure in words that say what to
do.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from connection_guard.core.database.pause import Pause
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.incident.delivery import (
    Delivery,
    FailureDelivery,
    GuardAlarmDelivery,
    ReportDelivery,
    moment,
)
from connection_guard.core.incident.entry import (
    LINE_LENGTH,
    Alarm,
    DiagnosedCause,
    Entry,
    Reopened,
    SessionGroup,
    Usage,
    merged,
    the_rest,
)
from connection_guard.core.incident.failure_entry import (
    failure_entry,
    guard_alarm_entry,
    trouble_entry,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import body_of, incident_of
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from connection_guard.core.words import cut

MOST_GROUPS = 10
MOST_LINES = 5

# The longest name: PostgreSQL's own have 63 bytes.
NAME_LENGTH = 100

Row = Mapping[str, Any]


def entry_of(delivery: Delivery, *, evidence: str | None) -> Entry:
    """Return the entry of a delivery; a Report that is not as its schema says is a failure, with
    its headline. `evidence` is the key of its object in the evidence bucket.
    """
    if isinstance(delivery, FailureDelivery):
        return failure_entry(delivery, evidence)
    if isinstance(delivery, GuardAlarmDelivery):
        return guard_alarm_entry(delivery, evidence)
    try:
        entry = _run(delivery, evidence)
        # An entry that cannot be read again would make its whole incident unreadable, and with it
        # every later one.
        incident_of(body_of(Incident(delivery.database, delivery.request_id, (entry,))))
        return entry
    except (LookupError, TypeError, ValueError, AttributeError) as wrong:
        what = f"a report of kind {delivery.kind} is malformed"
        malformed = trouble_entry(
            delivery.request_id,
            delivery.received_at,
            headline=what,
            escalation=f"{what} ({type(wrong).__name__}: {wrong}): {delivery.headline}",
            escalation_code=f"malformed {delivery.kind}",
            evidence=evidence,
        )
        return replace(malformed, has_unknown_outcomes=delivery.kind == Kind.REMEDIATION)


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
        headline=_line(delivery.headline),
        alarm=_alarm(report["event"]),
        tier=Tier(report["tier"]) if report["tier"] else None,
        attempt=report["attempt"],
        has_recovered=report["recovered"],
        is_below_target=report["recovered"]
        or _is_below(after or before, report.get("target_percent")),
        escalation=report["escalation"] and _line(report["escalation"]),
        escalation_code=report.get("escalation_code"),
        before=before,
        after=after,
        terminated=_bounded(terminated, outcomes["terminated"]),
        survived=outcomes["survived"],
        would_terminate=_bounded(
            would_terminate, len(report["would_terminate"]) + omitted["would_terminate"]
        ),
        spared=_bounded(spared, report["verdicts"]["spare"] if report["verdicts"] else 0),
        reopened=_reopened(report["reconnections"]),
        causes=tuple(map(_cause, report["diagnoses"][:MOST_LINES])),
        explanation=report["explanation"] and _line(report["explanation"]),
        problems=_lines([*report["problems"], *problems], omitted["problems"]),
        evidence=evidence,
        has_unknown_outcomes=outcomes["unknown"] > 0,
        is_engaged=report.get("engaged", False),
        restraint=report.get("restraint"),
        refused_a_login=bool(report["before"] and report["before"].get("refused_a_login")),
        pause=_pause(report.get("pause")),
    )


def _pause(row: Row | None) -> Pause | None:
    return Pause(moment(row["until"]), _line(row["note"])) if row else None


def _cause(row: Row) -> DiagnosedCause:
    figures = row["evidence"]
    return DiagnosedCause(
        _name(row["cause"]),
        _line(row["summary"]),
        _line(row["advice"]),
        sessions=row["sessions"],
        role=_named(figures, "role"),
        application=_named(figures, "application"),
        clients=figures.get("clients", 0),
        largest_client=_named(figures, "largest client"),
    )


def _alarm(event: Row) -> Alarm | None:
    """Return the alarm that the run answered. An ALARM that came late or twice does not count; an
    OK counts however late it is.
    """
    alarm = event["alarm"]
    is_old = event["is_stale"] or event["is_duplicate"]
    if alarm is None or (is_old and alarm["state"] == AlarmState.ALARM):
        return None
    return Alarm(
        _line(alarm["name"]),
        alarm["arn"],
        alarm["state"],
        Tier(alarm["tier"]),
        moment(event.get("at")),
    )


def _usage(row: Row | None) -> Usage | None:
    return Usage(row["used"], row["usable"]) if row else None


def _is_below(usage: Usage | None, target_percent: float | None) -> bool | None:
    return usage.percent < target_percent if usage and target_percent is not None else None


def _group(row: Row, sessions: int) -> SessionGroup:
    return SessionGroup(
        rule=cut(row["rule"], 100),
        reason=cut(row["reason"], 200),
        role=_name(row["role"]),
        application=_name(row["application"]),
        state=row["state"] and _name(row["state"]),
        sessions=sessions,
    )


def _bounded(groups: Iterable[SessionGroup], sessions: int) -> tuple[SessionGroup, ...]:
    """Return the largest groups, and one more for the rest of the `sessions`."""
    largest = tuple(sorted(groups, key=lambda group: -group.sessions)[:MOST_GROUPS])
    return the_rest(largest, sessions)


def _reopened(rows: Iterable[Row]) -> tuple[Reopened, ...]:
    """Return the applications for which terminating sessions frees next to nothing.

    A Report of an older version does not say which they are.
    """
    terminated, reopened = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows:
        if row.get("reopens", False):
            application = _name(row["role"]), _name(row["application"])
            terminated[application] += row["terminated"]
            reopened[application] += row["reopened"]
    return tuple(
        Reopened(role, application, terminated[role, application], count)
        for (role, application), count in reopened.most_common(MOST_GROUPS)
    )


def _lines(lines: Sequence[str], omitted: int) -> tuple[str, ...]:
    rest = len(lines) - MOST_LINES + omitted
    more = (f"and {rest} more",) if rest > 0 else ()
    return (*(_line(line) for line in lines[:MOST_LINES]), *more)


def _line(text: str) -> str:
    return cut(text, LINE_LENGTH)


def _name(text: str) -> str:
    return cut(text, NAME_LENGTH)


def _named(figures: Row, name: str) -> str | None:
    value = figures.get(name)
    return _name(value) if isinstance(value, str) else None
