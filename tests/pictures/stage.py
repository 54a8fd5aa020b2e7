"""A real PostgreSQL in trouble, with real ages: what the pictures in docs/commands show."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg2

from clients.lab.turned_server import Clock, turned_server
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.guarded import create_guard_role

LEAKED, FORGOTTEN = 29, 3

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'orders-api' AND wait_event_type = 'Lock'
"""


@contextmanager
def a_database_in_trouble(version: int = 18) -> Iterator[PostgresServer]:
    """Yield a server of 50 usable connections, of which 46 are taken once a verb looks: one pool
    leaks, transactions were forgotten, and clients wait for a lock; others are at work, or idle on
    purpose.
    """
    with turned_server(version) as (server, clock), ThreadPoolExecutor(4) as clients:
        create_guard_role(server)
        for role in ("shop", "analyst", "backup"):
            server.execute(f"CREATE ROLE {role} LOGIN")
        server.execute("CREATE TABLE orders (id int PRIMARY KEY, state text)")
        server.execute("INSERT INTO orders SELECT id, 'new' FROM generate_series(1, 50) AS id")
        server.execute("GRANT ALL ON orders TO shop, analyst, backup")
        _leak(server, clock)
        _use(server, "scheduler", "SELECT pg_advisory_lock(pg_backend_pid())", sessions=2)
        _use(server, "notifier", "LISTEN orders", sessions=2)
        backup = server.connect("backup", application_name="pg_dump")
        backup.cursor().execute("BEGIN; SELECT 1")
        clock.turn(timedelta(minutes=3))
        _forget_transactions(server)
        clock.turn(timedelta(minutes=8))
        _use(server, "mailer", "SELECT state FROM orders WHERE id = 7", sessions=4)
        clock.turn(timedelta(seconds=40))
        at_work = [
            server.connect(role, application_name=name)
            for role, name in (
                ("analyst", "monthly-report"),
                ("analyst", "monthly-report"),
            )
        ]
        waiting = [server.connect("shop", application_name="orders-api") for _ in range(2)]
        for session in at_work:
            clients.submit(_run, session, "SELECT pg_sleep(600)")
        for session in waiting:
            clients.submit(_run, session, "UPDATE orders SET state = 'paid' WHERE id = 1")
        wait_until(lambda: server.execute(WAITING) == [(len(waiting),)])
        server.close_observer()
        try:
            yield server
        finally:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )


def _leak(server: PostgresServer, clock: Clock) -> None:
    """Take sessions one after another and never give them back."""
    for order in range(LEAKED):
        session = server.connect("shop", application_name="checkout")
        session.cursor().execute(f"SELECT state FROM orders WHERE id = {order}")
        clock.turn(timedelta(seconds=50))


def _forget_transactions(server: PostgresServer) -> None:
    for order in range(1, FORGOTTEN + 1):
        session = server.connect("shop", application_name="invoices")
        session.cursor().execute(f"BEGIN; UPDATE orders SET state = 'sent' WHERE id = {order}")


def _use(server: PostgresServer, application: str, statement: str, *, sessions: int) -> None:
    for _ in range(sessions):
        server.connect("shop", application_name=application).cursor().execute(statement)


def _run(session: psycopg2.extensions.connection, statement: str) -> None:
    with suppress(psycopg2.Error), session.cursor() as cursor:  # it is terminated at the end
        cursor.execute(statement)
