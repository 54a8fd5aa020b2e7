"""The applications that exhaust the demo's connections, each in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connection_guard.core.database.session import SessionState
from demo.demo_error import DemoError
from doubles.postgresql.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Application:
    """An application: `sessions` is how many it opens, and `must_go` how many of those must go, the
    least recently used first.

    `client` names what it does in demo/leaky_clients.py. `state` is the one in which its sessions
    stay, None where they work.
    """

    name: str
    role: str
    client: str
    sessions: int
    state: SessionState | None
    must_go: int
    story: str


APPLICATIONS = (
    Application(
        name="checkout",
        role="shop",
        client="leaking_pool",
        sessions=21,
        state=SessionState.IDLE,
        must_go=20,
        story="SQLAlchemy pool that leaks (its last used session stays)",
    ),
    Application(
        name="invoices",
        role="shop",
        client="idle_in_transaction",
        sessions=7,
        state=SessionState.IDLE_IN_TRANSACTION,
        must_go=7,
        story="forgotten transactions, each with a row locked",
    ),
    Application(
        name="import",
        role="shop",
        client="aborted",
        sessions=4,
        state=SessionState.IDLE_IN_TRANSACTION_ABORTED,
        must_go=4,
        story="failed and never rolled back",
    ),
    Application(
        name="mailer",
        role="shop",
        client="quiet_pool",
        sessions=1,
        state=SessionState.IDLE,
        must_go=0,
        story="its pool's only session: each pool keeps one",
    ),
    Application(
        name="scheduler",
        role="shop",
        client="advisory_lock",
        sessions=2,
        state=SessionState.IDLE,
        must_go=0,
        story="hold an advisory lock",
    ),
    Application(
        name="notifier",
        role="shop",
        client="listener",
        sessions=2,
        state=SessionState.IDLE,
        must_go=0,
        story="wait for LISTEN",
    ),
    Application(
        name="pg_dump",
        role="backup",
        client="backup",
        sessions=2,
        state=SessionState.IDLE_IN_TRANSACTION,
        must_go=0,
        story="backup, recognised by its application name",
    ),
    Application(
        name="monthly-report",
        role="analyst",
        client="long_query",
        sessions=2,
        state=SessionState.ACTIVE,
        must_go=0,
        story="run one long query each",
    ),
    Application(
        name="web",
        role="shop",
        client="healthy_pool",
        sessions=55,
        state=None,
        must_go=0,
        story="busy SQLAlchemy pool, never idle for long",
    ),
)


@dataclass(frozen=True, slots=True)
class RunningApplication:
    """A running application and the pids of its sessions as it knows them, the least recently used
    first.
    """

    application: Application
    process: subprocess.Popen[str]
    pids: tuple[int, ...]

    @property
    def must_go(self) -> tuple[int, ...]:
        """The pids of the sessions that must go."""
        return self.pids[: self.application.must_go]

    def finish_work(self) -> Any:
        """End the application's work and return what it says of it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return next_message(self.application, self.process)


def must_go(running: Iterable[RunningApplication]) -> set[int]:
    """Return the pids of all sessions that must go."""
    return {pid for each in running for pid in each.must_go}


def start(
    stack: ExitStack, application: Application, postgres: EmbeddedPostgres
) -> subprocess.Popen[str]:
    """Start the application's process, which `stack` ends."""
    dsn = (
        f"host={postgres.host} port={postgres.port} dbname=postgres user={application.role} "
        f"application_name={application.name}"
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "demo.leaky_clients",
            application.client,
            dsn,
            str(application.sessions),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is the demo's to handle
    )
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def next_message(application: Application, process: subprocess.Popen[str]) -> Any:
    """Return the next of the messages that a client prints, each a line of JSON. Raise DemoError
    where the client has ended.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise DemoError(f"application {application.name} ended unexpectedly")
    return json.loads(line)
