"""Guards of a real server."""

import pytest

from connection_guard.core.policy import Policy
from doubles.postgres_server import PostgresServer
from tests.integration.responder.responder_actions import Environment
from tests.support.builders import (
    a_heartbeat_event,
)
from tests.support.guarded import Guarded, create_guard_role


@pytest.fixture
def guarded(server: PostgresServer) -> Guarded:
    """A database with a guard that has its seat, as after any heartbeat."""
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    guarded = Guarded(server)
    assert guarded.deliver(a_heartbeat_event())["recovered"]  # for all that a new process knows
    return guarded


@pytest.fixture
def environment(database: PostgresServer) -> Environment:
    """A new execution environment of the same guard, with a seat of its own where it has served a
    heartbeat.
    """

    def new(policy: Policy | None = None, *, is_warm: bool = True) -> Guarded:
        guard = Guarded(database, policy)
        if is_warm:
            guard.deliver(a_heartbeat_event())
        return guard

    return new
