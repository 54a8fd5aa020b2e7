"""What the reporter does with an alarm about the guard itself: post it in Slack. E-mail gets it
from SNS directly.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.channels.slack_client import post
from connection_guard.adapters.channels.slack_secret import SlackSecret
from connection_guard.core.notification.slack.guard_alarm import message_of_alarm, read_guard_alarm
from connection_guard.errors import NotificationError

logger = Logger(service="connection-guard")


def notify_of_guard_alarm(
    event: Mapping[str, Any],
    *,
    slack_secret: Callable[[], SlackSecret] | None,
    region: str,
    function: str,
) -> None:
    """Post the alarm that came from the incidents topic; everything else that comes from there was
    published by the reporter itself.

    `slack_secret` is None where Slack is not notified, `function` is the name of this function.
    Raises NotificationError, so that Lambda tries again, unless the alarm is about this function:
    then each failed try would set it off again.
    """
    alarm = read_guard_alarm(event)
    if alarm is None or not alarm.is_news or slack_secret is None:
        return
    logger.info("an alarm about the guard itself", alarm=alarm.name, state=alarm.state)
    try:
        post(message_of_alarm(alarm, region), secret=slack_secret())
    except NotificationError as error:
        logger.error(str(error))
        if alarm.function != function:
            raise
