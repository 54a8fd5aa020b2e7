"""What an incident keeps of a delivery, as values: one run of the responder, its failure, or a
change of an alarm about the guard itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from connection_guard.core.database.pause import Pause
from connection_guard.core.deployment.alarm_names import leaves_unprotected
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.policy import NO_RULE, Tier
from connection_guard.core.report.kind import Kind

# The kind of an entry whose run led to no Report, and of one that is no run's: an alarm about the
# guard itself changed.
FAILURE = "failure"
GUARD_ALARM = "guard alarm"

OTHERS = "others"
"""The rule, role and application of the group of all sessions that found no room, or that the
Report did not list.
"""

# The longest line, so that an entry stays small.
LINE_LENGTH = 400


@dataclass(frozen=True, slots=True)
class Usage:
    """Connections in use, of those that applications can get."""

    used: int
    usable: int

    @property
    def percent(self) -> float:
        """Return the share in use."""
        return 100 * self.used / self.usable if self.usable else 100.0


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """Sessions of one application that the same rule terminated or spared; the reason is that of
    one of them. `rule` is NO_RULE where none matched.
    """

    rule: str
    reason: str
    role: str
    application: str
    state: str | None
    sessions: int

    @property
    def has_rule(self) -> bool:
        """Return whether a rule decided about them."""
        return self.rule != NO_RULE


@dataclass(frozen=True, slots=True)
class DiagnosedCause:
    """A diagnosis as it is stored: its name, its evidence in a sentence, and what to change.

    `sessions` is how many it explains. `role` and `application` are those whose connections they
    are, from so many `clients` (addresses), of which `largest_client` has most; None and 0 where
    the diagnosis names no application, or an older version stored it.
    """

    name: str
    summary: str
    advice: str
    sessions: int = 0
    role: str | None = None
    application: str | None = None
    clients: int = 0
    largest_client: str | None = None


@dataclass(frozen=True, slots=True)
class Reopened:
    """How many of the sessions that a pool lost it opened again."""

    role: str
    application: str
    terminated: int
    reopened: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm in the state that it changed to at `changed_at`, by CloudWatch's clock.

    `tier` is None where no run reported it; `changed_at` is None where an older version stored the
    alarm.
    """

    name: str
    arn: str
    state: str
    tier: Tier | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One delivery, as the incident keeps it: a run of the responder, its failure, or a change of
    an alarm about the guard itself.

    `request_id` names the delivery, `kind` is that of its Report, "failure" or "guard alarm".
    `is_below_target` is None where usage is not known. `escalation` says in a line what requires
    action, None where nothing does; `escalation_code` names its reason, None where an older version
    wrote the entry. `evidence` is the key of the run's object in the evidence bucket. `times` is
    how many runs the entry represents: more than one where an incident has had more than it can
    keep. `has_unknown_outcomes` says that the run may have terminated more than `terminated` names:
    it was killed, or lost its connection to the database while it terminated sessions. `is_engaged`
    says that the next heartbeats continue its work, `restraint` what kept its plan from being
    carried out, None where nothing did; `refused_a_login` that the server refused the guard a
    login for lack of a slot. `had_no_data` says that an alarm about the guard itself changed from
    INSUFFICIENT_DATA. `pause` is None where the guard was not paused.
    """

    request_id: str
    at: datetime
    kind: str
    headline: str
    alarm: Alarm | None = None
    tier: Tier | None = None
    attempt: int = 0
    has_recovered: bool = False
    is_below_target: bool | None = None
    escalation: str | None = None
    before: Usage | None = None
    after: Usage | None = None
    terminated: tuple[SessionGroup, ...] = ()
    survived: int = 0
    would_terminate: tuple[SessionGroup, ...] = ()
    spared: tuple[SessionGroup, ...] = ()
    reopened: tuple[Reopened, ...] = ()
    causes: tuple[DiagnosedCause, ...] = ()
    explanation: str | None = None
    problems: tuple[str, ...] = ()
    evidence: str | None = None
    has_unknown_outcomes: bool = False
    times: int = 1
    escalation_code: str | None = None
    is_engaged: bool = False
    restraint: str | None = None
    refused_a_login: bool = False
    had_no_data: bool = False
    pause: Pause | None = None

    @property
    def change(self) -> Alarm | None:
        """Return the alarm's start or end, at the run's own time where CloudWatch's is not known.

        None for INSUFFICIENT_DATA: missing data do not end an alarm.
        """
        if self.alarm is None or self.alarm.state not in (AlarmState.ALARM, AlarmState.OK):
            return None
        return replace(self.alarm, changed_at=self.alarm.changed_at or self.at)

    @property
    def carries_on(self) -> bool:
        """Return whether it is a further attempt at what an earlier run began, and requires no
        action.
        """
        return self.alarm is None and self.attempt > 1 and self.escalation is None

    @property
    def usage(self) -> Usage | None:
        """Return the last usage that the run saw."""
        return self.after or self.before

    @property
    def opens(self) -> bool:
        """Return whether it can open an incident: everything can but the end of something, and an
        alarm without data.
        """
        if self.kind in (Kind.OBSERVATION, GUARD_ALARM):
            if self.alarm is not None:
                return self.alarm.state == AlarmState.ALARM
            return not (self.has_recovered or self.is_below_target)
        return self.kind != Kind.HEARTBEAT

    @property
    def is_trouble(self) -> bool:
        """Return whether the guard itself could not do its work."""
        return self.kind not in (Kind.REMEDIATION, Kind.OBSERVATION)

    @property
    def is_unguarded_alarm(self) -> bool:
        """Return whether it is the alarm that says that the guard cannot do its work."""
        return (
            self.kind == GUARD_ALARM
            and self.alarm is not None
            and self.alarm.state == AlarmState.ALARM
            and leaves_unprotected(self.alarm.name)
        )

    @property
    def has_looked(self) -> bool:
        """Return whether the run looked at the sessions one by one."""
        return bool(self.terminated or self.would_terminate or self.spared)

    @property
    def reason(self) -> str | None:
        """Return what the escalation is compared by: the same reason comes with other figures a
        minute later. An older version wrote its text only, which is compared without its figures.
        """
        return self.escalation_code or (self.escalation and _without_figures(self.escalation))


def merged(groups: Iterable[SessionGroup]) -> tuple[SessionGroup, ...]:
    """Return one group per rule, role and application, most sessions first."""
    sums: dict[tuple[str, str, str], SessionGroup] = {}
    for group in groups:
        key = group.rule, group.role, group.application
        known = sums.get(key)
        sums[key] = replace(known, sessions=known.sessions + group.sessions) if known else group
    return tuple(sorted(sums.values(), key=lambda group: -group.sessions))


def the_rest(groups: tuple[SessionGroup, ...], sessions: int) -> tuple[SessionGroup, ...]:
    """Return the groups, and one more for the rest of the `sessions`."""
    named = tuple(group for group in groups if group.rule != OTHERS)
    rest = sessions - sessions_in(named)
    if rest <= 0:
        return named
    return (*named, SessionGroup(OTHERS, "not listed one by one", OTHERS, OTHERS, None, rest))


def reopened_in_all(entries: Iterable[Entry]) -> tuple[Reopened, ...]:
    """Return what each pool reopened, over all of the entries."""
    pools: dict[tuple[str, str], Reopened] = {}
    for each in (each for entry in entries for each in entry.reopened):
        known = pools.get((each.role, each.application))
        pools[each.role, each.application] = (
            replace(
                each,
                terminated=each.terminated + known.terminated,
                reopened=each.reopened + known.reopened,
            )
            if known
            else each
        )
    return tuple(pools.values())


def _without_figures(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())


def sessions_in(groups: Iterable[SessionGroup]) -> int:
    """Return how many sessions the groups hold."""
    return sum(group.sessions for group in groups)


def weight_of_causes(entry: Entry) -> tuple[bool, float]:
    """Return how much the entry's causes weigh: most where terminating proved them, then by how
    full the database was.
    """
    return bool(entry.reopened), entry.before.percent if entry.before else 0
