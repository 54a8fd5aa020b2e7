"""Runs of the past, as reports and as the bucket keeps them."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.adapters.postgresql.roles import AMAZON_ROLES
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.database.session import Pool, Session, SessionState
from connection_guard.core.decision.decide import decide
from connection_guard.core.decision.outcome import Outcome, Result
from connection_guard.core.incident.delivery import ReportDelivery
from connection_guard.core.incident.evidence_lines import (
    evidence_key,
    evidence_lines,
    report_document,
    report_key,
)
from connection_guard.core.policy import Policy, Tier
from connection_guard.core.replay.past_run import PastRun, past_run
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.report import write_report
from tests.support.builders import NOW, a_session, a_snapshot
from tests.support.runs import a_run

GUARD = ("connection_guard",)


def a_report(
    *sessions: Session,
    policy: Policy,
    at: datetime = NOW,
    tier: Tier = Tier.CRITICAL,
    usable: int = 10,
    results: Mapping[int, Result] | None = None,
    database: str = "orders-prod",
    reopening: Collection[Pool] = (),
    guard: Collection[str] = GUARD,
    **changes: Any,
) -> dict[str, Any]:
    """Return the report of a run that decided by the policy and did it. The sessions are as they
    were at NOW, and are moved to `at`; `results` are those of pids that were not terminated.
    """
    before = a_snapshot(*(_moved(each, at - NOW) for each in sessions), usable=usable)
    before = replace(before, taken_at=at)
    plan = decide(before, policy, tier, guard_roles=guard, reopening_pools=reopening)
    outcomes = tuple(
        Outcome(each, (results or {}).get(each.session.pid, Result.TERMINATED))
        for each in plan.chosen
        if plan.restraint is None
    )
    facts = {"tier": tier, "target_percent": policy.limits.target_percent, "received_at": at}
    run = a_run(
        Kind.OBSERVATION if plan.restraint else Kind.REMEDIATION,
        before=before,
        plan=plan,
        outcomes=outcomes,
        **{**facts, "database": database, **changes},
    )
    report: dict[str, Any] = json.loads(json.dumps(write_report(run, statement)))
    return report


def delivered(report: Mapping[str, Any], request_id: str = "6fb81a4e") -> ReportDelivery:
    """Return the report as the reporter gets it."""
    return ReportDelivery(
        request_id=request_id,
        function_arn="arn:aws:lambda:eu-central-1:123456789012:function:responder",
        database=report["database"],
        kind=report["kind"],
        headline=report["headline"],
        event_key=report["event"]["key"],
        received_at=datetime.fromisoformat(report["received_at"]),
        report=report,
    )


def stored_objects(report: Mapping[str, Any], request_id: str = "6fb81a4e") -> dict[str, bytes]:
    """Return what the reporter stores of it, by the keys."""
    delivery = delivered(report, request_id)
    lines, key = evidence_lines(delivery), evidence_key(delivery)
    document = report_document(delivery, evidence=None if lines is None else key)
    return {report_key(delivery): document, **({} if lines is None else {key: lines})}


def store_in(folder: Path, reports: Iterable[Mapping[str, Any]]) -> list[Path]:
    """Write a copy of a bucket; return the paths of the reports."""
    paths = []
    for number, report in enumerate(reports):
        for key, body in stored_objects(report, f"request-{number}").items():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            if key.startswith("reports/"):
                paths.append(path)
    return paths


def looked(report: Mapping[str, Any]) -> PastRun:
    """Return the run that a report describes, which looked at the sessions."""
    run = past_run(report, None, AMAZON_ROLES)
    assert run is not None
    return run


def _moved(session: Session, by: timedelta) -> Session:
    def later(time: datetime | None) -> datetime | None:
        return None if time is None else time + by

    return replace(
        session,
        backend_start=session.backend_start + by,
        state_change=later(session.state_change),
        transaction_start=later(session.transaction_start),
        query_start=later(session.query_start),
    )


def a_month_of_runs() -> Iterator[dict[str, Any]]:
    """Yield the reports of six shortages: "orders" loses transactions, and its others go on."""
    the_policy = parse_policy(SHIPPED_POLICY.read_text())
    state = SessionState.IDLE_IN_TRANSACTION
    for shortage in range(6):
        start, lost_now = NOW + timedelta(days=5 * shortage), 2 + (shortage < 2)
        lost = [
            a_session(
                state=state, idle_for=timedelta(minutes=6 + n), role="orders", application="orders"
            )
            for n in range(lost_now)
        ]
        for look in range(5):
            at_work = [
                a_session(
                    pid=200 + n,
                    state=state,
                    idle_for=timedelta(seconds=41 if (shortage, look, n) == (3, 1, 4) else 2 + n),
                    connected_for=timedelta(hours=5, minutes=look),
                    role="orders",
                    application="orders",
                )
                for n in range(9)
            ]
            busy = a_session(state=SessionState.ACTIVE, idle_for=timedelta(seconds=1))
            yield a_report(
                *at_work,
                *(lost if look == 0 else ()),
                busy,
                policy=the_policy,
                at=start + timedelta(minutes=look),
                usable=10,
            )
