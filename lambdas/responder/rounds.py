"""One round: gather, and what follows from the plan: act, look again, compare."""

import time
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.postgresql.grants import lacking, missing_grants
from connection_guard.adapters.postgresql.guard_session import GuardSession
from connection_guard.adapters.postgresql.observe import addresses_of, take_snapshot
from connection_guard.adapters.postgresql.terminate import Results, terminate
from connection_guard.core.database.door import Door
from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.decision.decide import enough_in_use
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.decision.round import Round, verified
from connection_guard.core.policy import Limits
from connection_guard.core.report.wording import worded
from connection_guard.errors import DatabaseError, DoorShutError
from responder.entrance import Entrance
from responder.timer import SECONDS_TO_VERIFY, Timer

logger = Logger(service="connection-guard")

Problems = tuple[Reason, ...]


class Rounds:
    """Looks at the sessions and terminates those that a plan chose.

    Remembers the proxy's addresses: its name may not be resolvable in the middle of an incident.
    """

    def __init__(
        self,
        entrance: Entrance,
        proxy: Door | None,
        guard_roles: Collection[str],
        limits: Limits,
        settled_after: timedelta,
    ) -> None:
        self._entrance = entrance
        self._proxy = proxy
        self._proxy_addresses: frozenset[str] = frozenset()
        self._guard_roles = guard_roles
        self._limits = limits
        self._settled_after = settled_after

    def gather(
        self, session: GuardSession, measurement: Measurement, timer: Timer
    ) -> tuple[GuardSession, Snapshot]:
        """Return the sessions; if the guard's own session is lost meanwhile, it is replaced once.

        Raises DatabaseError where the database stays out of reach.
        """
        with timer.phase("gather"):
            if self._proxy is not None:
                self._proxy_addresses = addresses_of(self._proxy) or self._proxy_addresses
            try:
                return session, self._snapshot(session, measurement, timer)
            except DatabaseError:
                session, measurement = self._entrance.enter_again(timer)
                return session, self._checked_snapshot(session, measurement, timer)

    def carry_out(
        self, planned: Round, session: GuardSession, timer: Timer
    ) -> tuple[Round, Problems]:
        """Return the round with the outcomes of its plan, and the problems that were met."""
        watch = self._limits.watch_for_reconnects.total_seconds()
        before = planned.before.measurement
        with timer.phase("act"):
            outcomes, stopped = terminate(
                session,
                planned.plan.chosen,
                before.server,
                self._limits,
                guard_roles=self._guard_roles,
                enough=enough_in_use(before, self._limits),
                deadline=timer.deadline - SECONDS_TO_VERIFY - watch,
                on_batch=_log_batch,
            )
        acted = replace(planned, outcomes=outcomes)
        with timer.phase("verify"):
            looked, problem = self._verify(acted, watch, timer)
        return looked, tuple(filter(None, (stopped, problem)))

    def _verify(self, acted: Round, watch: float, timer: Timer) -> tuple[Round, Reason | None]:
        """Look again once pools have had time to reopen."""
        time.sleep(max(min(watch, timer.deadline - SECONDS_TO_VERIFY - time.monotonic()), 0))
        try:
            session, measurement = self._entrance.look_again(timer)
            after = self._checked_snapshot(session, measurement, timer)
        except DatabaseError as error:
            return acted, Reason(ReasonCode.NOT_VERIFIED, {"error": str(error)})
        return verified(acted, after, settled_after=self._settled_after)

    def _checked_snapshot(
        self, session: GuardSession, measurement: Measurement, timer: Timer
    ) -> Snapshot:
        """Return the sessions as a door's role sees them, unless it lacks a privilege to see all.

        An empty view must not be taken for an empty database.
        """
        if grants := missing_grants(measurement):
            raise DoorShutError(worded(lacking(grants)))
        return self._snapshot(session, measurement, timer)

    def _snapshot(self, session: GuardSession, measurement: Measurement, timer: Timer) -> Snapshot:
        return take_snapshot(session, measurement, self._proxy_addresses, timer.deadline)


def _log_batch(results: Results) -> None:
    logger.info("batch", results={str(pid): str(result) for pid, result in results.items()})
