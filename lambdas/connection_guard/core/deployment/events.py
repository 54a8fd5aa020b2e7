"""The events that the responder serves: alarm notifications, and a heartbeat per minute."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.policy import Tier
from connection_guard.errors import ForeignEventError

# An alarm that comes later than this is about the past and counts as a heartbeat. Late is worse
# than never.
MAXIMUM_EVENT_AGE = timedelta(minutes=5)

# The dimensions that name a database: CloudWatch's for RDS, and that of the guard's own metrics.
DATABASE_DIMENSIONS = frozenset({"DBInstanceIdentifier", "DBClusterIdentifier", "Database"})


class AlarmState(StrEnum):
    """CloudWatch's own literals."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


@dataclass(frozen=True, slots=True)
class AlarmNotification:
    """A state change of one of this database's alarms."""

    alarm_arn: str
    alarm_name: str
    tier: Tier
    state: AlarmState
    changed_at: datetime
    reason: str

    @property
    def key(self) -> str:
        """The name of the event: a state change has the same key each time it is delivered."""
        return f"{self.alarm_arn}@{self.changed_at.isoformat()}"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The scheduled event, one per minute."""

    at: datetime

    @property
    def key(self) -> str:
        """The name of the event."""
        return f"heartbeat@{self.at.isoformat()}"


Event = AlarmNotification | Heartbeat


def to_be_served(
    kept: Iterable[AlarmNotification], event: Event, now: datetime
) -> list[AlarmNotification]:
    """Return the alarms that are on at `now`, as far as known: those `kept`, and the event where it
    is one.

    Late is worse than never: one older than MAXIMUM_EVENT_AGE, or one that has ended since, is left
    out.
    """
    if not isinstance(event, AlarmNotification):
        known = [*kept]
    elif event.state is AlarmState.ALARM:
        known = [*kept, event]
    else:
        known = [
            each
            for each in kept
            if each.alarm_arn != event.alarm_arn or each.changed_at > event.changed_at
        ]
    return [each for each in known if now - each.changed_at <= MAXIMUM_EVENT_AGE]


def read_event(event: object, settings: ResponderSettings) -> Event:
    """Return the alarm notification or heartbeat that Lambda delivered; unknown fields are ignored.

    Raises ForeignEventError for anything else, and for the alarm of another database.
    """
    if not isinstance(event, Mapping):
        raise _foreign(settings, f"a {type(event).__name__}")
    if event.get("detail-type") == "Scheduled Event":
        return Heartbeat(_time(event.get("time"), "time", settings))
    records = event.get("Records")
    if not isinstance(records, list) or len(records) != 1:
        raise _foreign(settings, "no single SNS record and no scheduled event")
    try:
        message = json.loads(records[0]["Sns"]["Message"])
        return _notification(message, settings)
    except (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError) as wrong:
        raise _foreign(
            settings, f"a record without an alarm ({type(wrong).__name__}: {wrong})"
        ) from wrong


def database_dimensions(trigger: Mapping[str, Any]) -> Iterator[str]:
    """Yield the databases that a single-metric or a metric-math alarm watches, by the `Trigger` of
    its notification.
    """
    metrics = [
        trigger,
        *(query.get("MetricStat", {}).get("Metric", {}) for query in trigger.get("Metrics", [])),
    ]
    for metric in metrics:
        for dimension in metric.get("Dimensions", []):
            if dimension.get("name") in DATABASE_DIMENSIONS:
                yield dimension["value"]


def _notification(message: Mapping[str, Any], settings: ResponderSettings) -> AlarmNotification:
    arn = message["AlarmArn"]
    tier = settings.alarms.get(arn)
    named = set(database_dimensions(message.get("Trigger") or {}))
    if tier is None or (named and settings.database not in named):
        raise _foreign(settings, f"alarm {arn} of {', '.join(sorted(named)) or 'no database'}")
    state = message["NewStateValue"]
    if state not in list(AlarmState):
        raise _foreign(settings, f"alarm state {state!r}")
    return AlarmNotification(
        alarm_arn=arn,
        alarm_name=str(message.get("AlarmName", arn)),
        tier=tier,
        state=AlarmState(state),
        changed_at=_time(message["StateChangeTime"], "StateChangeTime", settings),
        reason=str(message.get("NewStateReason", "")),
    )


def _time(text: object, field: str, settings: ResponderSettings) -> datetime:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError as wrong:
        raise _foreign(settings, f"{field} {text!r}") from wrong
    if time.tzinfo is None:
        raise _foreign(settings, f"{field} {text!r} without a time zone")
    return time


def _foreign(settings: ResponderSettings, found: str) -> ForeignEventError:
    return ForeignEventError(
        f"expected an SNS notification from one of the {len(settings.alarms)} alarms of "
        f"{settings.database}, or a scheduled event; found {found}"[:1000]
    )
