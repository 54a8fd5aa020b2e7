"""What an incident keeps of a run that led to no Report, and of an alarm about the guard itself:
what happened, and what to look at.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.incident.delivery import FailureDelivery, GuardAlarmDelivery, moment
from connection_guard.core.incident.entry import FAILURE, GUARD_ALARM, LINE_LENGTH, Alarm, Entry
from connection_guard.core.words import cut

# What Lambda says about a function that it had to end.
# https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
_TIMED_OUT = re.compile(r"Task timed out after ([\d.]+) seconds")
_OUT_OF_MEMORY = re.compile(r"signal: killed|OutOfMemory|MemoryError", re.IGNORECASE)
# CloudWatch's limit. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
_DESCRIPTION_LENGTH = 1_024
# A description says first what happened.
_END_OF_WHAT_HAPPENED = re.compile(r"[.:] ")

# The function was not called; or its code raised this before it looked at anything.
_CALLED_NOTHING = frozenset({"EventAgeExceeded", "ZeroReservedConcurrency"})
_RAISED_AT_ONCE = frozenset({"ForeignEventError", "ConfigurationError"})


@dataclass(frozen=True, slots=True)
class _Failure:
    """`code` names it for comparison, `what` says what happened, `look` what to look at."""

    code: str
    what: str
    look: str


def failure_entry(delivery: FailureDelivery, evidence: str | None) -> Entry:
    """Return the entry of a run that raised, was killed, or never started."""
    failure = _failure(delivery)
    entry = trouble_entry(
        delivery.request_id,
        delivery.failed_at,
        headline=failure.what,
        escalation=f"{failure.what}: {failure.look}",
        escalation_code=failure.code,
        evidence=evidence,
    )
    did_nothing = delivery.condition in _CALLED_NOTHING or delivery.error_type in _RAISED_AT_ONCE
    return replace(
        entry, alarm=_alarm_left_unserved(delivery.record), has_unknown_outcomes=not did_nothing
    )


def guard_alarm_entry(delivery: GuardAlarmDelivery, evidence: str | None) -> Entry:
    """Return the entry of an alarm about the guard itself; its OK requires no action."""
    description = delivery.description.removeprefix(f"{delivery.database}: ")
    description = description or delivery.reason or delivery.name
    happened = _END_OF_WHAT_HAPPENED.split(description, maxsplit=1)[0].rstrip(".")
    is_on = delivery.state is AlarmState.ALARM
    headline = happened if is_on else f"cleared: {happened}"
    return Entry(
        request_id=delivery.request_id,
        at=delivery.changed_at,
        kind=GUARD_ALARM,
        headline=cut(headline, LINE_LENGTH),
        alarm=Alarm(
            delivery.name, delivery.arn, str(delivery.state), changed_at=delivery.changed_at
        ),
        escalation=cut(description, _DESCRIPTION_LENGTH) if is_on else None,
        escalation_code=f"guard alarm {delivery.name}" if is_on else None,
        evidence=evidence,
        had_no_data=delivery.state_before == AlarmState.INSUFFICIENT_DATA,
    )


def trouble_entry(
    request_id: str,
    at: datetime,
    *,
    headline: str,
    escalation: str,
    escalation_code: str,
    evidence: str | None,
) -> Entry:
    """Return an entry that says only that people have to look."""
    return Entry(
        request_id=request_id,
        at=at,
        kind=FAILURE,
        headline=cut(headline, LINE_LENGTH),
        escalation=cut(escalation, LINE_LENGTH),
        escalation_code=escalation_code,
        evidence=evidence,
    )


def _failure(delivery: FailureDelivery) -> _Failure:
    error = " ".join((delivery.error or "").split())
    match delivery.condition:
        case "EventAgeExceeded":
            return _Failure(
                "did not run",
                "the responder did not run within 5 minutes",
                "check whether Lambda throttles it: the account, or the function, may have no "
                "concurrency left",
            )
        case "ZeroReservedConcurrency":
            return _Failure(
                "not allowed to run",
                "the responder is not allowed to run",
                "its reserved concurrency was set to 0; remove that setting",
            )
    if timed_out := _TIMED_OUT.search(error):
        return _Failure(
            "timed out",
            f"the responder ran out of time after {float(timed_out[1]):g} s",
            "see the end of the responder's log for the last thing it did; the database may have "
            "stopped answering",
        )
    if _OUT_OF_MEMORY.search(f"{delivery.error_type} {error}"):
        return _Failure(
            "out of memory",
            "the responder ran out of memory and was killed",
            "see the last REPORT line of the responder's log for the memory that it used",
        )
    if delivery.error_type and not delivery.error_type.startswith("Runtime."):
        return _Failure(
            f"raised {cut(delivery.error_type, 100)}",
            f"the responder raised {delivery.error_type}: {cut(error, 200)}",
            "see the responder's log for the traceback",
        )
    return _Failure(
        "failed",
        f"the responder failed: {cut(error, 200) or delivery.condition}",
        "see the responder's log for the cause",
    )


def _alarm_left_unserved(record: Mapping[str, Any]) -> Alarm | None:
    """Return the alarm that the responder failed to serve, as SNS delivered it; None where the
    event was none.
    """
    try:
        message = json.loads(record["requestPayload"]["Records"][0]["Sns"]["Message"])
        return Alarm(
            cut(message["AlarmName"], LINE_LENGTH),
            message["AlarmArn"],
            str(AlarmState(message["NewStateValue"])),
            changed_at=moment(message.get("StateChangeTime")),
        )
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, RecursionError):
        return None
