"""What a Snapshot shows of real sessions, on every version."""

import time
from datetime import timedelta

import psycopg2
import pytest

from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from connection_guard.adapters.postgresql.observe import addresses_of, measure
from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.pause import Pause
from connection_guard.core.database.session import SessionState
from doubles.aws.rds_proxy_double import RdsProxyDouble
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import NEWEST, OwnPostgres
from tests.support.guard_looks import look, seen
from tests.support.guarded import GUARD, Guarded, create_guard_role


def test_what_a_session_is_and_does(server: PostgresServer, guard: GuardSession) -> None:
    client = server.connect("app", application_name="check-out")
    client.cursor().execute("BEGIN; SELECT 'secret' AS name, 42")
    # The server shows the state a moment before the wait event.
    session = wait_until(
        lambda: next((each for each in [seen(guard, client)] if each.wait_event), None)
    )
    assert session is not None
    assert (session.role, session.database, session.application_name) == (
        "app",
        "postgres",
        "check-out",
    )
    assert session.client_address == "127.0.0.1"
    assert session.state is SessionState.IDLE_IN_TRANSACTION
    assert session.query == "BEGIN; SELECT ? AS name, ?"
    assert (session.wait_event_type, session.wait_event) == ("Client", "ClientRead")
    assert session.transaction_start is not None
    assert session.query_start is not None
    assert session.state_change is not None
    assert (
        session.backend_start
        < session.transaction_start
        <= session.query_start
        <= session.state_change
    )
    assert timedelta() <= session.time_in_state(look(guard).taken_at) < timedelta(minutes=1)
    assert not any(
        (
            session.is_superuser,
            session.is_listening,
            session.holds_advisory_lock,
            session.is_owned_by_proxy,
        )
    )


def test_each_state_is_distinguished(server: PostgresServer, guard: GuardSession) -> None:
    idle, open_transaction, aborted = (server.connect("app") for _ in range(3))
    open_transaction.cursor().execute("BEGIN")
    with pytest.raises(psycopg2.errors.DivisionByZero):
        aborted.cursor().execute("BEGIN; SELECT 1 / 0")
    assert seen(guard, idle).state is SessionState.IDLE
    assert seen(guard, open_transaction).state is SessionState.IDLE_IN_TRANSACTION
    assert seen(guard, aborted).state is SessionState.IDLE_IN_TRANSACTION_ABORTED
    assert measure(guard, [GUARD]).sessions_by_state == {
        "active": 1,
        "idle": 2,
        "idle in transaction": 1,
        "idle in transaction (aborted)": 1,
    }


def test_listeners_lock_holders_and_superusers_are_known(
    server: PostgresServer, guard: GuardSession
) -> None:
    listening, locking, superuser = server.connect("app"), server.connect("app"), server.connect()
    listening.cursor().execute("LISTEN jobs")
    locking.cursor().execute("SELECT pg_advisory_lock(7)")
    assert seen(guard, listening).is_listening
    assert seen(guard, locking).holds_advisory_lock
    assert seen(guard, superuser).is_superuser


def test_who_blocks_whom_is_what_the_server_reports(
    server: PostgresServer, guard: GuardSession
) -> None:
    """A chain: a holder, whom one session waits for, whom another waits for; and a queue behind a
    lock that waits.
    """
    server.execute(
        "CREATE TABLE stock (item int); INSERT INTO stock VALUES (1); GRANT ALL ON stock TO app"
    )
    server.execute("CREATE TABLE prices (item int); GRANT ALL ON prices TO app")
    holder, reader = server.connect("app"), server.connect("app")
    holder.cursor().execute("BEGIN; UPDATE stock SET item = 2")
    reader.cursor().execute("BEGIN; SELECT * FROM prices")
    waiting = []
    for statement in (
        "UPDATE stock SET item = 3",
        "UPDATE stock SET item = 4",
        "LOCK TABLE prices IN ACCESS EXCLUSIVE MODE",
        "SELECT * FROM prices",
    ):
        client = psycopg2.connect(
            host=server.host, port=server.port, user="app", dbname="postgres", async_=True
        )
        wait_until(lambda client=client: client.poll() == psycopg2.extensions.POLL_OK)  # type: ignore[misc]
        client.cursor().execute(f"BEGIN; {statement}" if "LOCK" in statement else statement)
        waiting.append(client)
        wait_until(
            lambda client=client: (
                client.poll() is not None  # type: ignore[misc]
                and server.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                == [(len(waiting),)]
            )
        )
    pids = [client.info.backend_pid for client in waiting]
    expected = {
        pid: tuple(server.execute("SELECT pg_blocking_pids(%s)", (pid,))[0][0])
        for pid in (*pids, holder.info.backend_pid, reader.info.backend_pid)
    }
    snapshot = look(guard)
    assert {
        session.pid: session.blocked_by for session in snapshot.sessions if session.pid in expected
    } == expected

    for client in waiting:
        client.close()


def test_a_prepared_transaction_that_blocks_is_pid_0(own_postgres: OwnPostgres) -> None:
    server = own_postgres(settings={"max_prepared_transactions": 1})
    create_guard_role(server)
    server.execute("CREATE TABLE stock (item int)")
    server.execute("BEGIN; LOCK TABLE stock; PREPARE TRANSACTION 'forgotten'")
    client = psycopg2.connect(
        host=server.host, port=server.port, user="postgres", dbname="postgres", async_=True
    )
    wait_until(lambda: client.poll() == psycopg2.extensions.POLL_OK)
    client.cursor().execute("SELECT * FROM stock")
    wait_until(
        lambda: (
            client.poll() is not None
            and server.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)]
        )
    )
    guarded = Guarded(server)
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
    assert seen(session, client).blocked_by == (0,)
    client.close()
    session.close()
    server.execute("ROLLBACK PREPARED 'forgotten'")


