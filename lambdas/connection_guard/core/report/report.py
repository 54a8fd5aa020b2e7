"""The Report: what a run saw, decided and did, as JSON (docs/report.schema.json has its fields)."""

from collections.abc import Sequence
from typing import Any

from connection_guard import __version__
from connection_guard.core.decision.outcome import Result
from connection_guard.core.decision.round import Round
from connection_guard.core.diagnosis.remedy import Wording
from connection_guard.core.report.evidence import pack_evidence
from connection_guard.core.report.fitting import rows_that_fit, sentence, size_of
from connection_guard.core.report.headline import headline_of_run
from connection_guard.core.report.rows import (
    diagnosis_row,
    door_row,
    event_row,
    pause_row,
    reconnection_rows,
    server_row,
    session_row,
    spared_rows,
    usage_row,
)
from connection_guard.core.report.run import Run
from connection_guard.core.report.wording import worded

REPORT_SCHEMA_VERSION = 1

# Lambda sends it to its destination together with the event that it answers, and SNS takes 256 KiB.
MOST_BYTES = 200_000

# What each list may take of it, so that none crowds out another. At least 15,000 bytes are left to
# the evidence, which takes what the others do not need: no run has both sessions that it terminated
# and sessions that it only would have terminated.
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


def write_report(run: Run, wording: Wording) -> dict[str, Any]:
    """Return the Report of a run, JSON-ready; `wording` words the remedies of its diagnoses.

    It is at most 200,000 bytes, whichever way its characters beyond ASCII are spelled.
    """
    looked, plan = run.round, run.round.plan if run.round else None
    rows: dict[str, Sequence[Any]] = dict.fromkeys(LIST_BYTES, ())
    rows |= _rows_of_run(run, wording)
    if looked:
        rows |= _rows_of_round(looked)
    lists = {name: rows_that_fit(rows[name], most_bytes) for name, most_bytes in LIST_BYTES.items()}
    first = run.first
    results = [outcome.result for outcome in looked.outcomes] if looked else []
    report = {
        "schema_version": REPORT_SCHEMA_VERSION,
        "guard_version": __version__,
        "kind": run.kind,
        "database": run.database,
        "headline": headline_of_run(run),
        "received_at": run.received_at.isoformat(),
        "event": event_row(run),
        "target_percent": run.target_percent,
        "tier": run.tier,
        "attempt": run.attempt,
        "engaged": run.engaged,
        "recovered": run.recovered,
        "escalation": run.escalation and sentence(worded(run.escalation)),
        "escalation_code": run.escalation and run.escalation.code,
        "restraint": plan and plan.restraint,
        "explanation": plan and sentence(worded(plan.reason)),
        "minutes_to_full": run.minutes_to_full and round(run.minutes_to_full, 1),
        "pause": first and first.pause and pause_row(first.pause),
        "server": first and server_row(first.server),
        "before": first and usage_row(first, looked.before if looked else None),
        "after": looked and looked.after and usage_row(looked.after),
        "verdicts": plan
        and {
            "terminate": len(plan.chosen),
            "spare": len(plan.verdicts) - len(plan.chosen),
            "carried_out": plan.restraint is None,
        },
        "outcomes": {result: results.count(result) for result in Result},
        **lists,
        "omitted": {name: len(rows[name]) - len(lists[name]) for name in lists},
        "seat_held": run.seat_held,
        "reconnected": run.reconnected,
        "seconds": {phase: round(seconds, 3) for phase, seconds in run.seconds.items()},
        "evidence": None,
    }
    report["evidence"] = looked and pack_evidence(looked, MOST_BYTES - size_of(report))
    return report


def _rows_of_run(run: Run, wording: Wording) -> dict[str, Sequence[Any]]:
    """Return the lists that every run has, however long."""
    return {
        "doors": [door_row(attempt) for attempt in run.doors],
        "diagnoses": [diagnosis_row(diagnosis, wording) for diagnosis in run.diagnoses],
        "problems": [sentence(worded(problem)) for problem in run.problems],
    }


def _rows_of_round(looked: Round) -> dict[str, Sequence[Any]]:
    """Return the lists of what a round saw and did, however long."""
    is_restrained = looked.plan.restraint is not None and not looked.outcomes
    return {
        "terminated": [
            session_row(each.verdict, looked)
            for each in looked.outcomes
            if each.result is Result.TERMINATED
        ],
        "other_outcomes": [
            {"result": each.result, **session_row(each.verdict, looked)}
            for each in looked.outcomes
            if each.result is not Result.TERMINATED
        ],
        "would_terminate": [
            session_row(verdict, looked) for verdict in looked.plan.chosen if is_restrained
        ],
        "spared": spared_rows(looked, is_owned_by_proxy=False),
        "spared_of_proxy": spared_rows(looked, is_owned_by_proxy=True),
        "reconnections": reconnection_rows(looked),
    }
