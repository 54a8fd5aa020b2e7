"""Everything that one run saw, decided and did: what a Report is written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connection_guard.core.database.door import DoorAttempt
from connection_guard.core.database.guard_faults import Fault
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.reason import Reason
from connection_guard.core.decision.round import Round
from connection_guard.core.deployment.events import AlarmNotification, Heartbeat
from connection_guard.core.diagnosis.case import Diagnosis
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the responder. What did not happen is None or empty.

    `received_at` is when it made the look that it reports; `looks` counts its looks, `measurement`
    is the latest of them, and `round` is None where the sessions were not looked at. `seconds` maps
    each phase (connect, watch, turn, gather, decide, act, verify) to its duration. `escalation`
    says why people have to act, None where they need not. `target_percent` is the policy's.
    `minutes_to_full` is None where usage does not grow. `faults` are the guard's own.
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
    escalation: Reason | None = None
    doors: tuple[DoorAttempt, ...] = ()
    reconnected: int = 0
    seat_held: bool = False
    looks: int = 0
    measurement: Measurement | None = None
    minutes_to_full: float | None = None
    round: Round | None = None
    diagnoses: tuple[Diagnosis, ...] = ()
    problems: tuple[Reason, ...] = ()
    faults: tuple[Fault, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def first(self) -> Measurement | None:
        """The measurement that the run decided by, None where no door opened."""
        return self.round.before.measurement if self.round else self.measurement

    @property
    def latest(self) -> Measurement | None:
        """The latest measurement, None where no door opened."""
        return self.round.latest if self.round else self.measurement
