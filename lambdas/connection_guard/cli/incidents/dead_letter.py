"""A message of the dead-letter queue, explained: what it is, and whether the reporter reads it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.delivery import (
    Delivery,
    FailureDelivery,
    GuardAlarmDelivery,
    database_of,
    read_message,
)
from connection_guard.core.incident.report_entry import entry_of
from connection_guard.core.words import printable, shown, spelled
from connection_guard.errors import ForeignEventError

MILLISECONDS = 1000


class LetterOutcome(StrEnum):
    """What became of a message."""

    LEFT = "left"
    SENT_AGAIN = "sent again"
    SENT_AND_LEFT = "sent again, but not deleted"
    DELETED = "deleted"


@dataclass(slots=True)
class DeadLetter:
    """A message as SQS delivers it. `receipt` allows deleting it. `what` is "report", "failure",
    "guard alarm" or "unreadable"; of the last, `problem` says why, and the rest is None.
    """

    id: str
    receipt: str
    body: str
    sent_at: datetime
    receives: int
    what: str
    database: str | None
    run: str | None
    headline: str | None
    problem: str | None
    fate: LetterOutcome = LetterOutcome.LEFT

    @property
    def is_readable(self) -> bool:
        """Return whether the reporter can read it."""
        return self.problem is None


def dead_letter(
    message: Mapping[str, Any], databases: Sequence[WatchedDatabase], stack: WatchedDatabase
) -> DeadLetter:
    """Return what SQS delivered, read as the reporter reads it."""
    attributes = message["Attributes"]
    body = message["Body"]
    what, database, run, headline, problem = "unreadable", None, None, None, None
    try:
        delivery = read_message(body)
        entry = entry_of(delivery, evidence=None)
        what, run, headline = _what(delivery), delivery.request_id, entry.headline
        database = database_of(delivery, databases, stack).identifier
    except ForeignEventError as error:
        problem = str(error)
    return DeadLetter(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=body,
        sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / MILLISECONDS, UTC),
        receives=int(attributes["ApproximateReceiveCount"]),
        what=what,
        database=database,
        run=run,
        headline=headline,
        problem=problem,
    )


def _what(delivery: Delivery) -> str:
    match delivery:
        case GuardAlarmDelivery():
            return "guard alarm"
        case FailureDelivery():
            return "failure"
        case _:
            return "report"


def letter_document(letter: DeadLetter, now: datetime) -> dict[str, Any]:
    """Return what a program reads of it; the body is what --save keeps."""
    return {
        "id": letter.id,
        "sent_at": letter.sent_at,
        "seconds": (now - letter.sent_at).total_seconds(),
        "receives": letter.receives,
        "what": letter.what,
        "database": letter.database,
        "run": letter.run,
        "headline": letter.headline,
        "problem": letter.problem,
        "fate": letter.fate,
    }


def letters_shown(letters: Iterable[DeadLetter], now: datetime) -> RenderableType:
    """Return a table of the messages."""
    table = Table(box=None, pad_edge=False)
    for column in ("Age", "Received", "What", "Database", "What it says"):
        table.add_column(column)
    for each in letters:
        says = (
            Text(shown(each.headline or ""))
            if each.is_readable
            else Text(shown(each.problem or ""), "red")
        )
        if each.run:
            says.append(f"\n{printable(each.run)}", "dim")
        table.add_row(
            spelled(max(now - each.sent_at, timedelta())),
            f"{each.receives} x",
            each.what,
            Text(shown(each.database or "")),
            says,
        )
    return table
