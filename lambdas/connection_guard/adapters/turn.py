"""One run at a time: several execution environments of one guard take turns by a lock in the database.

What a run remembers for the next one is written while it has the turn.
"""

from connection_guard.adapters.database import GuardSession, execute
from connection_guard.core.engagement import Engagement, to_text

# A number that nobody else's advisory locks are likely to use.
TURN = int.from_bytes(b"connguar", "big")

MEMORY = "connection-guard "
"""What precedes an engagement where the database keeps it."""


def take_turn(session: GuardSession) -> bool:
    """Return whether the run on this session has the turn now; False while another run has it.

    Raises DatabaseError as `database.execute` does.
    """
    ((is_taken,),) = execute(session, "take_turn", {"turn": TURN})
    return bool(is_taken)


def end_turn(session: GuardSession) -> None:
    """Let another run have the turn. Raises DatabaseError as `database.execute` does."""
    execute(session, "end_turn", {"turn": TURN})


def remember(session: GuardSession, engagement: Engagement) -> None:
    """Keep the engagement in the database for the next run. Raises DatabaseError as `database.execute` does."""
    execute(session, "remember", {"memory": MEMORY + to_text(engagement)})
