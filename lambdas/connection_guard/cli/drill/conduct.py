"""The course of a drill: fill, wait, cross the line, watch, let go."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.adapters.postgresql.guard_session import GuardSession
from connection_guard.adapters.postgresql.observe import measure
from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.drill.deployed_watch import Watch
from connection_guard.cli.drill.drill_view import DrillView
from connection_guard.cli.drill.filling import APPLICATION, Expectation, Filling
from connection_guard.cli.drill.marked_sessions import MarkedSessions
from connection_guard.cli.drill.phases import (
    Inside,
    Phase,
    PhaseName,
    Sighting,
    happened,
    may_let_go,
    missing,
    new_entries,
    overdue,
    seconds_of,
)
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.decide import most_sessions_below_target
from connection_guard.core.words import connections_in_use, counted, quoted, spelled
from connection_guard.errors import DoorShutError, Refusal, StoreError

# So many sessions are opened between two looks at usage.
AT_ONCE = 5
MOST_FAILED_LOOKS = 5


@dataclass(frozen=True, slots=True)
class Drill:
    """What is to be done, and what is to happen then, in `phases`."""

    access: DatabaseAccess
    watch: Watch
    filling: Filling
    expected: Expectation
    phases: tuple[Phase, ...]
    limit: timedelta

    @property
    def acts(self) -> bool:
        """Return whether the guard is to bring usage below its target."""
        return self.expected.why_not is None


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What happened. `finding` says what did not, and is None where everything did; `late` names
    the phase. `reported` is how many of the drill's sessions the incident says that the guard
    ended.
    """

    began_at: datetime
    seconds: Mapping[str, float]
    opened: int
    ended: int
    reported: int
    finding: str | None
    late: str | None


class _StoppedError(Exception):
    """The drill ends early; the message says why, and `late` is the phase that did not happen."""

    def __init__(self, why: str, late: str | None = None) -> None:
        super().__init__(why)
        self.late = late


