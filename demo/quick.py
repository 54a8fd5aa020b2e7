"""The guard's times, divided, so that a demo or an example takes seconds instead of minutes."""

from dataclasses import fields, replace
from datetime import timedelta

from connection_guard.core.decision.heartbeat_watch import WATCH_TIMES, WatchTimes
from connection_guard.core.diagnosis.case import DIAGNOSIS_TIMES, DiagnosisTimes
from connection_guard.core.policy import Policy

DIVIDED_BY = 200  # ten minutes become three seconds

# The next heartbeat comes within seconds: a run has time only for the second look at critical.
QUICK_WATCH = WatchTimes(
    between_looks=timedelta(hours=1), at_critical=WATCH_TIMES.at_critical / DIVIDED_BY
)


def quick_policy(policy: Policy) -> Policy:
    """Return the policy with the ages of its rules divided."""
    rules = (replace(rule, older_than=rule.older_than / DIVIDED_BY) for rule in policy.rules)
    return replace(policy, rules=tuple(rules))


def quick_diagnosis_times() -> DiagnosisTimes:
    """Return the times by which causes are distinguished, divided."""
    return DiagnosisTimes(
        **{
            each.name: getattr(DIAGNOSIS_TIMES, each.name) / DIVIDED_BY
            for each in fields(DIAGNOSIS_TIMES)
        }
    )
