"""What is decided: one verdict per session, and what, if anything, restrains the whole plan."""

from dataclasses import dataclass

from connection_guard.core.database.session import Session
from connection_guard.core.decision.reason import Reason
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.policy import Action

_ATTEMPTS = (None, Restraint.NOTHING_MATCHES, Restraint.POOLS_REOPEN, Restraint.REFUSED)

PROTECTED = "protect"
"""The rule of verdicts that the policy's [protect] decides."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided about one session, by which rule (or limit, or protection), and why."""

    session: Session
    action: Action
    rule: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Plan:
    """Verdicts over every session of a snapshot; those to be terminated are in the order in which
    they go.

    `restraint` is None where the plan is to be carried out, otherwise nothing is terminated.
    `reason` says why in either case.
    """

    verdicts: tuple[Verdict, ...]
    restraint: Restraint | None
    reason: Reason

    @property
    def is_attempt(self) -> bool:
        """Whether it has been tried, even if there was no session to terminate.

        With any other restraint it is left for later.
        """
        return self.restraint in _ATTEMPTS

    @property
    def chosen(self) -> tuple[Verdict, ...]:
        """The verdicts that say terminate, whether or not a restraint keeps them from it."""
        return tuple(verdict for verdict in self.verdicts if verdict.action is Action.TERMINATE)
