"""The decision: one verdict a session, and what, if anything, keeps the whole plan from being
carried out.
"""

from dataclasses import dataclass
from enum import StrEnum

from connection_guard.core.database.session import Session
from connection_guard.core.policy import Action


class Restraint(StrEnum):
    """What stopped a whole run from terminating anything."""

    NOT_AN_ALARM = "not an alarm"
    BELOW_TARGET = "below target"
    NOTHING_MATCHES = "nothing matches"
    OBSERVING = "observing"
    PAUSED = "paused"
    HOURLY_CAP = "hourly cap"
    REFUSED = "refused"
    ANOTHER_RUN = "another run"
    POOLS_REOPEN = "pools reopen"


PROTECTED = "protect"
"""The rule of verdicts that the policy's [protect] decides."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided about one session, by which rule (or limit, or protection), and why in a
    person's words.
    """

    session: Session
    action: Action
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Verdicts over every session of a snapshot, in the order in which those to be terminated would
    go.

    `restraint` is None where the plan is to be carried out; otherwise nothing is terminated and
    `explanation` says why.
    """

    verdicts: tuple[Verdict, ...]
    restraint: Restraint | None
    explanation: str

    @property
    def chosen(self) -> tuple[Verdict, ...]:
        """The verdicts that say terminate, whether or not a restraint keeps them from it."""
        return tuple(verdict for verdict in self.verdicts if verdict.action is Action.TERMINATE)
