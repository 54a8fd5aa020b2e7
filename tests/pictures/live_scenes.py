"""What the verbs show that look at one live database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from doubles.certificates import self_signed
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer
from tests.pictures.shot import picture_of_call, picture_of_dialogue
from tests.pictures.stage import a_database_in_trouble
from tests.pictures.tunnel import tunnel_to
from tests.support.bootstrapping import bootstrap
from tests.support.cli.live_terminal import LiveTerminal
from tests.support.guarded import GUARD, create_guard_role

SETTINGS: dict[str, str | int] = {"max_connections": 105, "reserved_connections": 5}
PASSWORD = "only the server knows it"
LINES_OF_TOP = 36
FORGOTTEN = "SELECT pid FROM pg_stat_activity WHERE application_name = 'invoices' ORDER BY pid"

# Of the database in trouble, so that there are few findings.
LIMITS = """
ALTER ROLE analyst CONNECTION LIMIT 5;
ALTER ROLE backup CONNECTION LIMIT 2;
ALTER DATABASE postgres SET idle_session_timeout = '1h';
ALTER DATABASE postgres SET transaction_timeout = '1h';
ALTER ROLE analyst SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE backup SET idle_in_transaction_session_timeout = '1min';
"""


def doctor(folder: Path) -> str:
    """Show a server on which the guard's role lacks a grant."""
    tls = self_signed(folder, "DNS:localhost", days=90)
    hba = ["hostssl all all 127.0.0.1/32 password"]
    environment = {
        "PGPASSWORD": PASSWORD,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(tls.certificate),
    }
    install = postgres_binaries.installed(18)
    with EmbeddedPostgres(install, SETTINGS, tls=tls, hba=hba) as postgres:
        server = PostgresServer(postgres)
        create_guard_role(server)
        server.execute(f"ALTER ROLE {GUARD} PASSWORD '{PASSWORD}'")
        server.execute(f"REVOKE pg_signal_backend FROM {GUARD}")
        with tunnel_to(server.host, server.port) as end:
            picture = picture_of_call(
                "doctor", "orders", "--host", end, folder=folder, environment=environment
            )
        server.close_connections()
    return picture


def top(folder: Path) -> str:
    """Show the database in trouble while somebody watches it."""

    def watch(terminal: LiveTerminal) -> None:
        terminal.wait_for("waits for")

    with _trouble() as end:
        return picture_of_dialogue(
            "top", "orders", "--host", end, folder=folder, person=watch, lines=LINES_OF_TOP
        )


def plan(folder: Path) -> str:
    """Show the plan for the database in trouble."""
    with _trouble() as end:
        return picture_of_call("plan", "orders", "--host", end, folder=folder)


def terminate(folder: Path) -> str:
    """Show how the transactions that were forgotten are ended by hand."""

    def agree(terminal: LiveTerminal) -> None:
        terminal.wait_for("Type yes")
        terminal.type("yes\n")
        terminal.status()

    with a_database_in_trouble() as server, tunnel_to(server.host, server.port) as end:
        pids = ",".join(str(pid) for (pid,) in server.execute(FORGOTTEN))
        server.close_observer()
        arguments = ("terminate", "orders", "--pid", pids, "--host", end)
        return picture_of_dialogue(*arguments, folder=folder, person=agree)


def audit(folder: Path) -> str:
    """Show what should change where most is well."""
    with a_database_in_trouble() as server, tunnel_to(server.host, server.port) as end:
        server.execute(LIMITS)
        server.close_observer()
        arguments = ("audit", "orders", "--host", end, "--idle-for", "15m")
        return picture_of_call(*arguments, folder=folder)


def pause(folder: Path) -> str:
    """Show a pause for a load test."""
    arguments = ("--for", "2h", "--why", "load test", "--by", "alice")
    return _call_bootstrapped(folder, ("pause", *arguments))


def resume(folder: Path) -> str:
    """Show the end of a pause."""
    return _call_bootstrapped(folder, ("pause",), ("resume",))


@contextmanager
def _trouble() -> Iterator[str]:
    with a_database_in_trouble() as server, tunnel_to(server.host, server.port) as end:
        yield end


def _call_bootstrapped(folder: Path, *calls: tuple[str, ...]) -> str:
    """Return the picture of the last call by the master user, where the guard's roles exist."""
    with EmbeddedPostgres(postgres_binaries.installed(18), SETTINGS) as postgres:
        server = PostgresServer(postgres)
        assert bootstrap(server).returncode == 0
        with tunnel_to(server.host, server.port) as end:
            access = ("orders", "--host", end, "--user", "postgres")
            pictures = [
                picture_of_call(verb, *access, *arguments, folder=folder)
                for verb, *arguments in calls
            ]
        server.close_connections()
    return pictures[-1]
