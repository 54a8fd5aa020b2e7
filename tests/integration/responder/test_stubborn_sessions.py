"""Sessions that are harder to terminate than others."""

import os
import signal

from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import NEWEST
from tests.integration.responder.responder_actions import Environment, terminated
from tests.support.builders import (
    a_heartbeat_at,
    a_policy,
)
from tests.support.guarded import fill


def test_a_role_that_was_dropped_while_its_sessions_live_does_not_protect_them(
    database: PostgresServer, environment: Environment
) -> None:
    database.execute("CREATE ROLE vault_token_1 LOGIN")
    orphans = [database.connect("vault_token_1").info.backend_pid for _ in range(24)]
    guard = environment()
    fill(database, role="app")
    database.execute("DROP ROLE vault_token_1")
    report = guard.deliver()
    assert report["outcomes"]["moved on"] == 0
    assert report["recovered"] is True
    ended = [pid for pid in orphans if not database.has_session(pid)]
    assert len(ended) == terminated(report) > 0, "their pool is the largest"


@NEWEST
def test_backends_that_are_stuck_do_not_keep_others_alive(
    database: PostgresServer, environment: Environment
) -> None:
    stuck = [database.connect("app").info.backend_pid for _ in range(5)]
    guard = environment(a_policy(most_per_run=5, attempts=10))
    fill(database, role="app")
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    try:
        first, second = guard.deliver(), guard.deliver(a_heartbeat_at(1))
    finally:
        for pid in stuck:
            os.kill(pid, signal.SIGCONT)
    assert (terminated(first), first["outcomes"]["survived"]) == (0, 5)
    assert (terminated(second), second["outcomes"]["survived"]) == (5, 0)
