"""The responder's part of the demo: the real Responder, and the alarm that it gets."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812

from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.policy import Policy, Tier
from demo.quick import QUICK_WATCH, quick_diagnosis_times
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from responder.respond import Responder

# SNS's event, but for the text in `Message`, which is an object here.
ALARM = Path(__file__).parent / "alarm.json"
LAMBDA_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ResponderContext:
    """What the handler needs of Lambda's context object; `deadline` is on time.monotonic's
    clock.
    """

    deadline: float

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self.deadline - time.monotonic()))


def lambda_context() -> ResponderContext:
    """Return the context of a run that begins now."""
    return ResponderContext(time.monotonic() + LAMBDA_SECONDS)


def alarm_event(state: AlarmState) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return SNS's event for the critical alarm's change to this state right now, and the alarm in
    it.
    """
    event: dict[str, Any] = json.loads(ALARM.read_text())
    notification = event["Records"][0]["Sns"]
    alarm: dict[str, Any] = notification["Message"]
    alarm["StateChangeTime"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "+0000"
    if state is not AlarmState.ALARM:
        alarm |= {"OldStateValue": alarm["NewStateValue"], "NewStateValue": state.value}
        alarm["NewStateReason"] = (
            "Threshold Crossed: 1 datapoint was not greater than or equal to the threshold (90.0)."
        )
        notification["Subject"] = f'{state}: "{alarm["AlarmName"]}" in {alarm["Region"]}'
    notification["Message"] = json.dumps(alarm)
    return event, alarm


def local_responder(
    database: str, postgres: EmbeddedPostgres, policy: Policy, alarm_arn: str
) -> Responder:
    """Return the Lambda handler, which is handed connections without TLS and IAM: a database on
    this machine needs neither.
    """
    settings = ResponderSettings(
        database=database,
        database_name="postgres",
        region="eu-central-1",
        proxy=None,
        direct=Door(DoorName.DIRECT, postgres.host, postgres.port, "connection_guard"),
        warning_percent=75,
        critical_percent=90,
        watch_from_percent=75,
        alarms={alarm_arn: Tier.CRITICAL},
    )

    def connect(door: Door) -> Connection:
        return psycopg2.connect(
            host=door.host,
            port=door.port,
            user=door.role,
            dbname=settings.database_name,
            async_=True,
        )

    return Responder(settings, policy, connect, quick_diagnosis_times(), QUICK_WATCH)
