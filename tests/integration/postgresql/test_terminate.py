"""Guarded termination on real servers: only what still is what the snapshot showed goes, and every
outcome is true.
"""

import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection
from psycopg2.extras import PhysicalReplicationConnection

from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from connection_guard.adapters.postgresql.observe import measure, take_snapshot
from connection_guard.adapters.postgresql.terminate import Results, terminate
from connection_guard.core.database.session import SessionState
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.outcome import Result
from connection_guard.core.decision.plan import Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.policy import Action, Limits
from connection_guard.errors import ConnectionLostError, StatementError
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import OwnPostgres
from tests.support.builders import a_policy
from tests.support.guarded import GUARD, Guarded, create_guard_role

LIMITS = a_policy().limits


class Guard:
    """The guard's session on a server, and what it does there."""

    def __init__(self, server: PostgresServer, session: GuardSession) -> None:
        self.server = server
        self.session = session
        self.batches: list[Results] = []

    def look(self) -> Snapshot:
        return take_snapshot(self.session, measure(self.session, [GUARD]))

    def terminate(
        self,
        snapshot: Snapshot,
        pids: Collection[int],
        limits: Limits = LIMITS,
        *,
        enough: int = 0,
        seconds: float = 30,
    ) -> tuple[dict[int, Result], Reason | None]:
        by_pid = {session.pid: session for session in snapshot.sessions}
        outcomes, stopped_by = terminate(
            self.session,
            [
                Verdict(by_pid[pid], Action.TERMINATE, "a rule", Reason(ReasonCode.NO_RULE))
                for pid in pids
            ],
            snapshot.measurement.server,
            limits,
            guard_roles=[GUARD],
            enough=enough,
            deadline=time.monotonic() + seconds,
            on_batch=self.batches.append,
        )
        return {outcome.verdict.session.pid: outcome.result for outcome in outcomes}, stopped_by


@pytest.fixture
def guard(server: PostgresServer) -> Iterator[Guard]:
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    with guard_on(server) as guard:
        yield guard


@contextmanager
def guard_on(server: PostgresServer) -> Iterator[Guard]:
    guarded = Guarded(server)
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
    try:
        yield Guard(server, session)
    finally:
        session.close()


def pid_of(client: connection) -> int:
    return int(client.info.backend_pid)


def run(client: connection, statement: str) -> list[tuple[Any, ...]]:
    with client.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_what_still_is_what_the_snapshot_showed_is_terminated_and_seen_gone(guard: Guard) -> None:
    clients = [guard.server.connect("app") for _ in range(5)]
    pids = [pid_of(client) for client in clients]
    results, stopped_by = guard.terminate(guard.look(), pids[:4])
    assert results == dict.fromkeys(pids[:4], Result.TERMINATED)
    assert stopped_by is None
    assert [guard.server.has_session(pid) for pid in pids] == [False] * 4 + [True]


def test_a_session_that_moved_on_since_the_snapshot_gets_no_signal(guard: Guard) -> None:
    """Worked meanwhile; works now; ended; its pid, its role or its state is another than was
    seen.
    """
    clients = [guard.server.connect("app") for _ in range(7)]
    pids = [pid_of(client) for client in clients]
    worked, working, ended = clients[:3]
    snapshot = guard.look()
    another_start = {"backend_start": snapshot.taken_at}
    otherwise: dict[int, dict[str, Any]] = {
        pids[3]: another_start,
        pids[4]: {"role_id": 10},
        pids[5]: {"state": SessionState.IDLE_IN_TRANSACTION},
    }
    sessions = [replace(session, **otherwise.get(session.pid, {})) for session in snapshot.sessions]
    snapshot = replace(snapshot, sessions=tuple(sessions))
    run(worked, "SELECT 1")
    run(working, "BEGIN")
    ended.close()
    wait_until(lambda: not guard.server.has_session(pids[2]))
    results, _ = guard.terminate(snapshot, pids)
    assert results == dict.fromkeys(pids[:6], Result.MOVED_ON) | {pids[6]: Result.TERMINATED}
    assert [guard.server.has_session(pid) for pid in pids] == [
        True,
        True,
        False,
        True,
        True,
        True,
        False,
    ]
    assert run(worked, "SELECT 2") == [(2,)]


def test_nothing_is_signalled_on_another_server_than_the_snapshots(guard: Guard) -> None:
    client = guard.server.connect("app")
    snapshot = guard.look()
    server = replace(
        snapshot.measurement.server,
        started_at=snapshot.measurement.server.started_at - timedelta(days=1),
    )
    elsewhere = replace(snapshot, measurement=replace(snapshot.measurement, server=server))
    results, _ = guard.terminate(elsewhere, [pid_of(client)])
    assert results == {pid_of(client): Result.MOVED_ON}
    assert guard.server.has_session(pid_of(client))


