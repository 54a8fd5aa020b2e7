"""How the conversation in Slack and the e-mails look: in the terminal, and on a page."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.text import Text

from demo.applications import ROOT
from demo.local_reporter import LocalReporter
from demo.quick import DIVIDED_BY
from demo.show.slack_page import conversation_page, spans
from demo.show.terminal import Terminal

PAGE = ROOT / ".cache" / "demo" / "conversation.html"
CHANNEL = "database-incidents"
MADE_UP = (
    "The links and the usage of the last hours are made up: there is no AWS here. Everything else "
    f"happened in make demo, with every time that the guard uses divided by {DIVIDED_BY}."
)
# The headline, the overview, and what was done.
PARTS_OF_EMAIL = 3

STYLES = {"text": "", "bold": "bold", "code": "cyan", "link": "blue", "mention": "blue"}


def show_conversation(terminal: Terminal, reporter: LocalReporter) -> None:
    """Show the message with its thread, and the e-mails."""
    message = reporter.posted
    terminal.say(
        f"[bold]In Slack[/], the same message, edited in place (edit {len(message.edits)}):\n"
    )
    show_message(terminal, message.content)
    terminal.say("\n[bold]In its thread[/]")
    for reply in reporter.slack.thread_of(message):
        show_message(terminal, reply.content)
    emails = reporter.outbox.emails
    for number, (subject, _) in enumerate(emails, start=1):
        terminal.say(Text(f"\nE-mail {number}: {subject}", style="bold"))
    terminal.say(Text("\n\n".join(emails[-1][1].split("\n\n")[:PARTS_OF_EMAIL])))
    terminal.say(
        "\n... and, as in Slack, the spared sessions, the cause, the timeline and the links."
    )


def write_page(reporter: LocalReporter) -> Path:
    """Write the conversation as it looks in Slack, and return the page's path."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(conversation_page(CHANNEL, reporter.slack.messages, MADE_UP), encoding="utf-8")
    return PAGE


def show_message(terminal: Terminal, content: Mapping[str, Any]) -> None:
    """Show a message as Slack received it."""
    lines = (_styled(line) for block in content["blocks"] for line in _lines(block))
    terminal.say_beside_bar(lines)


def _lines(block: Mapping[str, Any]) -> Iterator[str]:
    match block:
        case {"type": "header", "text": text}:
            yield f"*{text['text']}*"
        case {"fields": fields}:
            yield from (field["text"].replace("\n", ": ", 1) for field in fields)
        case {"type": "actions", "elements": buttons}:
            yield " ".join(f"[{button['text']['text']}]" for button in buttons)
        case {"elements": elements}:
            yield from (element["text"] for element in elements)
        case {"text": text}:
            yield from text["text"].split("\n")


def _styled(mrkdwn: str) -> Text:
    """Style a line as Slack does; a link is shown as its text."""
    return Text.assemble(*((span.text, STYLES[span.kind]) for span in spans(mrkdwn)))
