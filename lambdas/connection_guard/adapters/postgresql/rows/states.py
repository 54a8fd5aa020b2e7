"""PostgreSQL's literals for the states of a session (PostgreSQL manual, pg_stat_activity.state)."""

from collections.abc import Mapping

from connection_guard.core.database.session import SessionState

STATES: Mapping[str, SessionState] = {
    "active": SessionState.ACTIVE,
    "idle": SessionState.IDLE,
    "idle in transaction": SessionState.IDLE_IN_TRANSACTION,
    "idle in transaction (aborted)": SessionState.IDLE_IN_TRANSACTION_ABORTED,
    "fastpath function call": SessionState.FASTPATH,
    "starting": SessionState.STARTING,
    "disabled": SessionState.DISABLED,
}

LITERALS: Mapping[SessionState, str] = {state: literal for literal, state in STATES.items()}
