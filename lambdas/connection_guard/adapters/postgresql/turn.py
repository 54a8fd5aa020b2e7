"""One run at a time: the execution environments of one guard take turns by a lock in the database.

A run writes what the next one has to know while it has the turn.
"""

from collections.abc import Collection
from typing import NamedTuple

from connection_guard.adapters.postgresql.guard_session import GuardSession, execute
from connection_guard.core.decision.engagement import Engagement, to_text

# A number that other advisory locks are unlikely to have.
TURN = int.from_bytes(b"connguar", "big")

MEMORY = "connection-guard "
"""What precedes an engagement where the database keeps it."""


class Turn(NamedTuple):
    """Whether this session has the turn; where another session has it, its pid and role, and
    whether that is the guard's own.
    """

    is_taken: bool
    holder: int | None
    role: str
    is_guard: bool


def take_turn(session: GuardSession, guard_roles: Collection[str], deadline: float) -> Turn:
    """Take the turn if it is free, without waiting. Raise DatabaseError as `execute` does."""
    (row,) = execute(
        session, "take_turn", {"turn": TURN, "guard_roles": list(guard_roles)}, deadline
    )
    return Turn(*row)


def end_turn(session: GuardSession, deadline: float) -> None:
    """Leave the turn to another run. Raise DatabaseError as `execute` does."""
    execute(session, "end_turn", {}, deadline)


def remember(session: GuardSession, engagement: Engagement, deadline: float) -> None:
    """Keep the engagement in the database for the next run. Raise DatabaseError as `execute`
    does.
    """
    execute(session, "remember", {"memory": MEMORY + to_text(engagement)}, deadline)
