"""The parts of messages in Slack: Block Kit, and lists that count what does not fit.

https://docs.slack.dev/reference/block-kit/blocks
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from connection_guard.core.incident.entry import SessionGroup, sessions_in
from connection_guard.core.notification.slack.mrkdwn import (
    code,
    length,
    lines_that_fit,
    prose,
)
from connection_guard.core.notification.status import Status
from connection_guard.core.words import counted

TEXT_MOST = 300
LINE_MOST = 300
FIELD_MOST = 150
SUMMARY_MOST = 1_500
OWNER_MOST = 200
URL_MOST = 3_000

# Readers see how grave it is before they read.
MARKS = {
    Status.ACTION_REQUIRED: "🔴",
    Status.CRITICAL: "🟠",
    Status.WARNING: "🟡",
    Status.INCIDENT: "🟠",
    Status.RECOVERING: "🔵",
    Status.RESOLVED: "🟢",
    Status.FOLLOWED: "🟢",
}

MORE_IS_NOT_KNOWN = "… it is not known whether more were terminated: see the log"

Block = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """`blocks`, in Block Kit as JSON, are all that readers see in Slack; `text` is what their
    notification says.
    """

    text: str
    blocks: tuple[Block, ...]


def section(text: str) -> Block:
    """Return a part of the message."""
    return {"type": "section", "text": mrkdwn(text)}


def small_print(text: str) -> Block:
    """Return a line in small letters, which Slack calls a context."""
    return {"type": "context", "elements": [mrkdwn(text)]}


def buttons(pages: Mapping[str, str | None]) -> tuple[Block, ...]:
    """Return a row of links to the pages that there are, by what each is called."""
    elements = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": name, "emoji": False},
            "url": url,
            "action_id": name.lower(),
        }
        for name, url in pages.items()
        if url and length(url) <= URL_MOST
    ]
    return ({"type": "actions", "elements": elements},) if elements else ()


def mrkdwn(text: str) -> Block:
    """Return a text object. Verbatim: names of channels and addresses in it do not become links."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def listed(
    title: str, things: Sequence[T], line_of: Callable[[T], str], most: int, noun: str
) -> str | None:
    """Return the title and as many lines as fit, None for no lines."""
    if not things:
        return None
    shown = lines_that_fit(map(line_of, things), most - len(title))
    rest = more(things[len(shown) :], noun)
    return "\n".join([f"*{title}*", *shown, *([rest] if rest else [])])


def point(text: str) -> str:
    """Return a line of a list."""
    return f"• {prose(text, LINE_MOST)}"


def more(rest: Sequence[object], noun: str) -> str | None:
    """Return how many things were left out."""
    return f"… and {counted(len(rest), f'more {noun}')}" if rest else None


def terminated(
    groups: Sequence[SessionGroup], most: int, *, has_unknown_outcomes: bool
) -> str | None:
    """Return what was terminated, and whether it may have been more."""
    if not has_unknown_outcomes:
        return session_groups("Terminated", groups, most)
    if not groups:
        return "*Terminated*: not known; see the log"
    known = session_groups("Terminated", groups, most - length(MORE_IS_NOT_KNOWN))
    return f"{known}\n{MORE_IS_NOT_KNOWN}"


def would_terminate(groups: Sequence[SessionGroup], most: int) -> str | None:
    """Return what was chosen and not allowed to be terminated."""
    return session_groups("Would have terminated", groups, most)


def session_groups(title: str, groups: Sequence[SessionGroup], most: int) -> str | None:
    """Return groups of sessions, one line each, None where there is none."""
    if not groups:
        return None
    title = f"*{title}*: {_sessions(groups)}"
    shown = lines_that_fit(map(_group, groups), most - length(title))
    rest = groups[len(shown) :]
    return "\n".join(
        [title, *shown, *([f"{more(rest, 'group')}, {_sessions(rest)}"] if rest else [])]
    )


def _group(group: SessionGroup) -> str:
    who = f"{code(group.role)} / {code(group.application)}"
    state = f", {prose(group.state, 50)}" if group.state else ""
    rule = f", rule {code(group.rule)}" if group.has_rule else ""
    return f"• {group.sessions} of {who}{state}{rule}: {prose(group.reason, 150)}"


def _sessions(groups: Sequence[SessionGroup]) -> str:
    return counted(sessions_in(groups), "session")
