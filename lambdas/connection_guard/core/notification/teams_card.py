"""An incident as an Adaptive Card in Microsoft Teams.

https://learn.microsoft.com/en-us/adaptive-cards/create/textfeatures
"""

from typing import Any

from connection_guard.core.notification.status import Status, status_of
from connection_guard.core.notification.summary import summary_of
from connection_guard.core.notification.view import View

# Teams takes 28 KB, of which the summary's lines take the lesser part.
URL_MOST = 1500

_COLORS = {
    Status.ACTION_REQUIRED: "attention",
    Status.CRITICAL: "attention",
    Status.INCIDENT: "attention",
    Status.WARNING: "warning",
}

Element = dict[str, Any]


def card_of(view: View) -> Element:
    """Return the card: the summary, and buttons that are links.

    Every text is a run of a RichTextBlock, in which nothing formats: a TextBlock would obey the
    Markdown in a client's name.
    """
    summary = summary_of(view)
    title = _run(summary.first_line, weight="bolder", color=_COLORS.get(status_of(view.incident)))
    parts = [_part(title, text) for title, text in summary.parts]
    if summary.owner:
        parts.append(_part("Owner", summary.owner))
    if summary.usage:
        parts.append(_text(_run(summary.usage, isSubtle=True)))
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": summary.first_line,
        "msteams": {"width": "Full"},
        "body": [_text(title), *parts],
        "actions": [
            {"type": "Action.OpenUrl", "title": title, "url": page}
            for title, page in view.pages
            if len(page) <= URL_MOST
        ],
    }


def _part(title: str, text: str) -> Element:
    return _text({"type": "TextRun", "text": f"{title}: ", "weight": "bolder"}, _run(text))


def _text(*runs: Element) -> Element:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **style: Any) -> Element:
    chosen = {name: value for name, value in style.items() if value is not None}
    return {"type": "TextRun", "text": text, **chosen}
