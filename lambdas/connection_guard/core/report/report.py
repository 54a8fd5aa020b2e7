"""The Report: what a run saw, decided and did, as JSON. Its fields are described in
docs/report.schema.json.
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import nlargest
from itertools import accumulate, takewhile
from math import ceil
from typing import Any

from connection_guard import __version__
from connection_guard.core.database.capacity import ConnectionLimit
from connection_guard.core.database.door import DoorAttempt
from connection_guard.core.database.session import Session
from connection_guard.core.database.snapshot import Measurement, Server, Snapshot
from connection_guard.core.decision.outcome import Reconnection, Result
from connection_guard.core.decision.plan import Restraint, Verdict
from connection_guard.core.deployment.alarm import AlarmNotification
from connection_guard.core.diagnosis.cause import Diagnosis
from connection_guard.core.diagnosis.remedy import Wording, worded
from connection_guard.core.policy import Action
from connection_guard.core.report.evidence import pack_evidence
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.run import Run
from connection_guard.core.words import printable

SCHEMA_VERSION = 1

# Lambda sends it to its destination together with the event that it answers, and SNS takes 256 KiB.
MOST_BYTES = 200_000

# What each list may take of it, so that none crowds out another. At least 15,000 bytes are left to
# the evidence, which takes whatever the others do not need: no run has both sessions that it
# terminated and such that it only would.
LIST_BYTES = {
    "terminated": 70_000,
    "would_terminate": 70_000,
    "other_outcomes": 16_000,
    "spared": 32_000,
    "spared_of_proxy": 8_000,
    "reconnections": 8_000,
    "doors": 5_000,
    "diagnoses": 12_000,
    "problems": 6_000,
}
LINE_BYTES = 1_000
HEADLINE_BYTES = 500
# No name of PostgreSQL's is ever cut: at most 63 bytes, each a control character that JSON spells
# in six.
NAME_BYTES = 400
BACKEND_TYPE_BYTES = 100
MOST_BACKEND_TYPES = 20
MOST_LIMITS = 10
MOST_FIGURES = 10

NEAR_FULL_PERCENT = 75

Row = dict[str, Any]


def write_report(run: Run, wording: Wording) -> dict[str, Any]:
    """The Report of a run, JSON-ready: at most 200,000 bytes of it, however its non-ASCII
    characters are spelled. `wording` words the remedies of its diagnoses.
    """
    rows: dict[str, Sequence[Any]] = {
        "terminated": [
            _session(o.verdict, run) for o in run.outcomes if o.result is Result.TERMINATED
        ],
        "other_outcomes": [
            {"result": o.result, **_session(o.verdict, run)}
            for o in run.outcomes
            if o.result is not Result.TERMINATED
        ],
        "would_terminate": [_session(verdict, run) for verdict in _restrained(run)],
        "spared": _spared(run, is_owned_by_proxy=False),
        "spared_of_proxy": _spared(run, is_owned_by_proxy=True),
        "reconnections": [_reconnection(each) for each in run.reconnections],
        "doors": [_door(attempt) for attempt in run.doors],
        "diagnoses": [_diagnosis(diagnosis, wording) for diagnosis in run.diagnoses],
        "problems": [_sentence(problem) for problem in run.problems],
    }
    lists = {name: _bounded(rows[name], most_bytes) for name, most_bytes in LIST_BYTES.items()}
    report = {
        "schema_version": SCHEMA_VERSION,
        "guard_version": __version__,
        "kind": run.kind,
        "database": run.database,
        "headline": _headline(run),
        "received_at": run.received_at.isoformat(),
        "event": _event(run),
        "target_percent": run.target_percent,
        "tier": run.tier,
        "attempt": run.attempt,
        "engaged": run.engaged,
        "recovered": run.recovered,
        "escalation": run.escalation and _sentence(run.escalation),
        "restraint": run.plan.restraint if run.plan else None,
        "explanation": _sentence(run.plan.explanation) if run.plan else None,
        "minutes_to_full": run.minutes_to_full and round(run.minutes_to_full, 1),
        "server": _server(run.measurement.server) if run.measurement else None,
        "before": _usage(run.measurement, run.before),
        "after": _usage(run.after),
        "verdicts": _verdicts(run),
        "outcomes": {result: sum(o.result is result for o in run.outcomes) for result in Result},
        **lists,
        "omitted": {name: len(rows[name]) - len(lists[name]) for name in lists},
        "seat_held": run.seat_held,
        "reconnected": run.reconnected,
        "seconds": {phase: round(seconds, 3) for phase, seconds in run.seconds.items()},
        "evidence": None,
    }
    report["evidence"] = pack_evidence(run, MOST_BYTES - _size(report))
    return report


def _headline(run: Run) -> str:
    """One line for a person in a hurry."""
    parts = [_in_use(run) + _forecast(run)]
    is_no_alarm = run.plan is not None and run.plan.restraint is Restraint.NOT_AN_ALARM
    match run.kind:
        case Kind.REMEDIATION:
            now = (
                f"now {run.after.used} of {run.after.capacity.usable}"
                if run.after
                else "not looked at since"
            )
            parts.append(f"{_results(run)}, {now}")
        case Kind.OBSERVATION if is_no_alarm and isinstance(run.event, AlarmNotification):
            parts.append(f"the alarm is {run.event.state}")
        case Kind.OBSERVATION if run.plan and run.plan.restraint:
            would = f": {len(run.plan.chosen)} would be" if run.plan.chosen else ""
            parts.append(f"nothing terminated ({run.plan.restraint}{would})")
        case Kind.PREFLIGHT_FAILED:
            parts.append("cannot act")
        case Kind.LOCKED_OUT:
            errors = [
                f"{each.door} door: {_text(each.error, NAME_BYTES // 2)}"
                for each in run.doors
                if each.error
            ]
            parts = ["locked out", *errors]
    if run.recovered:
        parts.append("below target again")
    if run.escalation:
        parts.append(run.escalation)
    headline = f"{run.database}: {'; '.join(part for part in parts if part)}"
    return _sentence(headline, HEADLINE_BYTES)


def _in_use(run: Run) -> str:
    if run.measurement is None:
        return ""
    seen = run.before or run.measurement
    logins, refused = run.measurement.logins_in_progress, run.measurement.refused_a_login
    by_logins = f", {logins} of them by logins in progress" if logins else ""
    yet_refused = ", and a login was refused" if refused else ""
    return (
        f"{seen.used} of {run.measurement.capacity.usable} connections in "
        f"use{by_logins}{yet_refused}"
    )


def _forecast(run: Run) -> str:
    """Only where nothing was terminated: after that the rate is another."""
    if run.minutes_to_full is None or run.outcomes:
        return ""
    return f", full in about {ceil(run.minutes_to_full)} min at this rate"


def _results(run: Run) -> str:
    counts = Counter(outcome.result for outcome in run.outcomes)
    others = [
        f"{counts[result]} {result}"
        for result in Result
        if counts[result] and result is not Result.TERMINATED
    ]
    return ", ".join([f"terminated {counts[Result.TERMINATED]}", *others])


def _restrained(run: Run) -> Sequence[Verdict]:
    """Whom the plan chose and its restraint let be."""
    return run.plan.chosen if run.plan and run.plan.restraint and not run.outcomes else ()


def _event(run: Run) -> Row:
    event = run.event
    return {
        "key": _text(event.key),
        "type": "alarm" if isinstance(event, AlarmNotification) else "heartbeat",
        "at": (event.changed_at if isinstance(event, AlarmNotification) else event.at).isoformat(),
        "is_duplicate": run.is_duplicate,
        "is_stale": run.is_stale,
        "alarm": _alarm(event) if isinstance(event, AlarmNotification) else None,
    }


def _alarm(alarm: AlarmNotification) -> Row:
    return {
        "name": _text(alarm.alarm_name),
        "arn": _text(alarm.alarm_arn),
        "tier": alarm.tier,
        "state": alarm.state,
        "reason": _text(alarm.reason),
    }


def _server(server: Server) -> Row:
    return {
        "address": server.address,
        "port": server.port,
        "version": f"{server.version // 10000}.{server.version % 10000}",
        "started_at": server.started_at.isoformat(),
    }


def _usage(measurement: Measurement | None, snapshot: Snapshot | None = None) -> Row | None:
    """The figures of a measurement; where the sessions were looked at, too, what they add up to."""
    if measurement is None:
        return None
    seen = snapshot or measurement
    capacity = measurement.capacity
    states = (
        Counter(s.state or "hidden" for s in snapshot.sessions)
        if snapshot
        else measurement.sessions_by_state
    )
    near_full = [
        each for each in measurement.limits if each.limit and each.utilisation >= NEAR_FULL_PERCENT
    ]
    fullest = nlargest(MOST_LIMITS, near_full, key=lambda limit: (limit.utilisation, limit.used))
    return {
        "taken_at": seen.taken_at.isoformat(),
        "used": seen.used,
        "usable": capacity.usable,
        "utilisation": round(seen.utilisation, 1),
        "max_connections": capacity.max_connections,
        **capacity.reservations,
        "logins_in_progress": measurement.logins_in_progress,
        "refused_a_login": measurement.refused_a_login,
        "sessions_by_state": dict(states),
        "oldest_idle_in_transaction_seconds": round(
            measurement.oldest_idle_in_transaction.total_seconds(), 3
        ),
        "limits_near_full": [_limit(limit) for limit in fullest],
        "limits_near_full_omitted": len(near_full) - len(fullest),
        "other_backends": _backends(measurement.other_backends),
    }


def _limit(limit: ConnectionLimit) -> Row:
    return {
        "owner": limit.owner,
        "name": _text(limit.name, NAME_BYTES),
        "limit": limit.limit,
        "used": limit.used,
        "utilisation": round(limit.utilisation, 1),
    }


def _backends(backends: Mapping[str, int]) -> dict[str, int]:
    """By type; extensions name their own workers, and the rarest of too many types are counted
    together.
    """
    counts: Counter[str] = Counter()
    for place, (name, count) in enumerate(Counter(backends).most_common()):
        counts[_text(name, BACKEND_TYPE_BYTES) if place < MOST_BACKEND_TYPES else "others"] += count
    return dict(counts)


def _verdicts(run: Run) -> Row | None:
    if run.plan is None:
        return None
    chosen = len(run.plan.chosen)
    return {
        "terminate": chosen,
        "spare": len(run.plan.verdicts) - chosen,
        "carried_out": run.plan.restraint is None,
    }


def _session(verdict: Verdict, run: Run) -> Row:
    session = verdict.session
    return {
        "pid": session.pid,
        "rule": _text(verdict.rule),
        "reason": _text(verdict.reason),
        "seconds_in_state": _seconds_in_state(session, run),
        "state": session.state,
        "role": _text(session.role, NAME_BYTES),
        "database": _text(session.database, NAME_BYTES),
        "application": _text(session.application_name, NAME_BYTES),
        "client": session.client_address,
    }


def _seconds_in_state(session: Session, run: Run) -> float | None:
    if session.state_change is None or run.before is None:
        return None
    return round(session.time_in_state(run.before.taken_at).total_seconds(), 3)


def _spared(run: Run, *, is_owned_by_proxy: bool) -> list[Row]:
    """Who was spared and why, the largest group first; each has the reason of the session longest
    in its state.
    """
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in run.plan.verdicts if run.plan else ():
        session = verdict.session
        if verdict.action is Action.SPARE and session.is_owned_by_proxy is is_owned_by_proxy:
            kind = "".join(takewhile(lambda character: not character.isdigit(), verdict.reason))
            key = verdict.rule, kind, session.role, session.application_name, session.state or ""
            groups.setdefault(key, []).append(verdict)
    return [
        _group(groups[key], run)
        for key in sorted(groups, key=lambda key: len(groups[key]), reverse=True)
    ]


def _group(verdicts: list[Verdict], run: Run) -> Row:
    oldest = max(verdicts, key=lambda verdict: _seconds_in_state(verdict.session, run) or 0)
    return {
        "rule": _text(oldest.rule),
        "reason": _text(oldest.reason),
        "role": _text(oldest.session.role, NAME_BYTES),
        "application": _text(oldest.session.application_name, NAME_BYTES),
        "state": oldest.session.state,
        "sessions": len(verdicts),
        "oldest_seconds_in_state": _seconds_in_state(oldest.session, run),
    }


def _reconnection(each: Reconnection) -> Row:
    return {
        "role": _text(each.pool.role, NAME_BYTES),
        "application": _text(each.pool.application_name, NAME_BYTES),
        "client": each.pool.client_address,
        "terminated": each.terminated,
        "reopened": each.reopened,
    }


def _door(attempt: DoorAttempt) -> Row:
    return {
        "door": attempt.door,
        "is_reused": attempt.is_reused,
        "tries": attempt.tries,
        "seconds": round(attempt.seconds, 3),
        "error": attempt.error and _sentence(attempt.error),
    }


def _diagnosis(diagnosis: Diagnosis, wording: Wording) -> Row:
    figures = list(diagnosis.evidence.items())[:MOST_FIGURES]
    return {
        "cause": diagnosis.cause,
        "sessions": diagnosis.sessions,
        "since": diagnosis.since.isoformat() if diagnosis.since else None,
        "summary": _sentence(diagnosis.summary),
        "evidence": {
            _text(name, NAME_BYTES): _text(figure) if isinstance(figure, str) else figure
            for name, figure in figures
        },
        "advice": _sentence(worded(diagnosis.advice, wording)),
    }


def _bounded(rows: Sequence[Any], most_bytes: int) -> list[Any]:
    """The first rows, as many as fit."""
    sizes = accumulate(_size(row) + len(", ") for row in rows)
    return [
        row for row, _ in zip(rows, takewhile(lambda size: size <= most_bytes, sizes), strict=False)
    ]


def _sentence(text: str, most_bytes: int = LINE_BYTES) -> str:
    """What people read, on one line; names in it may hold whatever a client put there."""
    return _text(printable(text[: 2 * most_bytes]), most_bytes)


def _text(text: str, most_bytes: int = LINE_BYTES) -> str:
    """The text, cut to what JSON spells in so many bytes. Half a character (JSON can spell that)
    becomes a `?`.
    """
    text = text[: most_bytes + 1].encode(errors="replace").decode()
    if _size(text) <= most_bytes:
        return text
    sizes = list(accumulate(_size(character) - len('""') for character in text[:most_bytes]))
    return text[: bisect_right(sizes, most_bytes - _size("…"))] + "…"


def _size(value: object) -> int:
    """Bytes of JSON where every character beyond ASCII is escaped: never fewer than in UTF-8."""
    return len(json.dumps(value))
