"""The policy: which sessions may be terminated, when, and how many."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from connection_guard.core.database.session import SessionState

# What a verdict names in place of a rule where none matched.
NO_RULE = "no rule"


class Tier(StrEnum):
    """How urgent it is: which alarm fired."""

    WARNING = "warning"
    CRITICAL = "critical"


class Mode(StrEnum):
    """Whether a plan is carried out or only reported."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class Action(StrEnum):
    """What is decided about one session."""

    TERMINATE = "terminate"
    SPARE = "spare"


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches a session when every matcher does. An empty tuple of globs or networks matches
    anything.
    """

    name: str
    action: Action
    states: frozenset[SessionState]
    older_than: timedelta
    roles: tuple[str, ...]
    databases: tuple[str, ...]
    applications: tuple[str, ...]
    clients: tuple[IPv4Network | IPv6Network, ...]
    tiers: frozenset[Tier]
    even_with_advisory_lock: bool
    even_if_listening: bool


@dataclass(frozen=True, slots=True)
class Protection:
    """Sessions that match any of these are spared, even if a rule would terminate them."""

    roles: tuple[str, ...]
    databases: tuple[str, ...]
    applications: tuple[str, ...]
    clients: tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a run may go. The target is a percentage of the usable connections, the refusal one
    of all sessions.
    """

    target_percent: float
    most_per_run: int
    most_per_hour: int
    refuse_above_percent: float
    keep_per_pool: int
    batch_size: int
    pause_between_batches: timedelta
    watch_for_reconnects: timedelta
    attempts: int


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole policy, which was checked for mistakes."""

    modes: Mapping[Tier, Mode]
    protection: Protection
    rules: tuple[Rule, ...]
    limits: Limits
