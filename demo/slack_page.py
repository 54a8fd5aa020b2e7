"""A conversation in Slack as one HTML page that needs nothing else: no script, no font, no picture
from anywhere.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Literal, NamedTuple

from doubles.slack_double import Posted

Block = Mapping[str, Any]

# What of mrkdwn our messages use. https://docs.slack.dev/messaging/formatting-message-text
_MARKED = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|<(?P<url>https?://[^|>\s]+)\|(?P<link>[^>\n]+)>"
    r"|(?<!\w)\*(?P<bold>[^*\s](?:[^*\n]*[^*\s])?)\*(?!\w)"
)
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header><b>#</b> {channel}</header>
{messages}
<footer>{note}</footer>
</main>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --desk: #f4f2f5; --ink: #1d1c1d; --pale: #616061; --line: #e4e1e6;
  --link: #1264a3; --code: #b3124a; --code-paper: #f7f6f8; }
@media (prefers-color-scheme: dark) { :root { --paper: #1a1d21; --desk: #111315; --ink: #d8d9da; --pale: #9b9da0;
  --line: #34373b; --link: #4ba3e3; --code: #f08aa5; --code-paper: #24272b; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 20px; background: var(--desk); color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.46 -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 780px; margin: auto; background: var(--paper); border: 1px solid var(--line); border-radius: 12px; }
header { padding: 13px 20px; border-bottom: 1px solid var(--line); font-weight: 700; font-size: 17px; }
header b, .time, .app, .edited, .context, .replies, footer { color: var(--pale); }
footer { padding: 12px 20px; border-top: 1px solid var(--line); font-size: 12.5px; }
article { display: grid; grid-template-columns: 40px 1fr; gap: 0 12px; padding: 16px 20px 6px; }
article > div { min-width: 0; }
svg { display: block; width: 100%; border-radius: 8px; }
p { margin: 0; }
.time, .edited { font-size: 12px; }
.app { margin: 0 4px; padding: 1px 4px; border-radius: 3px; background: var(--line); font-size: 10px;
  font-weight: 700; }
.attachment { margin: 6px 0 8px; padding: 1px 0 1px 14px; border-left: 4px solid; border-radius: 2px; }
.attachment > div { color: var(--ink); }
.attachment > div > * { margin: 9px 0; }
h2 { font-size: 17.5px; line-height: 1.3; }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 9px 20px; }
.bullet { padding-left: 10px; text-indent: -10px; }
.under { padding-left: 10px; }
.context { font-size: 12.5px; }
hr { border: 0; border-top: 1px solid var(--line); }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
code { padding: 1px 4px; border: 1px solid var(--line); border-radius: 3px; background: var(--code-paper);
  color: var(--code); font: 12.5px/1.4 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; text-indent: 0; }
.context code { color: inherit; font-size: 11.5px; }
summary { cursor: pointer; font-size: 13px; color: var(--link); }
.replies { margin: 0 20px 0 72px; padding-top: 8px; border-top: 1px solid var(--line); font-size: 13px; }
.thread { margin-left: 52px; padding-bottom: 10px; }
.thread article { grid-template-columns: 24px 1fr; padding-top: 8px; }
.thread .attachment > div > * { margin: 5px 0; }
@media (max-width: 560px) {
  body { padding: 0; }
  main { border: 0; border-radius: 0; }
  article, header, footer { padding-left: 12px; padding-right: 12px; }
  .fields { grid-template-columns: 1fr; }
  .thread { margin-left: 20px; }
  .replies { margin: 0 12px 0 32px; }
}
"""

AVATAR = """<svg viewBox="0 0 40 40" aria-hidden="true"><rect width="40" height="40" fill="#0f766e"/>
<path d="M20 7l11 4v8c0 7-4.500 11.500-11 14-6.500-2.500-11-7-11-14v-8z" fill="#fff"/>
<path d="M14.500 20l4 4 7.500-8" fill="none" stroke="#0f766e" stroke-width="3" stroke-linecap="round"/></svg>"""


class Span(NamedTuple):
    """A stretch of mrkdwn as readers see it; `url` is of links alone."""

    kind: Literal["text", "bold", "code", "link"]
    text: str
    url: str = ""


