"""What a Snapshot shows of real sessions, on every version."""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import timedelta
from random import Random

import psycopg2
import pytest

from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from connection_guard.adapters.postgresql.observe import addresses_of, measure, take_snapshot
from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.decide import decide
from connection_guard.core.policy import Tier
from doubles.postgres_server import PostgresServer
from doubles.rds_proxy_double import RdsProxyDouble
from doubles.waiting import wait_until
from tests.integration.conftest import OwnPostgres
from tests.support.builders import a_policy
from tests.support.guarded import GUARD, Guarded, create_guard_role

NEWEST = pytest.mark.parametrize("postgres", [18], indirect=True)


@pytest.fixture
def guard(server: PostgresServer) -> Iterator[GuardSession]:
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    guarded = Guarded(server)
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
    yield session
    session.close()


def look(guard: GuardSession, proxy_addresses: Collection[str] = ()) -> Snapshot:
    return take_snapshot(guard, measure(guard, [GUARD]), proxy_addresses)


def seen(guard: GuardSession, client: "psycopg2.extensions.connection") -> Session:
    (session,) = [each for each in look(guard).sessions if each.pid == client.info.backend_pid]
    return session


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


def test_who_blocks_whom_is_what_the_server_says(
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
    assert capacity.usable == (34 if measurement.server.version >= 160000 else 37)
    assert measurement.used == 5
    assert measurement.other_backends["checkpointer"] == 1
    assert "client backend" not in measurement.other_backends


@NEWEST
def test_what_amazon_reserves_is_taken_off_too(server: PostgresServer) -> None:
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
    assert not measure(guard, roles).privileges.is_paused
    server.execute("GRANT connection_guard_paused TO connection_guard_proxy")
    assert measure(guard, roles).privileges.is_paused


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


@pytest.mark.parametrize(
    ("encoding", "statement", "shown"),
    [
        ("LATIN1", b"SELECT 1 AS caf\xe9", "SELECT ? AS café"),
        ("SQL_ASCII", b"SELECT 1 AS caf\xe9", "SELECT ? AS café"),
        ("EUC_JP", b"SELECT 1 AS \xa4\xa2", "SELECT ? AS ¤¢"),  # nothing says which encoding it is
    ],
)
def test_texts_in_another_databases_encoding_do_no_harm(
    server: PostgresServer, guard: GuardSession, encoding: str, statement: bytes, shown: str
) -> None:
    """pg_stat_activity shows the bytes that the client sent, not the reader's encoding."""
    server.execute(f"CREATE DATABASE other ENCODING '{encoding}' TEMPLATE template0")
    client = server.connect("app", database="other")
    client.set_client_encoding(encoding)
    client.cursor().execute(statement)
    assert seen(guard, client).query == shown


def test_a_very_long_query_is_cut(own_postgres: OwnPostgres) -> None:
    server = own_postgres(settings={"track_activity_query_size": 1_000_000})
    create_guard_role(server)
    guarded = Guarded(server)
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
    client = server.connect()
    client.cursor().execute(f"SELECT 1 AS cafe, '{'x' * 500_000}' AS secret")
    query = seen(session, client).query
    assert query == "SELECT ? AS cafe, ?"
    session.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_the_guards_own_database_may_have_any_encoding(
    server: PostgresServer, encoding: str
) -> None:
    create_guard_role(server)
    server.execute(f"CREATE DATABASE other ENCODING '{encoding}' TEMPLATE template0")
    server.execute('CREATE ROLE "bücher" LOGIN')
    client = server.connect("bücher")
    client.cursor().execute("SELECT 1 AS café")
    door = Door(DoorName.DIRECT, server.host, server.port, GUARD)
    session = open_session(
        lambda door: psycopg2.connect(
            host=door.host, port=door.port, user=door.role, dbname="other", async_=True
        ),
        door,
        time.monotonic() + 30,
    )
    assert seen(session, client).query.startswith("SELECT ? AS caf")
    session.close()


@pytest.mark.parametrize("guards_encoding", ["UTF8", "LATIN1", "SQL_ASCII"])
@pytest.mark.parametrize("others_encoding", ["UTF8", "LATIN1"])
def test_names_beyond_ascii_are_what_the_policy_calls_them(
    server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    guards_encoding: str,
    others_encoding: str,
) -> None:
    """A role or a database is named in the encoding of whichever database the name was given in."""
    for name, encoding in (("guards", guards_encoding), ("others", others_encoding)):
        server.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'"
        )
    create_guard_role(server)
    there = server.connect(database="others", client_encoding="UTF8").cursor()
    there.execute('CREATE ROLE "bücher" LOGIN CONNECTION LIMIT 3')
    there.execute('CREATE DATABASE "Übung" CONNECTION LIMIT 4')
    monkeypatch.setenv("PGUSER", os.fsdecode("bücher".encode(others_encoding)))
    monkeypatch.setenv("PGDATABASE", os.fsdecode("Übung".encode(others_encoding)))
    client = psycopg2.connect(host=server.host, port=server.port)
    guarded = Guarded(server, database_name="guards")
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
    try:
        snapshot = look(session)
        (theirs,) = [each for each in snapshot.sessions if each.pid == client.info.backend_pid]
        assert (theirs.role, theirs.database) == ("bücher", "Übung")
        assert set(snapshot.measurement.limits) == {
            ConnectionLimit(LimitOwner.ROLE, "bücher", 3, 1),
            ConnectionLimit(LimitOwner.DATABASE, "Übung", 4, 1),
        }
        for protection in (
            a_policy(protect_roles=("b?cher",)),
            a_policy(protect_databases=("Übung",)),
        ):
            verdicts = decide(snapshot, protection, Tier.CRITICAL, guard_roles=[GUARD]).verdicts
            assert [each.rule for each in verdicts if each.session == theirs] == ["protect"]
    finally:
        client.close()
        session.close()
        wait_until(lambda: not server.has_session(theirs.pid))
        there.execute('DROP DATABASE "Übung"')
        there.execute('DROP ROLE "bücher"')


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


