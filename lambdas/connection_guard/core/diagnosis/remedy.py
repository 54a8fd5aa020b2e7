"""Remedies as values: what to do in the database, which only the adapter of its engine can word."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class RemedyKind(StrEnum):
    """What a remedy does."""

    END_IDLE_TRANSACTIONS = "end idle transactions"
    END_IDLE_SESSIONS = "end idle sessions"
    END_LONG_TRANSACTIONS = "end long transactions"
    LIMIT_ROLE = "limit role"
    LIMIT_DATABASE = "limit database"
    UNLIMIT_ROLE = "unlimit role"
    TERMINATE_SESSION = "terminate session"
    CANCEL_STATEMENT = "cancel statement"
    INSPECT_PROCESS = "inspect process"
    END_PREPARED_TRANSACTION = "end prepared transaction"
    LOG_LOGINS = "log logins"
    SHORTEN_LOGINS = "shorten logins"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do. `name` is that of the role or database, `number` the limit or the pid."""

    kind: RemedyKind
    name: str = ""
    number: int = 0


Parts = tuple[str | Remedy, ...]

Advice = str | Parts
"""A text, or its parts where a Remedy among them is worded only when the advice is written down."""

Wording = Callable[[Remedy], str]
"""Returns a remedy in the words of the engine: a statement, or a clause that names a setting."""


def worded_advice(advice: Advice, wording: Wording) -> str:
    """Return the advice as one text."""
    parts = (advice,) if isinstance(advice, str) else advice
    return "".join(part if isinstance(part, str) else wording(part) for part in parts)
