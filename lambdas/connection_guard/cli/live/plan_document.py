"""A look at a database as JSON: what the verbs show, and programs read."""

from typing import Any

from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.cli.live.live_look import LiveLook
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.report.fitting import sentence
from connection_guard.core.report.rows import (
    diagnosis_row,
    server_row,
    session_row,
    spared_rows,
    usage_row,
)
from connection_guard.core.report.wording import worded

Document = dict[str, Any]


def plan_document(look: LiveLook) -> Document:
    """Return the look, JSON-ready; its parts are those of a Report (docs/report.schema.json)."""
    before, plan, judgement = look.round.before, look.plan, look.judgement
    capacity = before.measurement.capacity
    limits = judgement.policy.limits
    left = before.used - len(plan.chosen)
    return {
        "database": look.database,
        "tier": judgement.tier,
        "server": server_row(before.measurement.server),
        "usage": usage_row(before.measurement, before),
        "minutes_to_full": look.minutes_to_full and round(look.minutes_to_full, 1),
        "thresholds": {
            "target_percent": limits.target_percent,
            "warning_percent": judgement.warning_percent,
            "critical_percent": judgement.critical_percent,
        },
        "carried_out": plan.restraint is None,
        "restraint": plan.restraint,
        "explanation": sentence(worded(plan.reason)),
        "action_required": look.escalation and sentence(worded(look.escalation)),
        "would_terminate": [session_row(verdict, look.round) for verdict in plan.chosen],
        "spared": spared_rows(look.round, is_owned_by_proxy=False),
        "spared_of_proxy": spared_rows(look.round, is_owned_by_proxy=True),
        "usage_after": {
            "used": left,
            "usable": capacity.usable,
            "utilisation": round(100 * left / capacity.usable, 1),
        },
        "terminated_within_the_hour": look.engagement.terminated_within_the_hour(before.taken_at),
        "most_per_hour": limits.most_per_hour,
        "diagnoses": [diagnosis_row(each, statement) for each in look.diagnoses],
    }


def is_finding(look: LiveLook) -> bool:
    """Return whether there is something to do, for the guard or for people."""
    return look.plan.restraint is not Restraint.BELOW_TARGET
