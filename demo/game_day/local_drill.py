"""What `connection-guard drill` fills where no database is named: a real PostgreSQL on this machine
with an application, and a guard at work. The ages of the policy are divided as in the demo.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812

from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.access.login_options import Login
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.database.door import Door, DoorName
from demo.applications import Application, next_message, start
from demo.database import SERVER_SETTINGS
from demo.demo_error import DemoError
from demo.game_day.played_guard import (
    CRITICAL_PERCENT,
    ROLE,
    WARNING_PERCENT,
    PlayedGuard,
    observer_of_drill,
)
from demo.quick import quick_policy
from demo.show.terminal import captured_output
from doubles.local_process import DoubleError
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_binaries import packaged_postgres

WEB = Application(
    name="web",
    role="shop",
    client="healthy_pool",
    sessions=20,
    state=None,
    must_go=0,
    story="busy pool, which must not notice anything",
)


@contextmanager
def game_day() -> Iterator[tuple[DatabaseAccess, PlayedGuard]]:
    """Start all of it; yield how to reach the database, and what shows the guard's work.

    Standard output is captured meanwhile: it is the functions' log. Raise UserMistakeError where
    something cannot be started.
    """
    for variable in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[variable]  # libpq would take settings meant for another server
    try:
        with ExitStack() as stack:
            yield _started(stack)
    except (DemoError, DoubleError) as error:
        raise UserMistakeError(f"the local drill cannot go on: {error}") from error


def _started(stack: ExitStack) -> tuple[DatabaseAccess, PlayedGuard]:
    stack.enter_context(captured_output())
    postgres = stack.enter_context(EmbeddedPostgres(packaged_postgres(), SERVER_SETTINGS))
    policy = quick_policy(parse_policy(SHIPPED_POLICY.read_text()))
    observer = observer_of_drill(postgres)
    stack.callback(observer.close)
    guard = PlayedGuard(postgres, observer, policy)
    stack.enter_context(guard.reporter.slack)
    next_message(WEB, start(stack, WEB, postgres))
    guard.start()
    stack.callback(guard.stop)

    def connect(door: Door) -> Connection:
        return psycopg2.connect(
            host=door.host, port=door.port, user=door.role, dbname="postgres", async_=True
        )

    access = DatabaseAccess(
        name="this machine",
        door=Door(DoorName.DIRECT, postgres.host, postgres.port, ROLE),
        connect=connect,
        login=Login(dbname="postgres"),
        guard_roles=("connection_guard",),
        warning_percent=WARNING_PERCENT,
        critical_percent=CRITICAL_PERCENT,
        policy=policy,
    )
    return access, guard
