"""The parts of a Report, each from its value."""

from collections import Counter
from collections.abc import Mapping
from heapq import nlargest
from typing import Any

from connection_guard.core.database.capacity import ConnectionLimit
from connection_guard.core.database.door import DoorAttempt
from connection_guard.core.database.pause import Pause
from connection_guard.core.database.session import Session
from connection_guard.core.database.snapshot import Measurement, Server, Snapshot
from connection_guard.core.decision.outcome import Reconnection, reopening_applications
from connection_guard.core.decision.plan import Verdict
from connection_guard.core.decision.round import Round
from connection_guard.core.deployment.events import AlarmNotification
from connection_guard.core.diagnosis.case import Diagnosis
from connection_guard.core.diagnosis.remedy import Wording, worded_advice
from connection_guard.core.policy import Action
from connection_guard.core.report.fitting import NAME_BYTES, fitted, sentence
from connection_guard.core.report.run import Run
from connection_guard.core.report.wording import worded

BACKEND_TYPE_BYTES = 100
MOST_BACKEND_TYPES = 20
MOST_LIMITS = 10
MOST_FIGURES = 10

NEAR_FULL_PERCENT = 75

Row = dict[str, Any]


def event_row(run: Run) -> Row:
    """Return the event that the run served."""
    event = run.event
    is_alarm = isinstance(event, AlarmNotification)
    return {
        "key": fitted(event.key),
        "type": "alarm" if is_alarm else "heartbeat",
        "at": (event.changed_at if isinstance(event, AlarmNotification) else event.at).isoformat(),
        "is_duplicate": run.is_duplicate,
        "is_stale": run.is_stale,
        "alarm": _alarm(event) if isinstance(event, AlarmNotification) else None,
    }


def _alarm(alarm: AlarmNotification) -> Row:
    return {
        "name": fitted(alarm.alarm_name),
        "arn": fitted(alarm.alarm_arn),
        "tier": alarm.tier,
        "state": alarm.state,
        "reason": fitted(alarm.reason),
    }


def pause_row(pause: Pause) -> Row:
    """Return until when the guard is paused, and what is noted about it."""
    return {
        "until": pause.until and pause.until.isoformat(),
        "note": sentence(pause.note),
    }


def server_row(server: Server) -> Row:
    """Return which server answered."""
    return {
        "address": server.address,
        "port": server.port,
        "version": server.version,
        "started_at": server.started_at.isoformat(),
    }


def usage_row(measurement: Measurement, snapshot: Snapshot | None = None) -> Row:
    """Return a measurement's figures; with a snapshot, those that its sessions add up to."""
    seen = snapshot or measurement
    capacity = measurement.capacity
    states = (
        Counter(session.state or "hidden" for session in snapshot.sessions)
        if snapshot
        else measurement.sessions_by_state
    )
    near_full = [
        each for each in measurement.limits if each.limit and each.utilisation >= NEAR_FULL_PERCENT
    ]
    fullest = nlargest(MOST_LIMITS, near_full, key=lambda limit: (limit.utilisation, limit.used))
    oldest_idle_in_transaction = measurement.oldest_idle_in_transaction.total_seconds()
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
        "oldest_idle_in_transaction_seconds": round(oldest_idle_in_transaction, 3),
        "limits_near_full": [_limit(limit) for limit in fullest],
        "limits_near_full_omitted": len(near_full) - len(fullest),
        "other_backends": _backends(measurement.other_backends),
    }


def _limit(limit: ConnectionLimit) -> Row:
    return {
        "owner": limit.owner,
        "name": fitted(limit.name, NAME_BYTES),
        "limit": limit.limit,
        "used": limit.used,
        "utilisation": round(limit.utilisation, 1),
    }


def _backends(backends: Mapping[str, int]) -> dict[str, int]:
    """Return how many there are of each type; the rarest of too many types are counted together.

    Extensions name their own workers.
    """
    counts: Counter[str] = Counter()
    for place, (name, count) in enumerate(Counter(backends).most_common()):
        is_named = place < MOST_BACKEND_TYPES
        counts[fitted(name, BACKEND_TYPE_BYTES) if is_named else "others"] += count
    return dict(counts)


