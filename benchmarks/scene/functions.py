"""The responder and a bare handler as Lambda runs them, and a server whose certificate they have
to verify.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connection_guard.adapters.postgresql.login import ROOTS
from connection_guard.core.database.door import Door, DoorName
from doubles.aws.lambda_runtime import ExecutionEnvironment, package_responder
from doubles.certificates import self_signed
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.builders import some_settings
from tests.support.guarded import GUARD, create_guard_role

HANDLERS = Path(__file__).parents[1] / "handlers"
RDS_ROOTS = (
    Path(__file__).parents[2]
    / "lambdas/connection_guard/adapters/postgresql/roots"
    / ROOTS[DoorName.DIRECT]
)


@dataclass(frozen=True, slots=True)
class Functions:
    """A deployment package with both handlers in it, and the server that they log in to."""

    server: PostgresServer
    task_root: Path
    environment: dict[str, str]

    def start(self, handler: str) -> ExecutionEnvironment:
        """Return a new execution environment of one of `benchmarks/handlers`."""
        return ExecutionEnvironment(self.task_root, f"{handler}.lambda_handler", self.environment)


@contextmanager
def functions() -> Iterator[Functions]:
    """Yield the functions. Their root certificates are RDS's own bundle, as in production, and one
    more for the local server.
    """
    with tempfile.TemporaryDirectory() as folder:
        task_root = Path(folder)
        package_responder(task_root)
        shutil.copytree(
            HANDLERS, task_root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        tls = self_signed(task_root, "IP:127.0.0.1")
        roots = task_root / "roots.pem"
        roots.write_text(RDS_ROOTS.read_text() + tls.certificate.read_text())
        with EmbeddedPostgres(
            postgres_binaries.installed(18),
            tls=tls,
            hba=["hostssl all all 127.0.0.0/8 trust"],  # any token is accepted as the password
        ) as postgres:
            server = PostgresServer(postgres)
            create_guard_role(server)
            settings = some_settings(direct=Door(DoorName.DIRECT, server.host, server.port, GUARD))
            yield Functions(
                server, task_root, {**settings.to_environment(), "ROOT_CERTIFICATES": str(roots)}
            )
            server.close_connections()