def spans(mrkdwn: str) -> Iterator[Span]:
    """What Slack makes of the text, as far as our messages go. Everything else, mentions too, is
    text.
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
            case _:
                yield Span("link", _unescaped(match["link"]), _unescaped(match["url"]))
    if rest := mrkdwn[end:]:
        yield Span("text", _unescaped(rest))


def conversation_page(channel: str, messages: Sequence[Posted], note: str) -> str:
    """The channel by this name as readers see it now, each thread under its message; `note` is at
    the foot.
    """
    top = [message for message in messages if message.thread is None]
    told = (
        _message(message)
        + _thread([reply for reply in messages if reply.thread == message.timestamp])
        for message in top
    )
    return TEMPLATE.format(
        title=escape(f"#{channel}"),
        style=STYLE,
        channel=escape(channel),
        messages="\n".join(told),
        note=escape(note),
    )


def _thread(replies: Sequence[Posted]) -> str:
    if not replies:
        return ""
    count = "1 reply" if len(replies) == 1 else f"{len(replies)} replies"
    return f'<p class="replies">{count}</p><section class="thread">{"".join(map(_message, replies))}</section>'


def _message(message: Posted) -> str:
    at = datetime.fromtimestamp(float(message.timestamp), UTC)
    return (
        f"<article><div>{AVATAR}</div><div>"
        f'<p><b>Connection Guard</b> <span class="app">APP</span> <span class="time">{at:%H:%M} '
        f"UTC</span></p>{_content(message.content, is_edited=bool(message.edits))}{_before(message.edits)}</div></article>"
    )


def _before(edits: Sequence[Mapping[str, Any]]) -> str:
    if not edits:
        return ""
    times = "once" if len(edits) == 1 else f"{len(edits)} times"
    summary = f"<summary>Edited {times}: as it was posted at first</summary>"
    return f"<details>{summary}{_content(edits[0], is_edited=False)}</details>"


def _content(content: Mapping[str, Any], *, is_edited: bool) -> str:
    text = "".join(map(_html, spans(content.get("text", ""))))
    edited = ' <span class="edited">(edited)</span>' if is_edited else ""
    attachments = "".join(map(_attachment, content.get("attachments", [])))
    return f"<p>{text}{edited}</p>{_blocks(content.get('blocks', []))}{attachments}"


def _attachment(attachment: Mapping[str, Any]) -> str:
    bar = f'<div class="attachment" style="border-color:{_color(attachment["color"])}">'
    return f"{bar}<div>{_blocks(attachment['blocks'])}</div></div>"


def _color(color: str) -> str:
    return color if re.fullmatch(r"#[0-9A-Fa-f]{6}", color) else "currentColor"


def _blocks(blocks: Iterable[Block]) -> str:
    return "".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case {"type": "header", "text": text}:
            return f"<h2>{_text(text)}</h2>"
        case {"type": "section", "text": text}:
            return f"<div>{_text(text)}</div>"
        case {"type": "section", "fields": fields}:
            return f'<div class="fields">{"".join(f"<div>{_text(field)}</div>" for field in fields)}</div>'
        case {"type": "context", "elements": elements}:
            return f'<div class="context">{"".join(map(_text, elements))}</div>'
        case {"type": "divider"}:
            return "<hr>"
    raise ValueError(f"a block that this page does not know: {block}")


def _text(text: Mapping[str, Any]) -> str:
    if text["type"] == "plain_text":
        return escape(text["text"])
    return "".join(map(_line, text["text"].split("\n")))


def _line(mrkdwn: str) -> str:
    """What follows a bullet, or belongs to it, is set under it."""
    kind = (
        ' class="bullet"'
        if mrkdwn.startswith("• ")
        else ' class="under"'
        if mrkdwn.startswith("  ")
        else ""
    )
    return f"<p{kind}>{''.join(map(_html, spans(mrkdwn)))}</p>"


def _html(span: Span) -> str:
    text = escape(span.text)
    match span.kind:
        case "bold":
            return f"<b>{text}</b>"
        case "code":
            return f"<code>{text}</code>"
        case "link":
            return f'<a href="{escape(span.url)}" rel="noreferrer">{text}</a>'
    return text


def _unescaped(text: str) -> str:
    """Slack knows three entities, and shows every other as it is written."""
    return re.sub("|".join(_ENTITIES), lambda match: _ENTITIES[match[0]], text)
