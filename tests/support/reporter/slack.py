"""What tests ask of a message in Slack: its text, that Slack takes it, and that no name formats."""

import re
from collections.abc import Iterable
from datetime import timedelta

from slack_sdk.models.blocks import Block

from connection_guard.core.notification.slack.slack_blocks import Message
from doubles.slack_double import error_in, texts_of_block
from tests.support.reporter.incidents import OPENED

LATER = OPENED + timedelta(minutes=12)


HOSTILE = "<!channel> *b* _i_ ~s~ `c` @here :fire: a|b & &lt; \n\x1b[2J \u202edlrow"


def shown(message: Message) -> str:
    return "\n".join(part["text"] for block in message.blocks for part in texts_of_block(block))


def assert_slack_takes(message: Message) -> None:
    """By slack_sdk's own models, which would also leave out what they do not know, and by what
    Slack documents.
    """
    blocks = list(message.blocks)
    assert [block.to_dict() for block in Block.parse_all(blocks)] == blocks
    assert error_in({"text": message.text, "blocks": blocks}) is None
    assert message.text.strip()


def assert_nothing_is_formatted(text: str) -> None:
    ours = re.sub(r"<https://[^<>|\s]+\|\w+>", "", text)
    assert not re.search("[<>]", ours), "neither a mention nor somebody else's link"
    assert not re.search("&(?!(amp|lt|gt);)", ours)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f]|[\x00-\x09\x0b-\x1f]", ours)
    for line in ours.splitlines():
        words = re.sub("`[^`]+`", "", line)
        assert "`" not in words
        assert not re.search(r"[~@]|\b_\s|\s_\b|:[a-z]+:", words)
        assert not re.search(
            r"\*", re.sub(r"(^[🔴🟠🟡🔵🟢] |^|   |, )\*[A-Z][^*]*\*", "", words)
        ), "only our own titles are bold"


def formatted(message: Message) -> Iterable[str]:
    yield message.text
    for block in message.blocks:
        yield from (text["text"] for text in texts_of_block(block) if text["type"] == "mrkdwn")
