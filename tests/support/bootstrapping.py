"""The roles' bootstrap, run by psql as an operator runs it."""

import shutil
import subprocess
from pathlib import Path

from doubles.postgresql.postgres_server import PostgresServer

BOOTSTRAP = Path(__file__).parents[2] / "bootstrap" / "bootstrap.sql"


def bootstrap(
    server: PostgresServer, *, user: str = "postgres", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Return how psql ended after running bootstrap.sql as the user, with these variables."""
    psql = shutil.which("psql")
    assert psql, "psql is missing: install PostgreSQL's client programs"
    return subprocess.run(
        [
            psql,
            "--no-psqlrc",
            "--quiet",
            "--file",
            BOOTSTRAP,
            *(f"--set={name}={value}" for name, value in variables.items()),
            f"host={server.host} port={server.port} user={user} dbname=postgres",
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def assert_silent_success(run: subprocess.CompletedProcess[str]) -> None:
    """Raise AssertionError where the program failed or printed anything."""
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
