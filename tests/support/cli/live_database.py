"""A real database for the verbs that look at one: its address, and policies as files."""

from pathlib import Path

import psycopg2
from psycopg2.extensions import connection

from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.access.login_options import Login
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.policy import Policy
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.guarded import GUARD

POLICY = """
[tiers]
warning = "observe"
critical = "{critical}"
[protect]
roles = ["payments"]
[[rules]]
name = "idle in transaction"
action = "terminate"
states = ["idle in transaction"]
older_than = "1h"
[[rules]]
name = "stale idle"
action = "terminate"
states = ["idle"]
older_than = "{older_than}"
[limits]
target = 70
most_per_run = 100
most_per_hour = 300
refuse_above = {refuse_above}
keep_per_pool = 1
batch_size = 5
pause_between_batches = "0s"
watch_for_reconnects = "{watch}"
attempts = 10
"""


def policy_file(
    folder: Path,
    *,
    critical: str = "enforce",
    older_than: str = "1s",
    refuse_above: int = 90,
    watch: str = "0s",
) -> Path:
    """Return a policy in a file: it protects the role payments."""
    file = folder / "policy.toml"
    file.write_text(
        POLICY.format(
            critical=critical, older_than=older_than, refuse_above=refuse_above, watch=watch
        )
    )
    return file


def at(server: PostgresServer, *options: str | Path) -> tuple[str | Path, ...]:
    """Return the options of a verb that name the server, and further ones."""
    return ("--host", f"{server.host}:{server.port}", *options)


def an_access(server: PostgresServer, policy: Policy, role: str = GUARD) -> DatabaseAccess:
    """Return the access to the server as a verb has it."""

    def connect(door: Door) -> connection:
        return psycopg2.connect(
            host=door.host, port=door.port, user=door.role, dbname="postgres", async_=True
        )

    door = Door(DoorName.DIRECT, server.host, server.port, role)
    return DatabaseAccess("orders-prod", door, connect, Login(), (GUARD,), 75.0, 90.0, policy)


def idle_for_a_second(server: PostgresServer, role: str = "app") -> None:
    """Wait until every session of the role has been idle for a second, by the server's clock."""
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state = 'idle' "
        "AND clock_timestamp() - state_change <= interval '1.05 s'"
    )
    wait_until(lambda: server.execute(busy, (role,)) == [(0,)])


def wait_until_gone(server: PostgresServer, role: str = GUARD) -> None:
    """Wait until the role has no session."""
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    wait_until(lambda: server.execute(sessions, (role,)) == [(0,)])
