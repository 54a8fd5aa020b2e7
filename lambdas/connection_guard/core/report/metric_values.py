"""What a run publishes: the value of each metric that it knows."""

from collections.abc import Iterator

from connection_guard.core.database.capacity import LimitOwner
from connection_guard.core.database.door import DoorName
from connection_guard.core.database.session import SessionState
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.outcome import Result
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.metric_names import Metric
from connection_guard.core.report.run import Run

_OF_STATE = {
    SessionState.ACTIVE: Metric.SESSIONS_ACTIVE,
    SessionState.IDLE: Metric.SESSIONS_IDLE,
    SessionState.IDLE_IN_TRANSACTION: Metric.SESSIONS_IDLE_IN_TRANSACTION,
    SessionState.IDLE_IN_TRANSACTION_ABORTED: Metric.SESSIONS_IDLE_IN_TRANSACTION_ABORTED,
    SessionState.FASTPATH: Metric.SESSIONS_FASTPATH,
    SessionState.STARTING: Metric.SESSIONS_STARTING,
    SessionState.DISABLED: Metric.SESSIONS_DISABLED,
}
_OF_LIMIT = {
    LimitOwner.ROLE: Metric.HIGHEST_ROLE_LIMIT_UTILISATION,
    LimitOwner.DATABASE: Metric.HIGHEST_DATABASE_LIMIT_UTILISATION,
}
_OF_DOOR = {DoorName.PROXY: Metric.PROXY_DOOR_OPEN, DoorName.DIRECT: Metric.DIRECT_DOOR_OPEN}


def metrics_of(run: Run) -> dict[Metric, float]:
    """Return the value of each metric that the run knows; others are left out, never 0.

    The database's figures are the latest that the run saw. `Heartbeat` is 1 wherever it measured at
    all: an alarm watches for its absence.
    """
    results = [outcome.result for outcome in run.round.outcomes] if run.round else []
    values = {
        Metric.TERMINATED: float(results.count(Result.TERMINATED)),
        Metric.SURVIVED: float(results.count(Result.SURVIVED)),
        Metric.SEAT_HELD: float(run.seat_held),
        Metric.LOCKED_OUT: float(run.kind is Kind.LOCKED_OUT),
    }
    values |= {_OF_DOOR[attempt.door]: float(attempt.error is None) for attempt in run.doors}
    if latest := run.latest:
        values |= dict(_figures(latest))
        values |= {
            Metric.HEARTBEAT: 1.0,
            Metric.PREFLIGHT_FAILED: float(run.kind is Kind.PREFLIGHT_FAILED),
        }
    return values


def _figures(measurement: Measurement) -> Iterator[tuple[Metric, float]]:
    yield Metric.USABLE, measurement.capacity.usable
    yield Metric.USED, measurement.used
    yield Metric.UTILISATION, measurement.utilisation
    yield Metric.SESSIONS_HIDDEN, measurement.sessions_by_state.get("hidden", 0)
    if measurement.privileges.reads_all_stats:
        for state, metric in _OF_STATE.items():
            yield metric, measurement.sessions_by_state.get(state, 0)
        yield (
            Metric.OLDEST_IDLE_IN_TRANSACTION,
            measurement.oldest_idle_in_transaction.total_seconds(),
        )
    for owner, metric in _OF_LIMIT.items():
        # A limit of 0 is somebody's decision to shut everybody out: it is not one that clients run
        # into.
        utilisations = [
            each.utilisation for each in measurement.limits if each.owner is owner and each.limit
        ]
        if utilisations:
            yield metric, max(utilisations)
