"""The responder and a bare handler as Lambda runs them, in front of a server that they have to
trust first.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.finding import BenchmarkError
from connection_guard.adapters.postgresql.login import ROOTS
from connection_guard.core.database.door import Door, DoorName
from doubles import postgres_binaries
from doubles.embedded_postgres import EmbeddedPostgres, TlsFiles
from doubles.lambda_runtime import ExecutionEnvironment, package_responder
from doubles.postgres_server import PostgresServer
from tests.support.builders import some_settings
from tests.support.guarded import GUARD, create_guard_role

HANDLERS = Path(__file__).parent / "handlers"
RDS_ROOTS = (
    Path(__file__).parent.parent
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
        """A new execution environment of one of `benchmarks/handlers`."""
        return ExecutionEnvironment(self.task_root, f"{handler}.lambda_handler", self.environment)


@contextmanager
def functions() -> Iterator[Functions]:
    """The root certificates are RDS's own bundle, as in production, and one more for the local
    server.
    """
    with tempfile.TemporaryDirectory() as folder:
        task_root = Path(folder)
        package_responder(task_root)
        shutil.copytree(
            HANDLERS, task_root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        certificate, key = task_root / "server.crt", task_root / "server.key"
        _certify(certificate, key)
        roots = task_root / "roots.pem"
        roots.write_text(RDS_ROOTS.read_text() + certificate.read_text())
        with EmbeddedPostgres(
            postgres_binaries.installed(18),
            tls=TlsFiles(certificate, key),
            hba=["hostssl all all 127.0.0.0/8 trust"],  # whatever token comes as the password
        ) as postgres:
            server = PostgresServer(postgres)
            create_guard_role(server)
            settings = some_settings(direct=Door(DoorName.DIRECT, server.host, server.port, GUARD))
            yield Functions(
                server, task_root, {**settings.to_environment(), "ROOT_CERTIFICATES": str(roots)}
            )
            server.close_connections()


def _certify(certificate: Path, key: Path) -> None:
    if shutil.which("openssl") is None:
        raise BenchmarkError("openssl is missing, which makes the server's certificate: install it")
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "1",
                "-subj",
                "/CN=localhost",
            ),
            *(
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-keyout",
                str(key),
                "-out",
                str(certificate),
            ),
        ],
        check=True,
        capture_output=True,
    )
