"""The databases that the guard is deployed for: real PostgreSQL servers behind the doors that RDS
and RDS Proxy have, each server with few connections.

    responder -> proxy gate  -> PgBouncer -> PostgreSQL   where there is a proxy
    responder -> direct gate -> PostgreSQL
"""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from connection_guard.core.database.door import DoorName
from doubles.certificates import Authority
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.pgbouncer import PgBouncer
from doubles.postgresql.postgres_server import PostgresServer
from tests.e2e import filling_clients as clients
from tests.e2e.account.emulator import ACCOUNT, REGION
from tests.e2e.filling_clients import Applications
from tests.e2e.iam_gate import Iam, IamGate, loopback, postgres_over_tls
from tests.support.bootstrapping import assert_silent_success, bootstrap
from tests.support.guarded import GUARD

SETTINGS = {"max_connections": 60, "superuser_reserved_connections": 3, "reserved_connections": 3}
USABLE = (
    SETTINGS["max_connections"]
    - SETTINGS["superuser_reserved_connections"]
    - SETTINGS["reserved_connections"]
)
POOL = 3  # server connections that a proxy may open

# As in guard.toml. Only the first has a proxy.
ORDERS, PAYMENTS, BILLING = "orders", "payments", "billing"
RESOURCES = {
    ORDERS: {DoorName.PROXY: "prx-0123456789abcdef0", DoorName.DIRECT: "db-ORDERS"},
    PAYMENTS: {DoorName.DIRECT: "db-PAYMENTS"},
    BILLING: {DoorName.DIRECT: "db-BILLING"},
}


def users_behind(database: str, door: DoorName) -> str:
    """Return what the ARN of each user of the database begins with at this door."""
    return f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{RESOURCES[database][door]}"


@dataclass(frozen=True, slots=True)
class RunningDatabase:
    """A server, the gates at its doors, and its applications."""

    name: str
    server: PostgresServer
    gates: Mapping[DoorName, IamGate]
    applications: Applications
    pooler: PgBouncer | None

    def count_connections(self) -> int:
        """Return what RDS would publish as DatabaseConnections."""
        ((count,),) = self.server.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        )
        return int(count)

    def end_seat(self) -> None:
        """End every session of the guard."""
        self.server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (GUARD,)
        )

    def leak_is_stale(self) -> bool:
        """Return whether the policy may end every session whose transaction failed."""
        ((is_stale,),) = self.server.execute(
            "SELECT bool_and(clock_timestamp() - state_change > '1 minute') "
            "FROM pg_stat_activity WHERE state = 'idle in transaction (aborted)'"
        )
        return bool(is_stale)

    def sessions(self) -> set[int]:
        """Return the server process of each session of the applications."""
        found = self.server.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = %s", (clients.ROLE,)
        )
        return {pid for (pid,) in found}


@contextlib.contextmanager
def running(
    name: str, authorities: Mapping[DoorName, Authority], iam: Iam
) -> Iterator[RunningDatabase]:
    """Yield a server that takes clients over TLS only, with the guard's roles on it."""
    tls = authorities[DoorName.DIRECT].server
    certificate = authorities[DoorName.DIRECT].certificate
    hba = [f"hostssl all {user} 127.0.0.0/8 trust" for user in (GUARD, clients.ROLE)]
    with ExitStack() as stack:
        postgres = stack.enter_context(
            EmbeddedPostgres(postgres_binaries.installed(18), SETTINGS, hba=hba, tls=tls)
        )
        server = PostgresServer(postgres)
        stack.callback(server.close_connections)
        assert_silent_success(bootstrap(server))
        server.execute(f"CREATE ROLE {clients.ROLE} LOGIN")
        targets = {DoorName.DIRECT: postgres_over_tls("localhost", server.port, certificate)}
        pooler = None
        if DoorName.PROXY in RESOURCES[name]:
            # It lets the guard, which uses SET, keep its server connection, as RDS Proxy does, and
            # gives up before the guard, which waits for 2 s.
            pooler = stack.enter_context(
                PgBouncer(
                    server.port,
                    (GUARD, clients.ROLE),
                    {
                        "pool_mode": "transaction",
                        "max_db_connections": POOL,
                        "query_wait_timeout": 1,
                    },
                    pinned=GUARD,
                    authority=certificate,
                )
            )
            targets[DoorName.PROXY] = loopback(pooler.host, pooler.port)
        # RDS itself, too, checks a token before PostgreSQL sees the login.
        gates = {
            door: stack.enter_context(
                IamGate(target, users_behind(name, door), iam, authorities[door].server)
            )
            for door, target in targets.items()
        }
        applications = Applications(server.port, certificate, pooler.port if pooler else None)
        stack.callback(applications.close)
        yield RunningDatabase(name, server, gates, applications, pooler)
