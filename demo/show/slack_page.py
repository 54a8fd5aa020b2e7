"""A conversation in Slack as one HTML page that needs nothing else: no script, no font, no picture
from anywhere.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Literal, NamedTuple

from doubles.slack_double import Posted

Block = Mapping[str, Any]

# What of mrkdwn our messages use. https://docs.slack.dev/messaging/formatting-message-text
_MARKED = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|<(?:!subteam\^|@)(?P<mention>[A-Z0-9]+)>"
    r"|<(?P<url>https?://[^|>\s]+)\|(?P<link>[^>\n]+)>"
    r"|(?<!\w)\*(?P<bold>[^*\s](?:[^*\n]*[^*\s])?)\*(?!\w)"
)
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}

TEMPLATE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
AVATAR = '<svg class="avatar" viewBox="0 0 40 40" aria-hidden="true"><use href="#shield"/></svg>'


class Span(NamedTuple):
    """A stretch of mrkdwn as readers see it; only links have a `url`."""

    kind: Literal["text", "bold", "code", "link", "mention"]
    text: str
    url: str = ""


def spans(mrkdwn: str) -> Iterator[Span]:
    """Yield what Slack makes of the text, as far as our messages go. Everything else is text;
    a mention shows the ID, whose name only Slack knows.
    """
    end = 0
    for match in _MARKED.finditer(mrkdwn):
        if before := mrkdwn[end : match.start()]:
            yield Span("text", _unescaped(before))
        end = match.end()
        match match.lastgroup:
            case "code":
                yield Span("code", _unescaped(match["code"]))
            case "bold":
                yield Span("bold", _unescaped(match["bold"]))
            case "mention":
                yield Span("mention", match["mention"])
            case _:
                yield Span("link", _unescaped(match["link"]), _unescaped(match["url"]))
    if rest := mrkdwn[end:]:
        yield Span("text", _unescaped(rest))


def conversation_page(channel: str, messages: Sequence[Posted], note: str) -> str:
    """Return the channel as readers see it now, each thread below its message; `note` is at the
    foot.
    """
    shown = (
        _message(message)
        + _thread([reply for reply in messages if reply.thread == message.timestamp])
        for message in messages
        if message.thread is None
    )
    return TEMPLATE.substitute(
        title=escape(f"#{channel}"),
        channel=escape(channel),
        messages="\n".join(shown),
        note=escape(note),
    )


def _thread(replies: Sequence[Posted]) -> str:
    if not replies:
        return ""
    count = "1 reply" if len(replies) == 1 else f"{len(replies)} replies"
    thread = "".join(map(_message, replies))
    return f'<p class="replies">{count}</p><section class="thread">{thread}</section>'


def _message(message: Posted) -> str:
    at = datetime.fromtimestamp(float(message.timestamp), UTC)
    content = _content(message.content, is_edited=bool(message.edits))
    return (
        f"<article><div>{AVATAR}</div><div>"
        '<p><b>Connection Guard</b> <span class="app">APP</span> '
        f'<span class="time">{at:%H:%M} UTC</span></p>'
        f'<div class="message">{content}</div>{_before(message.edits)}</div></article>'
    )


def _before(edits: Sequence[Mapping[str, Any]]) -> str:
    if not edits:
        return ""
    times = "once" if len(edits) == 1 else f"{len(edits)} times"
    summary = f"<summary>Edited {times}: as it was first posted</summary>"
    content = _content(edits[0], is_edited=False)
    return f'<details>{summary}<div class="message">{content}</div></details>'


def _content(content: Mapping[str, Any], *, is_edited: bool) -> str:
    """Return what readers see: the blocks, and the text only where there are none."""
    blocks = content.get("blocks") or [{"type": "section", "text": _as_mrkdwn(content["text"])}]
    edited = '<p class="edited">(edited)</p>' if is_edited else ""
    return f"{_blocks(blocks)}{edited}"


def _as_mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text}


def _blocks(blocks: Iterable[Block]) -> str:
    return "".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case {"type": "header", "text": text}:
            return f"<h2>{_text(text)}</h2>"
        case {"type": "section", "text": text}:
            return f"<div>{_text(text)}</div>"
        case {"type": "section", "fields": fields}:
            columns = "".join(f"<div>{_text(field)}</div>" for field in fields)
            return f'<div class="fields">{columns}</div>'
        case {"type": "context", "elements": elements}:
            return f'<div class="context">{"".join(map(_text, elements))}</div>'
        case {"type": "actions", "elements": buttons}:
            return f'<div class="actions">{"".join(map(_button, buttons))}</div>'
        case {"type": "divider"}:
            return "<hr>"
    raise ValueError(f"this page does not know the block {block}")


def _button(button: Block) -> str:
    return f'<a class="button" {_link(button["url"])}>{_text(button["text"])}</a>'


def _link(url: str) -> str:
    return f'href="{escape(url)}" rel="noreferrer"'


def _text(text: Mapping[str, Any]) -> str:
    if text["type"] == "plain_text":
        return escape(text["text"])
    return "".join(map(_line, text["text"].split("\n")))


def _line(mrkdwn: str) -> str:
    """Return a paragraph; one that begins with a bullet, or belongs to one, is indented."""
    kind = ""
    if mrkdwn.startswith("• "):
        kind = ' class="bullet"'
    elif mrkdwn.startswith("  "):
        kind = ' class="under"'
    return f"<p{kind}>{''.join(map(_html, spans(mrkdwn)))}</p>"


def _html(span: Span) -> str:
    text = escape(span.text)
    match span.kind:
        case "bold":
            return f"<b>{text}</b>"
        case "code":
            return f"<code>{text}</code>"
        case "link":
            return f"<a {_link(span.url)}>{text}</a>"
        case "mention":
            return f'<b class="mention">@{text}</b>'
    return text


def _unescaped(text: str) -> str:
    """Replace the three entities that Slack knows; it shows every other as it is written."""
    return re.sub("|".join(_ENTITIES), lambda match: _ENTITIES[match[0]], text)
