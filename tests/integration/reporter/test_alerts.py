"""An edit notifies nobody: people are alerted in the thread when action is required of them."""

from typing import Any

import pytest

from doubles.slack_double import SlackDouble
from tests.support.reporter.deliveries import a_report, a_success
from tests.support.reporter.outside import Outside, a_recovery, at, on_a_heartbeat

REFUSAL = "refused: 80 % of all sessions"


def refused(minute: int, **changes: Any) -> dict[str, Any]:
    report = a_report("observation", at(minute), used=97, escalation=REFUSAL, **changes)
    return report if changes else on_a_heartbeat(report)


def alerts(slack: SlackDouble) -> int:
    (message,) = slack.channel_view
    return sum("*Do now*" in str(reply.content) for reply in slack.thread_of(message))


def live(outside: Outside, minute: int, report: dict[str, Any]) -> None:
    outside.every_minute(minute - int((outside.now - at(0)).total_seconds() // 60))
    outside.deliver(a_success(report, f"run-{minute}"))


def test_a_first_message_that_requires_action_is_alert_enough(
    outside: Outside, slack: SlackDouble
) -> None:
    live(outside, 0, refused(0, alarm="ALARM"))
    live(outside, 1, refused(1))
    outside.every_minute(20)

    assert alerts(slack) == 0


def test_only_the_alert_is_shown_to_the_whole_channel(outside: Outside, slack: SlackDouble) -> None:
    live(outside, 0, a_report("observation", at(0), alarm="ALARM", used=97))
    live(outside, 1, refused(1))

    (message,) = slack.channel_view
    shown_to_all = [
        reply
        for reply in slack.thread_of(message)
        if (reply.edits or [reply.content])[0]["reply_broadcast"]
    ]
    assert len(shown_to_all) == alerts(slack) == 1
    assert "*Do now*" in str(shown_to_all[0].content)


@pytest.mark.parametrize("turns", [1, 3, 14])
def test_people_are_alerted_at_once_and_again_after_a_quarter_of_an_hour_however_it_turns(
    outside: Outside, slack: SlackDouble, turns: int
) -> None:
    live(outside, 0, a_report("observation", at(0), alarm="ALARM", used=97))
    live(outside, 1, refused(1))
    assert alerts(slack) == 1
    for turn in range(turns):
        live(outside, 2 + turn, a_recovery(2 + turn) if turn % 2 == 0 else refused(2 + turn))
    assert alerts(slack) == 1

    live(outside, 16, refused(16))
    outside.every_minute(1)

    assert alerts(slack) == 2
