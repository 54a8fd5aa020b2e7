"""Builders of what SNS delivers to the reporter: Lambda's records of the responder's runs."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from connection_guard.core.incident.delivery import Delivery, read_delivery
from tests.support.builders import CRITICAL_ALARM, WARNING_ALARM, an_alarm_event

REGION = "eu-central-1"
FUNCTION_NAME = "responder"
REQUEST = "6fb81a4e-90f1-4e34-8c0c-1a5d8f6a1f1e"

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def a_report(
    kind: str = "remediation",
    at: datetime | None = None,
    *,
    tier: str = "critical",
    alarm: str | None = None,
    used: int | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return one of docs/examples, received then; `alarm` is the state of the alarm of that tier
    that it answers.
    """
    report: dict[str, Any] = json.loads((EXAMPLES / f"report-{kind}.json").read_text())
    if at is not None:
        report["received_at"] = report["event"]["at"] = at.isoformat()
    if alarm is not None:
        arn = CRITICAL_ALARM if tier == "critical" else WARNING_ALARM
        report["tier"] = tier
        report["event"]["alarm"] = {
            "name": arn.rpartition(":")[2],
            "arn": arn,
            "tier": tier,
            "state": alarm,
            "reason": "",
        }
        report["event"]["type"] = "alarm"
        report["recovered"] = False
    if used is not None:
        report["before"] = {
            **report["before"],
            "used": used,
            "utilisation": 100 * used / report["before"]["usable"],
        }
        report["after"] = None
    return {**report, **changes}


def a_record(
    condition: str, request_id: str = REQUEST, function: str = FUNCTION_NAME, **more: object
) -> dict[str, Any]:
    """Lambda's record of an asynchronous invocation of the function with that name."""
    return {
        "version": "1.0",
        "timestamp": "2026-11-20T15:27:38.500Z",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"arn:aws:lambda:{REGION}:123456789012:function:{function}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": 1,
        },
        "requestPayload": an_alarm_event(),
        **more,
    }


def a_success(
    report: object, request_id: str = REQUEST, function: str = FUNCTION_NAME
) -> dict[str, Any]:
    """Return Lambda's record of a responder with that name, which returned a Report."""
    answer = {"statusCode": 200, "executedVersion": "$LATEST"}
    return a_record("Success", request_id, function, responseContext=answer, responsePayload=report)


def a_crash(
    message: str = "RequestId: 6fb81a4e Error: Runtime exited with error: signal: killed",
) -> dict[str, Any]:
    """Return Lambda's record of a responder that ended without an answer."""
    return a_record(
        "RetriesExhausted",
        responseContext={
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        responsePayload={"errorType": "Runtime.ExitError", "errorMessage": message},
    )


def delivered(condition: str, **more: Any) -> Delivery:
    """Return what the reporter reads of Lambda's record."""
    return read_delivery(json.dumps(a_record(condition, **more)), "message-1")