@pytest.mark.parametrize("role", ["postgres", GUARD, "rdsadmin", "rdsproxyadmin", "rdsrepladmin"])
def test_superusers_amazons_and_the_guards_own_sessions_are_denied_even_if_a_plan_names_them(
    guard: Guard, role: str
) -> None:
    guard.server.execute(
        "CREATE ROLE rdsadmin LOGIN; CREATE ROLE rdsproxyadmin LOGIN; CREATE ROLE rdsrepladmin "
        "LOGIN"
    )
    untouchable, app = guard.server.connect(role), guard.server.connect("app")
    log_before = len(guard.server.postgres.log)
    results, _ = guard.terminate(guard.look(), [pid_of(untouchable), pid_of(app)])
    assert results == {pid_of(untouchable): Result.DENIED, pid_of(app): Result.TERMINATED}
    assert run(untouchable, "SELECT 1") == [(1,)]
    assert "permission denied" not in guard.server.postgres.log[log_before:], (
        "the server was not even asked"
    )


def test_after_an_error_in_a_batch_the_others_outcomes_are_known_and_the_rest_go_on(
    guard: Guard,
) -> None:
    """The guard may signal only its own role's members: the others raise an ERROR in the middle of
    the batch.
    """
    server = guard.server
    server.execute(
        f"CREATE ROLE stranger LOGIN; GRANT app TO {GUARD}; REVOKE pg_signal_backend FROM {GUARD}"
    )
    app = [pid_of(server.connect("app")) for _ in range(20)]
    stranger = pid_of(server.connect("stranger"))
    results, stopped_by = guard.terminate(
        guard.look(), [*app[:15], stranger, *app[15:]], replace(LIMITS, batch_size=18)
    )
    assert results == dict.fromkeys(app, Result.TERMINATED) | {stranger: Result.DENIED}
    assert stopped_by is None
    assert server.has_session(stranger)


def test_each_batch_is_reported_before_the_next_and_none_is_larger_than_the_limit(
    guard: Guard,
) -> None:
    pids = [pid_of(guard.server.connect("app")) for _ in range(5)]
    guard.terminate(guard.look(), pids, replace(LIMITS, batch_size=2))
    assert guard.batches == [
        dict.fromkeys(batch, Result.TERMINATED) for batch in (pids[:2], pids[2:4], pids[4:])
    ]


def test_it_stops_once_enough_slots_are_free(guard: Guard) -> None:
    pids = [pid_of(guard.server.connect("app")) for _ in range(6)]
    snapshot = guard.look()
    results, stopped_by = guard.terminate(
        snapshot, pids, replace(LIMITS, batch_size=2), enough=snapshot.used - 3
    )
    assert list(results.values()) == [Result.TERMINATED] * 4 + [Result.LEFT] * 2
    assert stopped_by == Reason(ReasonCode.ENOUGH_FREED, {"used": snapshot.used - 4})


def test_at_the_deadline_it_says_what_was_left(guard: Guard) -> None:
    pids = [pid_of(guard.server.connect("app")) for _ in range(3)]
    limits = replace(LIMITS, batch_size=1, pause_between_batches=timedelta(hours=1))
    results, stopped_by = guard.terminate(guard.look(), pids, limits, seconds=1)
    assert results == {pids[0]: Result.TERMINATED, pids[1]: Result.LEFT, pids[2]: Result.LEFT}
    assert stopped_by == Reason(ReasonCode.DEADLINE_NEAR)


def test_a_session_whose_state_is_not_tracked_is_denied(guard: Guard) -> None:
    guard.server.execute("ALTER ROLE app SET track_activities = off")
    untracked = pid_of(guard.server.connect("app"))
    snapshot = guard.look()
    ((state,),) = [(session.state,) for session in snapshot.sessions if session.pid == untracked]
    assert state is SessionState.DISABLED
    # Its times are hidden as well: without them it could not even be named, and gets no signal for
    # that.
    results, _ = guard.terminate(snapshot, [untracked])
    assert results[untracked] in (Result.DENIED, Result.MOVED_ON)
    assert guard.server.has_session(untracked)


def test_a_walsender_gets_no_signal_even_if_a_plan_names_it(own_postgres: OwnPostgres) -> None:
    server = own_postgres(
        hba=["host all all 127.0.0.0/8 trust", "host replication all 127.0.0.0/8 trust"]
    )
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN REPLICATION")
    client = server.connect("app")
    replica = psycopg2.connect(
        host=server.host,
        port=server.port,
        user="app",
        connection_factory=PhysicalReplicationConnection,
    )
    columns = "pid, backend_start, usesysid, state, state_change"
    ((pid, start, role_id, state, state_change),) = server.execute(
        f"SELECT {columns} FROM pg_stat_activity WHERE backend_type = 'walsender'"
    )
    with guard_on(server) as guard:
        snapshot = guard.look()
        (own,) = [session for session in snapshot.sessions if session.pid == pid_of(client)]
        walsender = replace(
            own,
            pid=pid,
            backend_start=start,
            role_id=role_id,
            state=SessionState(state),
            state_change=state_change,
        )
        results, _ = guard.terminate(replace(snapshot, sessions=(walsender, own)), [pid, own.pid])
    assert results == {pid: Result.MOVED_ON, own.pid: Result.TERMINATED}
    assert server.has_session(pid)
    replica.close()


