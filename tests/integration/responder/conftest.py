"""Guards of a real server."""

import pytest

from connection_guard.core.policy import Policy
from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.responder.responder_actions import Environment
from tests.support.builders import (
    a_heartbeat_event,
)
from tests.support.guarded import Guarded


@pytest.fixture
def guarded(database: PostgresServer) -> Guarded:
    """Return a guard that has its seat, as after any heartbeat."""
    guarded = Guarded(database)
    assert guarded.deliver(a_heartbeat_event())["recovered"]  # as far as a new process knows
    return guarded


@pytest.fixture
def environment(database: PostgresServer) -> Environment:
    """Return what creates an execution environment of the same guard, which has a seat of its own
    where it has served a heartbeat.
    """

    def new(policy: Policy | None = None, *, is_warm: bool = True) -> Guarded:
        guard = Guarded(database, policy)
        if is_warm:
            guard.deliver(a_heartbeat_event())
        return guard

    return new
