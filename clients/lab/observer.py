"""What the superuser sees of a lab's server."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import psycopg2

from clients.lab.served_application import Application
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until

SESSIONS = """
SELECT pid::text || ' ' || backend_start, application_name, host(client_addr), client_port
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usename = 'shop'
"""
FRESH = timedelta(seconds=45)


class Observer:
    """The view of the server on its own clock; the guard's reports play no part in it."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def now(self) -> datetime:
        """Return the server's time."""
        [(now,)] = self._server.execute("SELECT clock_timestamp()")
        assert isinstance(now, datetime)
        return now

    def used(self) -> int:
        """Return how many connections are in use."""
        [(used,)] = self._server.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        )
        return int(used)

    def sessions(self, applications: Iterable[Application]) -> dict[str, tuple[str, str]]:
        """Return every session of an application by pid and start: its application and process."""
        owners = {
            (each.forwarder.address, port): f"{each.name}@{place}"
            for place, each in enumerate(applications)
            for port in each.forwarder.client_ports
        }
        sessions = {}
        for key, name, *client in self._server.execute(SESSIONS):
            process = owners.get(tuple(client), f"{name}@elsewhere")
            sessions[key] = (name or process.partition("@")[0], process)
        return sessions

    def serves_new_client(self) -> bool:
        """Return whether a new client can log in."""
        with suppress(psycopg2.OperationalError):
            self._server.connect("newcomer", application_name="newcomer").close()
            return True
        return False

    def await_sessions(self, name: str, count: int) -> None:
        """Wait until an application has opened this many sessions."""
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        wait_until(lambda: self._server.execute(statement, (name,))[0][0] >= count)

    def await_fresh(self, name: str, count: int) -> None:
        """Wait until an application that works all the time has used that many sessions since time
        was let pass.
        """
        statement = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND "
            "clock_timestamp() - state_change < %s"
        )
        wait_until(lambda: self._server.execute(statement, (name, FRESH))[0][0] >= count)
