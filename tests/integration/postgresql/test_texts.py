"""Names and queries in a Snapshot: encodings, lengths, and secrets."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from random import Random

import psycopg2
import pytest

from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.decision.decide import decide
from connection_guard.core.policy import Tier
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import OwnPostgres
from tests.support.builders import a_policy
from tests.support.guard_looks import look, seen
from tests.support.guarded import GUARD, Guarded, create_guard_role


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
