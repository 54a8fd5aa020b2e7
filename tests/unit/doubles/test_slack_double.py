"""The Slack on this machine refuses the buttons that Slack refuses."""

from typing import Any

import pytest

from doubles.slack_double import error_in


def a_button(number: int = 0, *, text: str = "Runbook", **changes: Any) -> dict[str, Any]:
    button = {
        "type": "button",
        "text": {"type": "plain_text", "text": text, "emoji": False},
        "url": "https://wiki.example/runbook",
        "action_id": f"button-{number}",
    }
    return button | changes


def error_in_row(*buttons: dict[str, Any]) -> str | None:
    return error_in({"text": "text", "blocks": [{"type": "actions", "elements": list(buttons)}]})


@pytest.mark.parametrize(
    "buttons",
    [
        [a_button(number) for number in range(25)],
        [a_button(text="x" * 75)],
        [a_button(url="https://x/" + "y" * 2_990)],
    ],
    ids=["number", "text", "url"],
)
def test_buttons_within_the_limits_are_taken(buttons: list[dict[str, Any]]) -> None:
    assert error_in_row(*buttons) is None


@pytest.mark.parametrize(
    "buttons",
    [
        [],
        [a_button(number) for number in range(26)],
        [a_button(text="x" * 76)],
        [a_button(text="")],
        [a_button(url="https://x/" + "y" * 2_991)],
        [a_button(url="")],
        [a_button(1), a_button(1)],
        [a_button() | {"text": {"type": "mrkdwn", "text": "Runbook"}}],
        [a_button(style="loud")],
        [{"type": "checkboxes"}],
    ],
    ids=["none", "number", "text", "no text", "url", "no url", "same", "mrkdwn", "style", "other"],
)
def test_other_buttons_are_refused(buttons: list[dict[str, Any]]) -> None:
    assert error_in_row(*buttons) == "invalid_blocks"
