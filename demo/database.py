"""The demo's database: its settings, the superuser who observes it, and a new client."""

from datetime import datetime
from typing import NamedTuple

import pg8000.native
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812

from demo.demo_error import DemoError
from doubles.postgresql.embedded_postgres import EmbeddedPostgres

MAX_CONNECTIONS = 105
RESERVED_FOR_SUPERUSERS = 3
RESERVED_FOR_ROLES = 5
SERVER_SETTINGS: dict[str, str | int] = {
    "max_connections": MAX_CONNECTIONS,
    "superuser_reserved_connections": RESERVED_FOR_SUPERUSERS,
    "reserved_connections": RESERVED_FOR_ROLES,
}
USABLE = MAX_CONNECTIONS - RESERVED_FOR_SUPERUSERS - RESERVED_FOR_ROLES

SETUP = """
CREATE TABLE orders (id int PRIMARY KEY, total numeric NOT NULL);
INSERT INTO orders SELECT id, 10 FROM generate_series(1, 100) AS id;
CREATE ROLE shop LOGIN;
CREATE ROLE backup LOGIN;
CREATE ROLE analyst LOGIN;
GRANT ALL ON orders TO shop, backup, analyst;
CREATE ROLE connection_guard LOGIN;
GRANT pg_monitor, pg_signal_backend, pg_use_reserved_connections TO connection_guard;
"""

SESSIONS = """
SELECT pid, backend_start, coalesce(state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - state_change), 0)::float8
FROM pg_stat_activity
WHERE backend_type = 'client backend'
"""


class SeenSession(NamedTuple):
    """One session as the superuser sees it; pid and backend_start together are its identity."""

    pid: int
    backend_start: datetime
    state: str
    seconds_in_state: float


def connect_observer(postgres: EmbeddedPostgres) -> Connection:
    """Return the demo's own session, a superuser's, on a database that it has set up.

    The session stays open and takes one of the usable connections.
    """
    observer = psycopg2.connect(
        host=postgres.host,
        port=postgres.port,
        user=postgres.superuser,
        dbname="postgres",
        application_name="observer",
    )
    observer.autocommit = True  # pg_stat_activity is cached per transaction
    observer.cursor().execute(SETUP)
    return observer


def sessions_seen_by(observer: Connection) -> dict[int, SeenSession]:
    """Return every session, by pid."""
    with observer.cursor() as cursor:
        cursor.execute(SESSIONS)
        return {row[0]: SeenSession(*row) for row in cursor.fetchall()}


def refusal_of_new_client(postgres: EmbeddedPostgres) -> dict[str, str]:
    """Return the fields of the server's error (PostgreSQL manual, "Error and Notice Message
    Fields"). Raise DemoError where the client is let in.
    """
    try:
        _new_client(postgres).close()
    except pg8000.native.DatabaseError as error:
        fields: dict[str, str] = error.args[0]
        return fields
    raise DemoError("a new client was let in although every usable connection should be taken")


def answer_to_new_client(postgres: EmbeddedPostgres) -> int:
    """Return what SELECT 1 gives to a new client. Raise DemoError where the client is refused."""
    try:
        client = _new_client(postgres)
    except pg8000.native.DatabaseError as error:
        raise DemoError(f"the new client is still refused: {error.args[0]['M']}") from error
    [[answer]] = client.run("SELECT 1")
    client.close()
    return int(answer)


def _new_client(postgres: EmbeddedPostgres) -> pg8000.native.Connection:
    """Log in with pg8000, because psycopg2 hides the SQLSTATE of a refused login."""
    return pg8000.native.Connection(
        "shop", host=postgres.host, port=postgres.port, database="postgres"
    )
