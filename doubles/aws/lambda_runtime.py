"""A Lambda execution environment: the Runtime API on loopback, driving the real runtime client,
`awslambdaric`.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

It uses only the standard library: the emulator of AWS in the end-to-end test imports it.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any, NamedTuple, Self

FUNCTION_NAME = "connection-guard-responder"
REGION = "eu-central-1"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:123456789012:function:{FUNCTION_NAME}"
SECONDS_BETWEEN_LOOKS = 0.05

# What every function finds in its environment; the credentials are those of nobody.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": FUNCTION_NAME,
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_REGION": REGION,
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "session-token-of-nobody",
    "LANG": "en_US.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "TZ": ":UTC",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of an invocation: the function's answer or its error, and what it logged
    meanwhile.
    """

    payload: Any
    is_error: bool
    log: str


def package_responder(folder: Path) -> None:
    """Copy into the folder what the responder's deployment package holds beside its libraries."""
    root = Path(__file__).parents[2]
    for package in ("connection_guard", "responder"):
        shutil.copytree(
            root / "lambdas" / package,
            folder / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    policies = root / "lambdas" / "connection_guard" / "configuration" / "policy"
    shutil.copy(policies / "shipped_policy.toml", folder / "policy.toml")


class ExecutionEnvironment:
    """One process of the function whose package is in `task_root`; `environment` holds the
    function's own variables.

    `python` is an interpreter with awslambdaric and all else that Lambda's runtime brings. As in
    Lambda, the process starts cold (the first invocation waits for that, or gets the error with
    which it ended), serves one event at a time, and is never used again once it has ended.
    """

    def __init__(
        self,
        task_root: Path,
        handler: str,
        environment: Mapping[str, str],
        *,
        python: str = sys.executable,
    ) -> None:
        self._api = _RuntimeApi()
        threading.Thread(
            target=self._api.serve_forever, args=(SECONDS_BETWEEN_LOOKS,), daemon=True
        ).start()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._read_from = 0
        host, port = self._api.server_address[:2]
        self._process = subprocess.Popen(
            [python, "-m", "awslambdaric", handler],
            cwd=task_root,
            env={
                **ENVIRONMENT,
                **environment,
                "AWS_LAMBDA_RUNTIME_API": f"{host!s}:{port}",
                "LAMBDA_TASK_ROOT": str(task_root),
                "_HANDLER": handler,
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The id of the function's process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended and serves no further event."""
        return self._process.poll() is not None

    def invoke(
        self,
        event: object,
        timeout: float = 30,
        *,
        request_id: str | None = None,
        function_arn: str = FUNCTION_ARN,
    ) -> Answer:
        """Return the function's answer to the event; after `timeout` seconds, kill the process, as
        Lambda does.
        """
        deadline = time.time() + timeout
        request_id = request_id or str(uuid.uuid4())
        self._api.invocations.put(
            _Invocation(request_id, function_arn, json.dumps(event).encode(), deadline)
        )
        while True:
            try:
                payload, is_error = self._api.results.get(timeout=SECONDS_BETWEEN_LOOKS)
            except Empty:
                if self.has_ended:
                    return self._failed(
                        "Runtime.ExitError", f"Runtime exited: status {self._process.returncode}"
                    )
                if time.time() > deadline:
                    self._process.kill()
                    return self._failed(
                        "Sandbox.Timedout", f"Task timed out after {timeout:.2f} seconds"
                    )
            else:
                return Answer(json.loads(payload), is_error, self._new_log())

    def stop(self) -> None:
        """End the process; do nothing where that has happened."""
        self._process.kill()
        self._process.wait()
        self._api.invocations.put(None)
        self._api.shutdown()
        self._api.server_close()
        self._log.close()

    def _failed(self, error_type: str, message: str) -> Answer:
        return Answer(
            {"errorType": error_type, "errorMessage": message}, is_error=True, log=self._new_log()
        )

    def _new_log(self) -> str:
        """Return what was logged since the last call. The client logs before it posts its
        answer.
        """
        self._log.seek(self._read_from)
        log = self._log.read()
        self._read_from += len(log)
        return log.decode(errors="replace")


class _Invocation(NamedTuple):
    request_id: str
    function_arn: str
    event: bytes
    deadline: float  # of time.time


class _RuntimeApi(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.invocations: Queue[_Invocation | None] = Queue()  # None: there will be no other
        # The payload, and whether it is an error.
        self.results: Queue[tuple[bytes, bool]] = Queue()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show an error, unless a killed process has reset its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    server: _RuntimeApi
    protocol_version = "HTTP/1.1"
    # Head and body of an answer leave together: apart, each would wait for the other's
    # acknowledgement.
    wbufsize = -1

    def do_GET(self) -> None:
        """Serve /runtime/invocation/next."""
        invocation = self.server.invocations.get()
        if invocation is None:
            self.close_connection = True
            return
        self._answer(
            HTTPStatus.OK,
            invocation.event,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(int(1000 * invocation.deadline)),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
                "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0",
            },
        )

    def do_POST(self) -> None:
        """Serve /runtime/invocation/REQUEST_ID/response, /runtime/invocation/REQUEST_ID/error and
        /runtime/init/error.
        """
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(HTTPStatus.ACCEPTED, b"{}", {})
        self.server.results.put((payload, self.path.endswith("/error")))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep requests out of standard error."""

    def _answer(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
