"""The policy: who may be terminated, when, and how many. Read from TOML at synth and at run time by
one parser.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from connection_guard.core.database.session import SessionState


class Tier(StrEnum):
    """How pressing it is: which alarm fired."""

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
    """Sessions that match any of these are spared, even if a rule matches them."""

    roles: tuple[str, ...]
    databases: tuple[str, ...]
    applications: tuple[str, ...]
    clients: tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a run may go. Percentages are of the usable connections (target) and of all sessions
    (refusal).
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
    """The whole policy, every mistake in it already refused."""

    modes: Mapping[Tier, Mode]
    protection: Protection
    rules: tuple[Rule, ...]
    limits: Limits