def session_row(verdict: Verdict, looked: Round) -> Row:
    """Return one session with its verdict."""
    session = verdict.session
    return {
        "pid": session.pid,
        "rule": fitted(verdict.rule),
        "reason": fitted(worded(verdict.reason)),
        "reason_code": verdict.reason.code,
        "seconds_in_state": _seconds_in_state(session, looked),
        "state": session.state,
        "role": fitted(session.role, NAME_BYTES),
        "database": fitted(session.database, NAME_BYTES),
        "application": fitted(session.application_name, NAME_BYTES),
        "client": session.client_address,
    }


def _seconds_in_state(session: Session, looked: Round) -> float | None:
    if session.state_change is None:
        return None
    return round(session.time_in_state(looked.before.taken_at).total_seconds(), 3)


def spared_rows(looked: Round, *, is_owned_by_proxy: bool) -> list[Row]:
    """Return who was spared and why, the largest group first.

    Each has the reason of the session that has been longest in its state.
    """
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in looked.plan.verdicts:
        session = verdict.session
        if verdict.action is Action.SPARE and session.is_owned_by_proxy is is_owned_by_proxy:
            who = session.role, session.application_name, session.state or ""
            groups.setdefault((verdict.rule, verdict.reason.code, *who), []).append(verdict)
    largest_first = sorted(groups, key=lambda key: len(groups[key]), reverse=True)
    return [_group(groups[key], looked) for key in largest_first]


def _group(verdicts: list[Verdict], looked: Round) -> Row:
    oldest = max(verdicts, key=lambda each: _seconds_in_state(each.session, looked) or 0)
    return {
        "rule": fitted(oldest.rule),
        "reason": fitted(worded(oldest.reason)),
        "reason_code": oldest.reason.code,
        "role": fitted(oldest.session.role, NAME_BYTES),
        "application": fitted(oldest.session.application_name, NAME_BYTES),
        "state": oldest.session.state,
        "sessions": len(verdicts),
        "oldest_seconds_in_state": _seconds_in_state(oldest.session, looked),
    }


def reconnection_rows(looked: Round) -> list[Row]:
    """Return what each pool reopened, and whether its application reopens what it loses."""
    reopening = reopening_applications(looked.reconnections)
    return [_reconnection(each, reopening) for each in looked.reconnections]


def _reconnection(each: Reconnection, reopening: Mapping[tuple[str, str], object]) -> Row:
    return {
        "role": fitted(each.pool.role, NAME_BYTES),
        "application": fitted(each.pool.application_name, NAME_BYTES),
        "client": each.pool.client_address,
        "terminated": each.terminated,
        "reopened": each.reopened,
        "reopens": (each.pool.role, each.pool.application_name) in reopening,
    }


def door_row(attempt: DoorAttempt) -> Row:
    """Return the result of trying a door."""
    return {
        "door": attempt.door,
        "is_reused": attempt.is_reused,
        "tries": attempt.tries,
        "seconds": round(attempt.seconds, 3),
        "error": attempt.error and sentence(attempt.error),
    }


def diagnosis_row(diagnosis: Diagnosis, wording: Wording) -> Row:
    """Return a cause with its evidence and advice, whose remedies `wording` puts into words."""
    figures = list(diagnosis.evidence.items())[:MOST_FIGURES]
    return {
        "cause": diagnosis.cause,
        "sessions": diagnosis.sessions,
        "since": diagnosis.since.isoformat() if diagnosis.since else None,
        "summary": sentence(diagnosis.summary),
        "evidence": {
            fitted(name, NAME_BYTES): fitted(figure) if isinstance(figure, str) else figure
            for name, figure in figures
        },
        "advice": sentence(worded_advice(diagnosis.advice, wording)),
    }
