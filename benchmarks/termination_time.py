"""The time until the 1,000 stale ones of 2,000 real sessions are gone."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from psycopg2.extensions import connection, cursor

from benchmarks.finding import BenchmarkError, Finding, compared, seconds
from benchmarks.scene.crowd import close, open_sessions, send, wait_for_answers
from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from connection_guard.adapters.postgresql.observe import measure, take_snapshot
from connection_guard.adapters.postgresql.terminate import SECONDS_BETWEEN_LOOKS, terminate
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.decision.decide import decide, most_sessions_below_target
from connection_guard.core.decision.outcome import Result
from connection_guard.core.policy import Policy, Tier
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.guarded import GUARD, Guarded, create_guard_role

STALE = FRESH = 1_000
SECONDS = 60.0

POLICY = Path(__file__).with_suffix(".toml")
BARE = Path(__file__).with_suffix(".sql")

ARE_STALE = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'stale' AND state_change < now() - interval '3 s'
"""
REMAINING = (
    "SELECT application_name, count(*) FROM pg_stat_activity WHERE usename = 'app' GROUP BY "
    "application_name"
)


def measure_termination(rounds: int) -> list[Finding]:
    """Measure the guard and the statement that one would type in turn, until all are gone."""
    policy = parse_policy(POLICY.read_text(), POLICY.name)
    with EmbeddedPostgres(
        postgres_binaries.installed(18), {"max_connections": STALE + FRESH + 100}
    ) as postgres:
        server = PostgresServer(postgres)
        create_guard_role(server)
        server.execute("CREATE ROLE app LOGIN")
        door = Door(DoorName.DIRECT, server.host, server.port, GUARD)
        guard = open_session(Guarded(server).connect, door, time.monotonic() + SECONDS)
        person = server.connect(GUARD, application_name="psql")
        fresh = open_sessions(server, FRESH, application_name="fresh")
        ours, bare = [], []
        for _ in range(rounds):
            ours.append(_time_until_gone(server, fresh, lambda: _by_the_guard(guard, policy)))
            bare.append(_time_until_gone(server, fresh, lambda: _by_hand(person)))
        close(fresh)
        guard.close()
        server.close_connections()
    return [
        compared(
            f"termination of {STALE:,} among {STALE + FRESH:,} sessions", ours, bare, at_most=1.5
        )
    ]


def _time_until_gone(
    server: PostgresServer, fresh: list[cursor], relieve: Callable[[], None]
) -> float:
    """Return how long it takes until exactly the stale sessions are gone."""
    stale = open_sessions(server, STALE, application_name="stale")
    wait_until(lambda: server.execute(ARE_STALE) == [(STALE,)])
    send(fresh, "SELECT 1")
    wait_for_answers(fresh)
    duration = seconds(relieve)
    remaining = server.execute(REMAINING)
    close(stale)
    if remaining != [("fresh", FRESH)]:
        raise BenchmarkError(
            f"termination: {FRESH} fresh sessions should remain; these do: {remaining}"
        )
    return duration


def _by_the_guard(guard: GuardSession, policy: Policy) -> None:
    """Take a snapshot, plan, and terminate in batches, each watched until it is gone."""
    before = take_snapshot(guard, measure(guard, [GUARD]))
    plan = decide(before, policy, Tier.CRITICAL, guard_roles=[GUARD])
    outcomes, _ = terminate(
        guard,
        plan.chosen,
        before.measurement.server,
        policy.limits,
        guard_roles=[GUARD],
        enough=most_sessions_below_target(before.measurement.capacity.usable, policy.limits),
        deadline=time.monotonic() + SECONDS,
        on_batch=lambda _: None,
    )
    results = Counter(outcome.result for outcome in outcomes)
    if results != {Result.TERMINATED: STALE}:
        raise BenchmarkError(
            f"termination: {STALE} sessions should be gone; these are the results: {results}"
        )


def _by_hand(person: connection) -> None:
    """Run one statement, then look as often as the guard does until all are gone."""
    with person.cursor() as cursor:
        cursor.execute(BARE.read_text())
        pids = [pid for pid, _ in cursor.fetchall()]
        while _count(cursor, pids):
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _count(cursor: cursor, pids: list[int]) -> int:
    cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)", (pids,))
    [(count,)] = cursor.fetchall()
    return int(count)
