"""LocalEmu in place of AWS: every service that the stack needs on one port of loopback, gone
without a trace at the end.
"""

import json
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import boto3

from doubles.certificates import Authority
from doubles.local_process import free_port
from doubles.waiting import wait_until
from tests.e2e.account import environments

HOST = "127.0.0.1"  # the bucket would become part of a name, which does not resolve
ACCOUNT = "000000000000"
REGION = "eu-central-1"
ROOT_ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"


@dataclass(frozen=True, slots=True)
class FunctionProcess:
    """A process that runs or ran a function, and the credentials of the function's role that it
    got.
    """

    function: str
    pid: int
    role: str
    access_key: str
    secret_key: str
    session_token: str


class Emulator:
    """A context manager; IAM is enforced. Its account is empty, its root user is
    `root_environment`'s.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._folder = tempfile.TemporaryDirectory(
            prefix="connection-guard-aws-", ignore_cleanup_errors=True
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"https://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def root_environment(self) -> dict[str, str]:
        """The environment variables of a command or SDK that works as the account's root user."""
        return {
            "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "the root user's",
            "AWS_CA_BUNDLE": str(self._authority.certificate),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @property
    def log(self) -> str:
        """All that the emulator and the functions logged."""
        return (Path(self._folder.name) / "log").read_text(errors="replace")

    @property
    def processes(self) -> list[FunctionProcess]:
        """Every process that was started for a function, the latest last."""
        file = Path(self._folder.name) / "processes.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [FunctionProcess(**json.loads(line)) for line in lines]

    def client(self, service: str, credentials: FunctionProcess | None = None) -> Any:
        """Return a client with the root user's permissions, or with those of a function's role."""
        create: Any = boto3.client  # its types are by the service's name, as a literal
        return create(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            verify=str(self._authority.certificate),
            aws_access_key_id=credentials.access_key if credentials else ROOT_ACCESS_KEY,
            aws_secret_access_key=credentials.secret_key if credentials else "the root user's",
            aws_session_token=credentials.session_token if credentials else None,
        )

    def start(self) -> None:
        """Start it and return as soon as it answers."""
        folder = Path(self._folder.name)
        home = folder / "home"
        home.mkdir()
        pair = folder / "server.pem"
        pair.write_text(
            self._authority.server.key.read_text() + self._authority.server.certificate.read_text()
        )
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(environments.localemu()), "-m", "tests.e2e.account.localemu_on_processes"],
                cwd=environments.ROOT,
                env={
                    "PATH": os.defpath,
                    "HOME": str(home),
                    "TMPDIR": str(folder),
                    "PYTHONPATH": str(environments.ROOT),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "PYTHONUNBUFFERED": "1",
                    "CUSTOM_SSL_CERT_PATH": str(pair),
                    "DISABLE_EVENTS": "1",
                    "DNS_ADDRESS": "0",
                    "FILESYSTEM_ROOT": str(folder / "filesystem"),
                    "GATEWAY_LISTEN": f"{HOST}:{self.port}",
                    "IAM_ENFORCEMENT": "1",
                    "ROOT_ACCESS_KEYS": ROOT_ACCESS_KEY,
                    "SKIP_SSL_CERT_DOWNLOAD": "1",
                    "LAMBDA_AUTHORITY": str(self._authority.certificate),
                    "LAMBDA_ENDPOINT": self.url,
                    "LAMBDA_PROCESSES": str(folder / "processes.jsonl"),
                    "LAMBDA_PYTHON": str(environments.lambda_runtime()),
                },
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own with the functions' processes; and Ctrl-C is pytest's.
                start_new_session=True,
            )
        try:
            wait_until(self._is_ready)
        except BaseException as error:
            error.add_note(self.log)
            self.stop()
            raise

    def stop(self) -> None:
        """End it and every function's process; do nothing where that has happened."""
        if self._process is None:
            return
        with self._process as process:
            # It takes half a minute to end by itself, and has nothing to save.
            os.killpg(process.pid, signal.SIGKILL)
        self._process = None
        self._folder.cleanup()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "LocalEmu ended while starting"
        return "Ready." in self.log.splitlines()
