"""What the reporter is sent: a Report or a notification that the responder failed, both Lambda's
records of an invocation, or a change of an alarm about the guard itself.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connection_guard.core.deployment.events import AlarmState, database_dimensions
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.report.kind import Kind
from connection_guard.errors import ForeignEventError

SUCCESS = "Success"


@dataclass(frozen=True, slots=True)
class ReportDelivery:
    """A Report (docs/report.schema.json). `request_id` names the responder's run, also in its
    log.
    """

    request_id: str
    function_arn: str
    database: str
    kind: str
    headline: str
    event_key: str
    received_at: datetime
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FailureDelivery:
    """An event that led to no Report: the responder raised or was killed, or the event grew too old
    before it ran.

    `condition` is Lambda's own word for it; `error` is None where the responder did not run,
    `error_type` also where the answer does not name it. `record` is the whole.
    """

    request_id: str
    function_arn: str
    condition: str
    error: str | None
    error_type: str | None
    failed_at: datetime
    record: Mapping[str, Any]

    @property
    def record_key(self) -> str:
        """Return the record's key in the evidence bucket: always the same, like a Report's."""
        name = f"{self.failed_at:%Y/%m/%d/%H%M%S.%f}-{self.request_id}"
        return f"failures/{function_name(self.function_arn)}/{name}.json"


@dataclass(frozen=True, slots=True)
class GuardAlarmDelivery:
    """An alarm about the guard itself changed its state; `state_before` is "" where that is not
    known. `database` is the one whose metrics the alarm watches, None where it is on something that
    all databases share. `description` says what happened, what it means, and what to do. `record`
    is the whole.
    """

    name: str
    arn: str
    database: str | None
    description: str
    state: AlarmState
    state_before: str
    reason: str
    changed_at: datetime
    record: Mapping[str, Any]

    @property
    def request_id(self) -> str:
        """Name the change: the same however often it is delivered."""
        return f"{self.name}@{self.changed_at.isoformat()}"

    @property
    def record_key(self) -> str:
        """Return the record's key in the evidence bucket: always the same, like a Report's."""
        return f"alarms/{self.name}/{self.changed_at:%Y/%m/%d/%H%M%S.%f}.json"


Delivery = ReportDelivery | FailureDelivery | GuardAlarmDelivery

# The names that a responder of an older version uses: it may stay deployed a moment longer.
_FORMER_KINDS = {"pulse": Kind.HEARTBEAT}


def function_name(function_arn: str) -> str:
    """Return the name of the function, without its version."""
    return function_arn.split(":function:")[-1].partition(":")[0]


def database_of(
    delivery: Delivery, databases: Iterable[WatchedDatabase], stack: WatchedDatabase
) -> WatchedDatabase:
    """Return the delivery's database, also one that is no longer guarded; an alarm on something
    that all databases share belongs to the stack itself.
    """
    if isinstance(delivery, GuardAlarmDelivery):
        if delivery.database is None:
            return stack
        named = (each for each in databases if each.identifier == delivery.database)
        return next(named, replace(stack, identifier=delivery.database))
    function = function_name(delivery.function_arn)
    guarded = next((each for each in databases if each.function_name == function), None)
    identifier = delivery.database if isinstance(delivery, ReportDelivery) else function
    return guarded or WatchedDatabase(identifier, is_cluster=False, function_name=function)


def read_message(message: str) -> Delivery:
    """Return what SNS put into the reporter's queue, in its own envelope.

    Raises ForeignEventError for anything else.
    """
    try:
        notification = json.loads(message)
        text, message_id = notification["Message"], notification.get("MessageId", "")
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as wrong:
        raise ForeignEventError(
            f"expected a message of SNS; found none ({type(wrong).__name__}: {wrong})"[:1000]
        ) from wrong
    return read_delivery(text, message_id)


def read_delivery(message: str, message_id: str) -> Delivery:
    """Return what SNS delivered as this message; unknown fields are ignored.

    Raises ForeignEventError for anything else, with the id by which the message is found.
    """
    try:
        record = json.loads(message)
        if "AlarmName" in record:
            return _guard_alarm(record)
        succeeded = record["requestContext"]["condition"] == SUCCESS
        return _report(record) if succeeded else _failure(record)
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as wrong:
        raise ForeignEventError(
            f"message {message_id}: expected Lambda's record of a Report or of a failure, or an "
            f"alarm's change; found none ({type(wrong).__name__}: {wrong})"[:1000]
        ) from wrong


def _report(record: Mapping[str, Any]) -> ReportDelivery:
    report = record["responsePayload"]
    return ReportDelivery(
        request_id=_text(record["requestContext"]["requestId"]),
        function_arn=_text(record["requestContext"]["functionArn"]),
        database=_text(report["database"]),
        kind=_FORMER_KINDS.get(_text(report["kind"]), report["kind"]),
        headline=_text(report["headline"]),
        event_key=_text(report["event"]["key"]),
        received_at=_time(report["received_at"]),
        report=report,
    )


def _failure(record: Mapping[str, Any]) -> FailureDelivery:
    context = record["requestContext"]
    return FailureDelivery(
        request_id=_text(context["requestId"]),
        function_arn=_text(context["functionArn"]),
        condition=_text(context["condition"]),
        error=_error(record.get("responsePayload")),
        error_type=_error_type(record.get("responsePayload")),
        failed_at=_time(record["timestamp"]),
        record=record,
    )


def _guard_alarm(record: Mapping[str, Any]) -> GuardAlarmDelivery:
    return GuardAlarmDelivery(
        name=_text(record["AlarmName"]),
        arn=_text(record["AlarmArn"]),
        database=next(database_dimensions(record.get("Trigger") or {}), None),
        description=str(record.get("AlarmDescription") or ""),
        state=AlarmState(record["NewStateValue"]),
        state_before=str(record.get("OldStateValue") or ""),
        reason=str(record.get("NewStateReason") or ""),
        changed_at=_time(record["StateChangeTime"]),
        record=record,
    )


def _error(answer: object) -> str | None:
    if isinstance(answer, Mapping) and "errorMessage" in answer:
        return str(answer["errorMessage"])
    return None if answer is None else json.dumps(answer)


def _error_type(answer: object) -> str | None:
    named = answer.get("errorType") if isinstance(answer, Mapping) else None
    return None if named is None else str(named)


def moment(text: object) -> datetime | None:
    """Return the time in UTC; None for anything else: the run's own time is used then."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{type(value).__name__} is not text")
    return value


def _time(value: object) -> datetime:
    time = moment(_text(value))
    if time is None:
        raise ValueError(f"{value!r} is not a time with its zone")
    return time
