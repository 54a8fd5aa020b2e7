"""A pause of the guard, as the database keeps it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """While it lasts, every run only observes.

    `until` is when it ends by itself, by the database's clock; None where it does not. `note` says
    who paused the guard, and why, as a person wrote it; empty where nobody did.
    """

    until: datetime | None = None
    note: str = ""
