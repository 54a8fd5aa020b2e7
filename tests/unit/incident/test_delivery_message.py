"""A message of the queue is read with its envelope, or refused with what was expected."""

import json

import pytest

from connection_guard.core.incident.delivery import (
    ReportDelivery,
    read_message,
)
from connection_guard.errors import ForeignEventError
from tests.support.reporter.deliveries import a_report, a_success
from tests.support.reporter.outside import in_queue


def test_what_sns_put_into_the_queue_is_read() -> None:
    delivery = read_message(in_queue(a_success(a_report(), "run-1")))
    assert isinstance(delivery, ReportDelivery)
    assert delivery.request_id == "run-1"


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("no JSON", "expected a message of SNS; found none .JSONDecodeError"),
        ("[" * 20_000, "expected a message of SNS; found none .RecursionError"),
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
