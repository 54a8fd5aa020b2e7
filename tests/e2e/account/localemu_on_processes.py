"""LocalEmu on loopback; Lambda functions run as local processes under the real runtime client
instead of in Docker.

`emulator.py` runs this inside LocalEmu's own environment, with LocalEmu's settings and these:

    LAMBDA_PYTHON     the interpreter that runs functions
    LAMBDA_ENDPOINT   the URL at which functions reach AWS
    LAMBDA_AUTHORITY  the certificate that signs for it
    LAMBDA_PROCESSES  a file that gets a line of JSON per process of a function:
                      see `emulator.FunctionProcess`

It leads a process group that ends when its standard input does, so it never outlives its starter.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from localemu.runtime.main import main
from localemu.services.lambda_.invocation.lambda_models import InvocationResult
from localemu.services.lambda_.invocation.plugins import DockerRuntimeExecutorPlugin
from localemu.services.lambda_.invocation.runtime_executor import RuntimeExecutor
from twisted.internet import endpoints

from doubles.aws.lambda_runtime import ExecutionEnvironment
from tests.e2e.account.localemu_mended import mend

# What only LocalEmu's own containers need, or what is true only there.
NOT_FOR_PROCESSES = {"AWS_EXECUTION_ENV", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"}

_write_lock = threading.Lock()


class ProcessExecutor(RuntimeExecutor):  # type: ignore[misc] # LocalEmu has no types
    """One execution environment; as in Lambda, its process is replaced once it has ended."""

    _environment: ExecutionEnvironment | None = None
    _variables: dict[str, str]

    def start(self, env_vars: dict[str, Any]) -> None:
        endpoint, authority = os.environ["LAMBDA_ENDPOINT"], os.environ["LAMBDA_AUTHORITY"]
        self._variables = {
            **{
                name: str(value)
                for name, value in env_vars.items()
                if name not in NOT_FOR_PROCESSES
            },
            "AWS_CA_BUNDLE": authority,
            "AWS_ENDPOINT_URL": endpoint,
        }
        self._launch()

    def _launch(self) -> ExecutionEnvironment:
        config = self.function_version.config
        config.code.prepare_for_execution()
        self._environment = ExecutionEnvironment(
            Path(config.code.get_unzipped_code_location()),
            config.handler,
            self._variables,
            python=os.environ["LAMBDA_PYTHON"],
        )
        process = {
            "function": self.function_version.id.function_name,
            "pid": self._environment.pid,
            "role": config.role,
            "access_key": self._variables["AWS_ACCESS_KEY_ID"],
            "secret_key": self._variables["AWS_SECRET_ACCESS_KEY"],
            "session_token": self._variables["AWS_SESSION_TOKEN"],
        }
        with _write_lock, Path(os.environ["LAMBDA_PROCESSES"]).open("a") as file:
            file.write(json.dumps(process) + "\n")
        return self._environment

    def stop(self) -> None:
        if self._environment is not None:
            self._environment.stop()

    def invoke(
        self, payload: dict[str, str], function_timeout: int | None = None
    ) -> InvocationResult:
        assert self._environment is not None
        assert function_timeout is not None
        environment = self._environment
        if environment.has_ended:
            environment.stop()
            environment = self._launch()
        request_id = payload["invoke-id"]
        answer = environment.invoke(
            json.loads(payload["payload"]),
            function_timeout,
            request_id=request_id,
            function_arn=payload["invoked-function-arn"],
        )
        log = f"START RequestId: {request_id}\n{answer.log}END RequestId: {request_id}\n"
        name = self.function_version.id.function_name
        sys.stdout.write("".join(f"[{name}] {line}\n" for line in log.splitlines()))
        return InvocationResult(
            request_id, json.dumps(answer.payload).encode(), is_error=answer.is_error, logs=log
        )

    def get_logs(self) -> str:
        return ""  # `invoke` has returned them all

    # Addresses that only containers use

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        return "http://127.0.0.1"

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:
        """Do nothing: its package is removed with the emulator's folder."""


def end_with_standard_input() -> None:
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)  # the functions' processes as well


def listen_on_loopback() -> None:
    """Make LocalEmu listen on loopback: it uses only the port of GATEWAY_LISTEN."""
    everywhere = endpoints.TCP4ServerEndpoint

    def on_loopback(reactor: Any, port: int, **options: Any) -> Any:
        return everywhere(reactor, port, interface="127.0.0.1", **options)

    endpoints.TCP4ServerEndpoint = on_loopback


if __name__ == "__main__":
    DockerRuntimeExecutorPlugin.load = lambda *_arguments, **_options: ProcessExecutor
    listen_on_loopback()
    mend()
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    main()