def statements_with_secrets(random: Random) -> Iterator[str]:
    """Statements of every length about the guard's and the server's own bounds, each with secrets
    throughout.
    """
    literals = [
        "E'o\\'Hush{}\\\\'",
        "'it''s Hush{}'",
        "$q$ 'Hush{} $q$",
        "U&'Hush{}\\00e9'",
        "E'\\\\\\'Hush{}\\n'",
        "'é😀 Hush{}'",
        "/* Hush{} */ 1",
    ]
    for length in (40, 900, 3900, 4050, 4090, 4096, 4100, 5000, 9000, 32_000, 40_000):
        for _ in range(30):
            begins = random.choice(
                ["SELECT ", "ALTER ROLE app PASSWORD ", "SET app.token = Hush1; SELECT 1, "]
            )
            parts, size = [begins], len(begins)
            while size < length:
                literal = random.choice(literals).format(random.randrange(1000))
                parts.append(f"{literal}, {'x' * random.randrange(9)} ")
                size += len(parts[-1].encode())
            yield "".join(parts)


def test_no_secret_survives_however_long_its_statement_is(own_postgres: OwnPostgres) -> None:
    server = own_postgres(settings={"track_activity_query_size": 32_768})
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    clients = [server.connect("app").cursor() for _ in range(30)]
    guarded = Guarded(server)
    session = open_session(guarded.connect, guarded.settings.direct, time.monotonic() + 30)
    statements = list(statements_with_secrets(Random(8)))  # noqa: S311 - the same statements every time
    for start in range(0, len(statements), len(clients)):
        for client, statement in zip(clients, statements[start:], strict=False):
            with suppress(psycopg2.Error):  # what it says is shown, whether it makes sense or not
                client.execute(statement)
        queries = [each.query for each in look(session).sessions if each.role == "app"]
        assert len(queries) == len(clients)
        assert not [query for query in queries if "Hush" in query]
        assert all(
            query.startswith(("SELECT ?", "ALTER ROLE app PASSWORD ?", "SET app.token = ?"))
            for query in queries
        )
    session.close()


def test_logins_are_counted_since_postgresql_15(
    server: PostgresServer, guard: GuardSession
) -> None:
    """Before that, the query would wait for the statistics collector."""
    before = measure(guard, [GUARD]).logins
    for _ in range(5):
        server.connect("app").close()
    if look(guard).measurement.server.version < 150000:
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
