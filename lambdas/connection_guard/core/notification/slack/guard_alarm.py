"""An alarm about the guard itself: how SNS delivers it, and what Slack shows of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.notification.links import alarm_page
from connection_guard.core.notification.slack.mrkdwn import link, prose
from connection_guard.core.notification.slack.slack_blocks import (
    TEXT_MOST,
    Message,
    header,
    section,
)

DESCRIPTION_MOST = 1_500
REASON_MOST = 500


@dataclass(frozen=True, slots=True)
class GuardAlarm:
    """A change of its state. `function` is the Lambda function that it watches, None where it
    watches no function.
    """

    name: str
    description: str
    state: str
    before: str
    reason: str
    function: str | None

    @property
    def is_news(self) -> bool:
        """Return whether it fires or clears: a new alarm also reports OK once."""
        return AlarmState.ALARM in (self.state, self.before)


def comes_from(event: Mapping[str, Any], topic: str) -> bool:
    """Return whether SNS delivers it from this topic."""
    try:
        (record,) = event["Records"]
        return bool(record["Sns"]["TopicArn"] == topic)
    except (KeyError, TypeError, ValueError):
        return False


def read_guard_alarm(event: Mapping[str, Any]) -> GuardAlarm | None:
    """Return the alarm that SNS delivered, None for anything else."""
    try:
        (record,) = event["Records"]
        message = json.loads(record["Sns"]["Message"])
        return GuardAlarm(
            name=str(message["AlarmName"]),
            description=str(message.get("AlarmDescription") or ""),
            state=str(message["NewStateValue"]),
            before=str(message.get("OldStateValue")),
            reason=str(message.get("NewStateReason") or ""),
            function=_function(message.get("Trigger") or {}),
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return None


def _function(trigger: Mapping[str, Any]) -> str | None:
    names = [
        each["value"] for each in trigger.get("Dimensions") or [] if each["name"] == "FunctionName"
    ]
    return names[0] if names else None


def message_of_alarm(alarm: GuardAlarm, region: str) -> Message:
    """Return what Slack shows: the alarm's description says what happened, what it means, and what
    to do.
    """
    is_on = alarm.state == AlarmState.ALARM
    mark, state = ("🔴", "is on") if is_on else ("🟢", "cleared")
    title = f"{mark} Connection Guard: alarm {alarm.name} {state}"
    parts = [prose(alarm.description, DESCRIPTION_MOST)] if is_on else []
    parts += [prose(alarm.reason, REASON_MOST), link(alarm_page(region, alarm.name), "Alarm")]
    return Message(
        text=prose(title, TEXT_MOST),
        blocks=(header(title), section("\n".join(filter(None, parts)))),
    )
