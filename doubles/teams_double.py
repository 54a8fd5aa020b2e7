"""Microsoft Teams behind a workflow's webhook, as far as it is documented.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
https://adaptivecards.io/explorer/
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from doubles.http_double import Answer, HttpDouble

MOST_BYTES = 28 * 1024
MOST_ACTIONS = 6

_CARD = {"$schema", "type", "version", "fallbackText", "msteams", "body", "actions"}
_RUN = {"type", "text", "weight", "color", "isSubtle", "size"}
_COLORS = {"default", "dark", "light", "accent", "good", "warning", "attention"}


class TeamsDouble(HttpDouble):
    """One workflow, which posts to one channel; `cards` is what it posted, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[dict[str, Any]] = []
        self._signature = "unguessable"
        self._refusal: Answer | None = None

    @property
    def webhook(self) -> str:
        return f"{self.origin}{self._path}"

    @property
    def _path(self) -> str:
        return f"/workflows/0123/triggers/manual/paths/invoke?api-version=1&sig={self._signature}"

    def remove(self) -> None:
        """Delete the workflow."""
        self._refusal = _refused(404, "WorkflowNotFound")

    def turn_off(self) -> None:
        """Turn the workflow off."""
        self._refusal = _refused(400, "WorkflowTriggerIsNotEnabled")

    def replace_webhook(self) -> None:
        self._signature = "another"

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._refusal is not None:
            return self._refusal
        if path != self._path:
            return _refused(401, "DirectApiAuthorizationRequired")
        if (seconds := self.wait_at(path)) is not None:
            return self.limited(seconds)
        if len(body) > MOST_BYTES:
            return _refused(413, "RequestEntityTooLarge")
        message = json.loads(body)
        if headers.get("Content-Type") != "application/json" or list(errors_in_card(message)):
            return _refused(400, "TriggerInputSchemaMismatch")
        self.cards += [each["content"] for each in message["attachments"]]
        return Answer(202)


def texts_of(card: dict[str, Any]) -> list[str]:
    """Return the lines of a card as readers see them."""
    return ["".join(run["text"] for run in block["inlines"]) for block in card["body"]]


def errors_in_card(message: dict[str, Any]) -> Iterator[str]:
    """Yield what the workflow would refuse, or Teams would not show."""
    if message.keys() != {"type", "attachments"} or message["type"] != "message":
        yield "not a message with attachments"
        return
    for attachment in message["attachments"]:
        if attachment.get("contentType") != "application/vnd.microsoft.card.adaptive":
            yield "not an Adaptive Card"
            continue
        card = attachment["content"]
        if card.get("type") != "AdaptiveCard" or card.keys() - _CARD:
            yield f"unknown properties: {card.keys() - _CARD}"
        if card.get("version") not in ("1.2", "1.3", "1.4", "1.5"):
            yield "Teams does not show this version"
        yield from _errors_in_actions(card.get("actions", []))
        for block in card["body"]:
            yield from _errors_in_block(block)


def _errors_in_actions(actions: list[dict[str, Any]]) -> Iterator[str]:
    if len(actions) > MOST_ACTIONS:
        yield "Teams shows at most six actions"
    for action in actions:
        if action.keys() != {"type", "title", "url"} or action["type"] != "Action.OpenUrl":
            yield f"not a button that is a link: {action}"
        elif not action["url"].startswith("https://"):
            yield f"not an address: {action['url']}"


def _errors_in_block(block: dict[str, Any]) -> Iterator[str]:
    """Yield the errors of an element. A TextBlock would format, so none is expected."""
    if block.keys() != {"type", "inlines"} or block["type"] != "RichTextBlock":
        yield f"not a RichTextBlock: {block}"
        return
    for run in block["inlines"]:
        is_run = run.get("type") == "TextRun" and not run.keys() - _RUN
        if not is_run or not run.get("text") or run.get("color", "default") not in _COLORS:
            yield f"not a TextRun: {run}"


def _refused(status: int, code: str) -> Answer:
    return Answer(status, json.dumps({"error": {"code": code, "message": "in words"}}))
