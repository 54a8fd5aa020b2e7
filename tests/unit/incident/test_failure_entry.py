"""What an incident keeps of a run that led to no Report, and what is not a delivery at all."""

import json
from datetime import UTC, datetime

import pytest

from connection_guard.core.incident.delivery import (
    FailureDelivery,
    ReportDelivery,
    read_delivery,
    read_message,
)
from connection_guard.core.incident.entry import FAILURE, Alarm, Entry
from connection_guard.core.incident.report_entry import entry_of
from connection_guard.errors import ForeignEventError
from tests.support.builders import CRITICAL_ALARM, an_alarm_event
from tests.support.reporter.deliveries import a_report, a_success, delivered
from tests.support.reporter.outside import in_queue

NESTED_TOO_DEEPLY = "[" * 200_000  # more than Python's reader of JSON takes


def failed(condition: str = "RetriesExhausted", **more: object) -> Entry:
    delivery = delivered(condition, **more)
    assert isinstance(delivery, FailureDelivery)
    return entry_of(delivery, evidence=delivery.record_key)


@pytest.mark.parametrize(
    ("condition", "answer", "what", "code"),
    [
        (
            "RetriesExhausted",
            {
                "errorType": "Sandbox.Timedout",
                "errorMessage": "RequestId: 6fb8 Error: Task timed out after 55.00 seconds",
            },
            "the responder ran out of time after 55 s",
            "timed out",
        ),
        (
            "RetriesExhausted",
            {"errorMessage": "2026-11-20T15:27:38.500Z 6fb8 Task timed out after 55.03 seconds"},
            "the responder ran out of time after 55.03 s",
            "timed out",
        ),
        (
            "RetriesExhausted",
            {
                "errorType": "Runtime.ExitError",
                "errorMessage": "RequestId: 6fb8 Error: Runtime exited with error: signal: killed",
            },
            "the responder ran out of memory and was killed",
            "out of memory",
        ),
        (
            "RetriesExhausted",
            {
                "errorType": "Runtime.OutOfMemory",
                "errorMessage": "RequestId: 6fb8 Error: Runtime exited",
            },
            "the responder ran out of memory and was killed",
            "out of memory",
        ),
        (
            "RetriesExhausted",
            {
                "errorType": "ConfigurationError",
                "errorMessage": "policy.toml: no rules",
                "stackTrace": ["..."],
            },
            "the responder raised ConfigurationError: policy.toml: no rules",
            "raised ConfigurationError",
        ),
        (
            "RetriesExhausted",
            {
                "errorType": "Runtime.ExitError",
                "errorMessage": "RequestId: 6fb8 Error: exit status 1",
            },
            "the responder failed: RequestId: 6fb8 Error: exit status 1",
            "failed",
        ),
        ("RetriesExhausted", "gone", 'the responder failed: "gone"', "failed"),
        ("SomethingNew", None, "the responder failed: SomethingNew", "failed"),
        ("EventAgeExceeded", None, "the responder did not run within 5 minutes", "did not run"),
        (
            "ZeroReservedConcurrency",
            None,
            "the responder is not allowed to run",
            "not allowed to run",
        ),
    ],
)
def test_a_failure_says_what_became_of_the_responder_and_what_to_look_at(
    condition: str, answer: object, what: str, code: str
) -> None:
    entry = failed(condition, **({} if answer is None else {"responsePayload": answer}))

    assert (entry.kind, entry.headline, entry.reason) == (FAILURE, what, code)
    assert entry.escalation is not None
    assert entry.escalation.startswith(f"{what}: ")
    assert len(entry.escalation) > len(what) + 10


def test_a_responder_that_is_throttled_is_not_to_run_only_once_at_a_time() -> None:
    """An alarm that comes while a heartbeat keeps looking would be throttled, and could be lost."""
    not_allowed = failed("ZeroReservedConcurrency").escalation
    assert not_allowed is not None
    assert not_allowed.endswith("its reserved concurrency was set to 0; remove that setting")
    assert "may have no concurrency left" in str(failed("EventAgeExceeded").escalation)


@pytest.mark.parametrize(
    ("condition", "error_type", "is_unknown"),
    [
        ("RetriesExhausted", "Runtime.ExitError", True),
        ("RetriesExhausted", "KeyError", True),
        ("RetriesExhausted", None, True),
        ("RetriesExhausted", "ForeignEventError", False),
        ("EventAgeExceeded", None, False),
        ("ZeroReservedConcurrency", None, False),
    ],
)
def test_what_a_killed_run_terminated_is_not_known_and_one_that_never_ran_terminated_no_session(
    condition: str, error_type: str | None, is_unknown: bool
) -> None:
    answer = (
        {"responsePayload": {"errorType": error_type, "errorMessage": "..."}} if error_type else {}
    )

    assert failed(condition, **answer).has_unknown_outcomes is is_unknown


def test_a_failure_names_the_alarm_that_was_left_undone_or_none_where_it_was_a_heartbeat() -> None:
    fired_at = datetime(2026, 11, 20, 15, 27, tzinfo=UTC)
    over_alarm = failed(requestPayload=an_alarm_event(CRITICAL_ALARM, changed_at=fired_at))
    over_heartbeat = failed(requestPayload={"detail-type": "Scheduled Event"})
    over_nonsense = failed(requestPayload={"Records": [{"Sns": {"Message": NESTED_TOO_DEEPLY}}]})

    assert over_alarm.alarm == Alarm(
        CRITICAL_ALARM.rpartition(":")[2], CRITICAL_ALARM, "ALARM", changed_at=fired_at
    )
    assert over_heartbeat.alarm is None
    assert over_nonsense.alarm is None


@pytest.mark.parametrize(
    "message",
    [NESTED_TOO_DEEPLY, "[]", "disk full", "7", '{"requestContext": {}}', '{"AlarmName": "x"}'],
)
def test_what_is_not_a_record_of_lambdas_is_one_clear_error(message: str) -> None:
    with pytest.raises(
        ForeignEventError, match="message message-1: expected Lambda's record of a Report"
    ):
        read_delivery(message, "message-1")


def test_a_failure_s_record_has_one_place_however_often_it_is_delivered() -> None:
    expected = (
        "failures/responder/2026/11/20/152738.500000-6fb81a4e-90f1-4e34-8c0c-1a5d8f6a1f1e.json"
    )

    assert failed().evidence == expected


# The queue's own messages


def test_what_sns_put_into_the_queue_is_read() -> None:
    delivery = read_message(in_queue(a_success(a_report(), "run-1")))
    assert isinstance(delivery, ReportDelivery)
    assert delivery.request_id == "run-1"


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("no JSON", "expected a message of SNS; found none .JSONDecodeError"),
        (NESTED_TOO_DEEPLY, "expected a message of SNS; found none .RecursionError"),
        ("[]", "expected a message of SNS; found none .TypeError"),
        ("null", "expected a message of SNS; found none .TypeError"),
        ("{}", "expected a message of SNS; found none .KeyError"),
        (json.dumps({"Message": None}), "expected Lambda's record .*TypeError"),
        (
            json.dumps({"Message": "{}", "MessageId": "m-1"}),
            "message m-1: expected Lambda's record",
        ),
    ],
)
def test_anything_else_is_refused(message: str, problem: str) -> None:
    with pytest.raises(ForeignEventError, match=problem):
        read_message(message)
