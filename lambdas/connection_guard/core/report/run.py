"""Everything that one run saw, decided and did: what a Report is written from."""

from dataclasses import dataclass, field
from datetime import datetime

from connection_guard.core.database.door import DoorAttempt
from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.decision.outcome import Outcome, Reconnection, Vanished
from connection_guard.core.decision.plan import Plan
from connection_guard.core.deployment.alarm import AlarmNotification, Heartbeat
from connection_guard.core.diagnosis.cause import Diagnosis
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the responder, told as it went. What did not happen is None or empty.

    `seconds` maps each phase (connect, gather, decide, act, verify) to its duration; `problems` are
    one line each. `escalation` says in a line why people are needed, None where they are not.
    `target_percent` is the policy's. `minutes_to_full` is None where usage does not grow.
    """

    kind: Kind
    database: str
    event: AlarmNotification | Heartbeat
    received_at: datetime
    is_duplicate: bool = False
    is_stale: bool = False
    target_percent: float | None = None
    tier: Tier | None = None
    attempt: int = 0
    engaged: bool = False
    recovered: bool = False
    escalation: str | None = None
    doors: tuple[DoorAttempt, ...] = ()
    reconnected: int = 0
    seat_held: bool = False
    measurement: Measurement | None = None
    minutes_to_full: float | None = None
    before: Snapshot | None = None
    plan: Plan | None = None
    outcomes: tuple[Outcome, ...] = ()
    after: Measurement | None = None
    reconnections: tuple[Reconnection, ...] = ()
    vanished: tuple[Vanished, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    problems: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
