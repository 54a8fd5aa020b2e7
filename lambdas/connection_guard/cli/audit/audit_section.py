"""A section of the audit: what was looked for, what was found, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

Cell = str | int | timedelta
"""Text from outside, a count, or a duration."""


@dataclass(frozen=True, slots=True)
class AuditSection:
    """`columns` maps each key of the rows to its title; without rows nothing was found.

    `meaning` says what a finding means and what to do, `well` what it means that there is none.
    `statements` are ready to be run.
    """

    name: str
    title: str
    meaning: str
    well: str
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[Mapping[str, Cell], ...] = ()
    statements: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the section, JSON-ready but for durations."""
        return {
            "name": self.name,
            "title": self.title,
            "findings": len(self.rows),
            "rows": [dict(row) for row in self.rows],
            "statements": list(self.statements),
        }