def test_nothing_is_signalled_on_a_standby(own_postgres: OwnPostgres) -> None:
    server = own_postgres()
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    (server.postgres.folder / "data" / "standby.signal").touch()
    server.restart()
    client = server.connect("app")
    with guard_on(server) as guard:
        results, _ = guard.terminate(guard.look(), [pid_of(client)])
    assert results == {pid_of(client): Result.MOVED_ON}
    assert run(client, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_a_server_that_lets_nobody_look_any_more_leaves_the_batch_unknown(guard: Guard) -> None:
    pids = [pid_of(guard.server.connect("app")) for _ in range(2)]
    snapshot = guard.look()
    guard.server.execute("REVOKE EXECUTE ON FUNCTION pg_stat_get_activity(integer) FROM PUBLIC")
    try:
        results, stopped_by = guard.terminate(snapshot, pids, replace(LIMITS, batch_size=1))
    finally:
        guard.server.execute("GRANT EXECUTE ON FUNCTION pg_stat_get_activity(integer) TO PUBLIC")
    assert results == {pids[0]: Result.UNKNOWN, pids[1]: Result.LEFT}
    error = "look: permission denied for function pg_stat_get_activity"
    assert stopped_by == Reason(ReasonCode.LOST_WHILE_TERMINATING, {"error": error})


@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_what_was_signalled_just_before_the_deadline_is_seen_to_its_end(guard: Guard) -> None:
    stuck, dies = [pid_of(guard.server.connect("app")) for _ in range(2)]
    snapshot = guard.look()
    os.kill(stuck, signal.SIGSTOP)
    try:
        results, _ = guard.terminate(snapshot, [stuck, dies], seconds=0.3)
    finally:
        os.kill(stuck, signal.SIGCONT)
    assert results == {stuck: Result.SURVIVED, dies: Result.TERMINATED}


@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_a_late_answer_is_never_taken_for_the_answer_to_another_statement(guard: Guard) -> None:
    backend = guard.session.connection.info.backend_pid
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(ConnectionLostError, match="measure: no answer in time"):
            measure(guard.session, [GUARD], time.monotonic() + 0.2)
    finally:
        os.kill(backend, signal.SIGCONT)
    assert guard.session.connection.closed
    with pytest.raises(ConnectionLostError):
        measure(guard.session, [GUARD])


@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_an_error_of_the_server_keeps_its_code_and_the_drivers_error(guard: Guard) -> None:
    guard.server.execute("REVOKE EXECUTE ON FUNCTION pg_stat_get_activity(int) FROM PUBLIC")
    try:
        with pytest.raises(StatementError) as refused:
            take_snapshot(guard.session, measure(guard.session, [GUARD]))
    finally:
        guard.server.execute("GRANT EXECUTE ON FUNCTION pg_stat_get_activity(int) TO PUBLIC")
    assert refused.value.sqlstate == "42501"  # insufficient_privilege
    assert isinstance(refused.value.__cause__, psycopg2.Error)


@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_a_session_that_does_not_die_survived(guard: Guard) -> None:
    """A process that the kernel has stopped gets no signal: killed is not gone."""
    stuck, dies = [pid_of(guard.server.connect("app")) for _ in range(2)]
    os.kill(stuck, signal.SIGSTOP)
    try:
        results, _ = guard.terminate(guard.look(), [stuck, dies])
    finally:
        os.kill(stuck, signal.SIGCONT)
    assert results == {stuck: Result.SURVIVED, dies: Result.TERMINATED}
    wait_until(lambda: not guard.server.has_session(stuck))


def test_when_the_database_is_lost_what_was_in_hand_is_unknown_and_nothing_is_retried(
    guard: Guard,
) -> None:
    pids = [pid_of(guard.server.connect("app")) for _ in range(3)]
    snapshot = guard.look()
    guard_pid = guard.session.connection.info.backend_pid
    guard.server.execute("SELECT pg_terminate_backend(%s)", (guard_pid,))
    wait_until(lambda: not guard.server.has_session(guard_pid))
    results, stopped_by = guard.terminate(snapshot, pids, replace(LIMITS, batch_size=1))
    assert results == {pids[0]: Result.UNKNOWN, pids[1]: Result.LEFT, pids[2]: Result.LEFT}
    assert stopped_by is not None
    assert stopped_by.code is ReasonCode.LOST_WHILE_TERMINATING
    assert str(stopped_by.figures["error"]).startswith("terminate:")
    assert all(guard.server.has_session(pid) for pid in pids)