def test_limits_of_roles_and_databases_are_counted_and_so_are_the_servers(
    server: PostgresServer, guard: GuardSession
) -> None:
    server.execute("ALTER ROLE app CONNECTION LIMIT 4")
    server.execute("CREATE DATABASE shop CONNECTION LIMIT 9")
    for database in ("postgres", "shop", "shop"):
        server.connect("app", database=database)
    measurement = measure(guard, [GUARD])
    assert set(measurement.limits) == {
        ConnectionLimit(LimitOwner.ROLE, "app", 4, 3),
        ConnectionLimit(LimitOwner.DATABASE, "shop", 9, 2),
    }
    capacity = measurement.capacity
    assert capacity.max_connections == 40
    assert capacity.reservations["superuser_reserved_connections"] == 3
    assert capacity.usable == (34 if int(float(measurement.server.version)) >= 16 else 37)
    assert measurement.used == 5
    assert measurement.other_backends["checkpointer"] == 1
    assert "client backend" not in measurement.other_backends


@NEWEST
def test_connections_reserved_by_amazon_are_not_usable(server: PostgresServer) -> None:
    create_guard_role(server)
    server.execute(f"ALTER ROLE {GUARD} SET rds.rds_superuser_reserved_connections = 2")
    server.execute(f"ALTER ROLE {GUARD} SET rds.rds_reserved_connections = 5")
    guarded = Guarded(server)
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
    assert measure(session, [GUARD]).capacity.usable == 34 - 7
    session.close()


@NEWEST
def test_pausing_one_of_the_guards_roles_pauses_it(
    server: PostgresServer, guard: GuardSession
) -> None:
    server.execute("CREATE ROLE connection_guard_proxy LOGIN; CREATE ROLE connection_guard_paused")
    roles = [GUARD, "connection_guard_proxy"]
    assert measure(guard, roles).pause is None
    server.execute("GRANT connection_guard_paused TO connection_guard_proxy")
    assert measure(guard, roles).pause == Pause()


@NEWEST
@pytest.mark.parametrize("has_monitor", [True, False])
def test_sessions_of_the_proxy_are_recognised_by_its_address_or_its_monitors(
    server: PostgresServer, guard: GuardSession, has_monitor: bool
) -> None:
    if has_monitor:
        server.execute("CREATE ROLE rdsproxyadmin LOGIN")
    direct = server.connect("app")
    with RdsProxyDouble((server.host, server.port)) as proxy:
        proxied = psycopg2.connect(host=proxy.host, port=proxy.port, user="app", dbname="postgres")
        proxied.cursor().execute("SELECT 1")
        endpoint = addresses_of(Door(DoorName.PROXY, proxy.host, proxy.port, GUARD))
        for known, is_known in ((endpoint, True), ((), has_monitor)):
            owned = {
                session.client_address
                for session in look(guard, known).sessions
                if session.is_owned_by_proxy
            }
            assert owned == ({proxy.host} if is_known else set())
        assert not seen(guard, direct).is_owned_by_proxy
        proxied.close()


@NEWEST
def test_what_a_role_and_a_last_statement_show_of_a_session(
    server: PostgresServer, guard: GuardSession
) -> None:
    server.execute("CREATE ROLE rdsadmin LOGIN")
    amazons, opened, used = server.connect("rdsadmin"), server.connect("app"), server.connect("app")
    used.cursor().execute("SELECT count(*) FROM pg_class")
    assert seen(guard, amazons).is_owned_by_amazon
    assert not seen(guard, opened).is_owned_by_amazon
    assert seen(guard, opened).last_use.only_opened
    assert not seen(guard, used).last_use.only_opened


def test_a_name_that_does_not_resolve_has_no_addresses() -> None:
    assert addresses_of(Door(DoorName.PROXY, "proxy.invalid", 5432, GUARD)) == frozenset()


def test_thousands_of_roles_with_limits_cost_next_to_nothing(own_postgres: OwnPostgres) -> None:
    """A role for each tenant: what is counted is the sessions, once, and not once for each role."""
    server = own_postgres(settings={"max_connections": 250})
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN CONNECTION LIMIT 220")
    for _ in range(200):
        server.connect("app")
    guarded = Guarded(server)
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)

    def quickest() -> float:
        def seconds() -> float:
            started = time.perf_counter()
            assert measure(session, [GUARD]).limits == (
                ConnectionLimit(LimitOwner.ROLE, "app", 220, 200),
            )
            return time.perf_counter() - started

        return min(seconds() for _ in range(9))

    with_one = quickest()
    server.execute(
        "DO $$ BEGIN FOR n IN 1..5000 LOOP EXECUTE format('CREATE ROLE tenant%s LOGIN CONNECTION "
        "LIMIT 5', n); END LOOP; END $$"
    )
    assert quickest() < 5 * with_one
    session.close()


def test_logins_are_counted_since_postgresql_15(
    server: PostgresServer, guard: GuardSession
) -> None:
    """Before that, the query would wait for the statistics collector."""
    before = measure(guard, [GUARD]).logins
    for _ in range(5):
        server.connect("app").close()
    if int(float(look(guard).measurement.server.version)) < 15:
        assert before is None
        return
    assert before is not None

    def counted() -> bool:
        now = measure(guard, [GUARD]).logins
        assert now is not None
        return (
            min(
                now.total - before.total,
                now.by_database["postgres"] - before.by_database["postgres"],
            )
            >= 5
        )

    wait_until(counted)
