"""An alarm on the guard itself, as CloudWatch notifies of it through SNS, and what Slack shows of
it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connection_guard.core.deployment.alarm import AlarmState
from connection_guard.core.notification.links import alarm_page
from connection_guard.core.notification.mrkdwn import link, plain, prose
from connection_guard.core.notification.slack_message import (
    GREEN,
    HEADER_MOST,
    RED,
    TEXT_MOST,
    Message,
)

DESCRIPTION_MOST = 1_500
REASON_MOST = 500


@dataclass(frozen=True, slots=True)
class GuardAlarm:
    """A change of its state. `function` is the Lambda function that it watches, None where it
    watches none.
    """

    name: str
    description: str
    state: str
    before: str
    reason: str
    function: str | None

    @property
    def is_news(self) -> bool:
        """Whether it fires or is over: each alarm also says OK once when it is new."""
        return AlarmState.ALARM in (self.state, self.before)


def comes_from(event: Mapping[str, Any], topic: str) -> bool:
    """Return whether SNS delivers it from this topic."""
    try:
        (record,) = event["Records"]
        return bool(record["Sns"]["TopicArn"] == topic)
    except (KeyError, TypeError, ValueError):
        return False


def read_guard_alarm(event: Mapping[str, Any]) -> GuardAlarm | None:
    """Return the alarm of which SNS notifies, None for whatever else SNS delivers."""
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
    """Return what Slack shows: what happened, what it means, and what to do stand in the alarm's
    description.
    """
    is_on = alarm.state == AlarmState.ALARM
    mark, standing = ("🔴", "on") if is_on else ("🟢", "over")
    title = f"{mark} Connection Guard: alarm {alarm.name} is {standing}"
    parts = [prose(alarm.description, DESCRIPTION_MOST)] if is_on else []
    parts += [prose(alarm.reason, REASON_MOST), link(alarm_page(region, alarm.name), "Alarm")]
    return Message(
        text=prose(title, TEXT_MOST),
        color=RED if is_on else GREEN,
        blocks=(
            {
                "type": "header",
                "text": {"type": "plain_text", "text": plain(title, HEADER_MOST), "emoji": False},
            },
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "\n".join(filter(None, parts)),
                    "verbatim": True,
                },
            },
        ),
    )
