"""What a run writes to its log in figures: the metrics, and the fields beside them."""

from collections.abc import Iterator

from connection_guard.core.database.capacity import LimitOwner
from connection_guard.core.database.door import DoorName
from connection_guard.core.database.session import SessionState
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.outcome import Result
from connection_guard.core.report.metric_names import Field, Metric
from connection_guard.core.report.run import Run

_OF_STATE = {
    SessionState.ACTIVE: Field.SESSIONS_ACTIVE,
    SessionState.IDLE: Field.SESSIONS_IDLE,
    SessionState.IDLE_IN_TRANSACTION: Field.SESSIONS_IDLE_IN_TRANSACTION,
    SessionState.IDLE_IN_TRANSACTION_ABORTED: Field.SESSIONS_IDLE_IN_TRANSACTION_ABORTED,
    SessionState.FASTPATH: Field.SESSIONS_FASTPATH,
    SessionState.STARTING: Field.SESSIONS_STARTING,
    SessionState.DISABLED: Field.SESSIONS_DISABLED,
}
_OF_LIMIT = {
    LimitOwner.ROLE: Field.HIGHEST_ROLE_LIMIT_UTILISATION,
    LimitOwner.DATABASE: Field.HIGHEST_DATABASE_LIMIT_UTILISATION,
}
_OF_DOOR = {DoorName.PROXY: Field.PROXY_DOOR_OPEN, DoorName.DIRECT: Field.DIRECT_DOOR_OPEN}


def metrics_of(run: Run) -> dict[Metric, float]:
    """Return the value of each metric that the run knows; others are left out, never 0.

    The database's figures are the latest that the run saw.
    """
    values = {Metric.HEALTHY: float(not run.faults)}
    if latest := run.latest:
        values |= {
            Metric.USABLE: float(latest.capacity.usable),
            Metric.UTILISATION: latest.utilisation,
        }
        if limits := _highest_limits(latest):
            values[Metric.HIGHEST_LIMIT_UTILISATION] = max(limits.values())
    return values


def log_fields_of(run: Run) -> dict[Field, object]:
    """Return the value of each field that the run knows; others are left out."""
    results = [outcome.result for outcome in run.round.outcomes] if run.round else []
    fields: dict[Field, object] = {
        Field.DATABASE: run.database,
        Field.KIND: run.kind,
        Field.FAULTS: list(run.faults),
        Field.TERMINATED: results.count(Result.TERMINATED),
        Field.SURVIVED: results.count(Result.SURVIVED),
        Field.SEAT_HELD: int(run.seat_held),
    }
    fields |= {_OF_DOOR[attempt.door]: int(attempt.error is None) for attempt in run.doors}
    if latest := run.latest:
        fields |= dict(_figures(latest))
    return fields


def _figures(measurement: Measurement) -> Iterator[tuple[Field, object]]:
    yield Field.USABLE, measurement.capacity.usable
    yield Field.USED, measurement.used
    yield Field.UTILISATION, round(measurement.utilisation, 2)
    yield Field.SESSIONS_HIDDEN, measurement.sessions_by_state.get("hidden", 0)
    if measurement.privileges.reads_all_stats:
        for state, field in _OF_STATE.items():
            yield field, measurement.sessions_by_state.get(state, 0)
        yield (
            Field.OLDEST_IDLE_IN_TRANSACTION_SECONDS,
            measurement.oldest_idle_in_transaction.total_seconds(),
        )
    yield from _highest_limits(measurement).items()


def _highest_limits(measurement: Measurement) -> dict[Field, float]:
    """Return the highest utilisation of a limit of each kind.

    A limit of 0 is somebody's decision to shut everybody out: it is not one that clients run into.
    """
    return {
        field: max(utilisations)
        for owner, field in _OF_LIMIT.items()
        if (
            utilisations := [
                each.utilisation
                for each in measurement.limits
                if each.owner is owner and each.limit
            ]
        )
    }