class Conductor:
    """Conducts one drill; `session` looks at usage and does not count as one of the drill's."""

    def __init__(self, drill: Drill, session: GuardSession, view: DrillView) -> None:
        self._drill = drill
        self._session = session
        self._view = view
        self._sessions = MarkedSessions(drill.access, drill.limit)
        self._began_at = datetime.now(UTC)
        self._known: dict[str, datetime] = {}
        self._before = self._seen = Sighting({})
        self._failed_looks = 0

    def conduct(self) -> DrillResult:
        """Return how it went. However it ends, the drill's sessions are closed.

        Raise DatabaseError, StoreError and botocore's errors.
        """
        finding, late = None, None
        try:
            self._cross_the_line()
            self._watch()
        except _StoppedError as stopped:
            finding, late = str(stopped), stopped.late
        finally:
            self._sessions.close()
        entries = new_entries(self._before, self._seen)
        escalations = [entry.escalation for entry in entries if entry.escalation]
        if finding is None and self._drill.acts and escalations:
            finding = f"the guard required action: {escalations[0]}"
        return DrillResult(
            began_at=self._began_at,
            seconds=seconds_of(self._known, self._began_at),
            opened=self._sessions.opened,
            ended=self._sessions.ended,
            reported=sum(
                group.sessions
                for entry in entries
                for group in entry.terminated
                if group.application == APPLICATION
            ),
            finding=finding,
            late=late,
        )

    def _cross_the_line(self) -> None:
        filling = self._drill.filling
        self._fill_up_to(filling.peak - filling.late)
        aged_at = time.monotonic() + self._drill.expected.wait.total_seconds()
        while (left := aged_at - time.monotonic()) > 0:
            self._sessions.wait(min(1.0, left))
            self._look(f"waiting until they are {spelled(self._drill.expected.wait)} old")
        self._before = self._seen = self._drill.watch.look()
        if on := self._before.critical_alarms_on:
            raise _StoppedError(f"alarm {on[0]} is on by now: the drill let go below the line")
        self._fill_up_to(filling.peak)
        self._known[PhaseName.FILLED] = datetime.now(UTC)

    def _fill_up_to(self, level: int) -> None:
        doing = f"opening sessions, up to {level}"
        while (missing := level - self._look(doing).used) > 0:
            for _ in range(min(missing, AT_ONCE)):
                try:
                    self._sessions.open_one()
                except DoorShutError as error:
                    if self._exhausts and error.refusal is Refusal.FULL:
                        return
                    raise _StoppedError(
                        f"the server refused the drill's session {self._sessions.opened + 1}: "
                        f"{error}"
                    ) from error

    def _look(self, doing: str) -> Measurement:
        """Return what is in use before the line is crossed.

        Raise _StoppedError where the drill must not go on.
        """
        self._sessions.wait(0)
        measurement = self._measure(doing)
        if self._sessions.ended:
            raise _StoppedError(
                f"{counted(self._sessions.ended, 'session')} of the drill ended before the "
                "critical line was crossed: the guard already acts at the warning tier, or "
                "somebody else ended them"
            )
        limits, usable = self._drill.access.policy.limits, measurement.capacity.usable
        of_others = measurement.used - self._sessions.held
        if of_others + limits.keep_per_pool > most_sessions_below_target(usable, limits):
            raise _StoppedError(
                f"applications use {of_others} of {usable} connections by now: the guard would "
                "have to end theirs, so the drill let go"
            )
        if datetime.now(UTC) - self._began_at > self._drill.limit:
            raise _StoppedError("the time limit has passed before the critical line was crossed")
        return measurement

    def _watch(self) -> None:
        drill = self._drill
        while waiting := missing(drill.phases, self._known):
            self._sessions.wait(drill.watch.seconds_between_looks)
            self._let_go_in_time()
            measurement = self._measure(f"waiting for: {waiting[0].name}")
            self._look_outside()
            now = datetime.now(UTC)
            self._sessions.wait(0)
            target = drill.access.policy.limits.target_percent
            inside = Inside(self._sessions.first_end, measurement.utilisation < target)
            self._known = happened(
                self._before, self._seen, inside, self._known, now, acts=drill.acts
            )
            self._check_patience(now)
        self._view.show("done", measurement.used, measurement.capacity.usable, self._seconds, now)

    def _look_outside(self) -> None:
        """Look at AWS; a few looks in a row may fail, since a drill is long."""
        try:
            self._seen = self._drill.watch.look()
        except (StoreError, BotoCoreError, ClientError):
            self._failed_looks += 1
            if self._failed_looks > MOST_FAILED_LOOKS:
                raise
        else:
            self._failed_looks = 0

    def _let_go_in_time(self) -> None:
        """Let go one look after relief: the guard may still be ending the last of its batch."""
        is_held = PhaseName.LET_GO not in self._known
        if is_held and may_let_go(self._drill.phases, self._known, acts=self._drill.acts):
            self._sessions.close()
            self._known[PhaseName.LET_GO] = datetime.now(UTC)

    def _check_patience(self, now: datetime) -> None:
        phases = self._drill.phases
        if late := overdue(phases, self._known, now):
            after = late[0].after
            waited = spelled(now - self._known[after])
            raise _StoppedError(
                f"no {_names(late)} within {waited} of {quoted(after)}", late[0].name
            )
        incident = self._seen.incident
        if (
            self._drill.acts
            and PhaseName.RELIEF not in self._known
            and PhaseName.RESPONDER in self._known
            and incident is not None
            and incident.action_required
        ):
            raise _StoppedError(
                f"the guard requires action: {incident.action_required}", PhaseName.RELIEF
            )
        late = missing(phases, self._known)
        if late and now - self._began_at > self._drill.limit:
            raise _StoppedError(
                f"no {_names(late)} within the time limit of {spelled(self._drill.limit)}",
                late[0].name,
            )

    def _measure(self, doing: str) -> Measurement:
        access = self._drill.access
        measurement = measure(self._session, access.guard_roles)
        usable = measurement.capacity.usable
        self._view.show(doing, measurement.used, usable, self._seconds, datetime.now(UTC))
        free = usable - measurement.used
        if PhaseName.LET_GO not in self._known and free < self._drill.filling.least_free:
            raise _StoppedError(
                f"{connections_in_use(measurement.used, usable)}: applications need more of them, "
                "so the drill let go"
            )
        return measurement

    @property
    def _seconds(self) -> dict[str, float]:
        return seconds_of(self._known, self._began_at)

    @property
    def _exhausts(self) -> bool:
        return self._drill.filling.least_free == 0


def _names(phases: Iterable[Phase]) -> str:
    return ", ".join(quoted(phase.name) for phase in phases)
