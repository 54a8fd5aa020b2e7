"""An application of the lab: a process that uses one library and does what a scenario asks."""

import json
import os
import subprocess
import threading
from dataclasses import dataclass
from typing import IO, Any

from clients.lab.forwarder import Forwarder
from clients.lab.lab_errors import LabError
from clients.lab.libraries import Library

# A pool that has nothing to lend makes its borrower wait this long.
BORROW_SECONDS = 20.0
# Far more than any command needs: what takes longer hangs.
ANSWER_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command: how many uses were served, how many failed, and the first error."""

    served: int
    failed: int
    error: str | None
    seconds: float


class Application:
    """A process; `name` is its application_name."""

    def __init__(
        self,
        name: str,
        library: Library,
        forwarder: Forwarder,
        *,
        size: int,
        minimum: int = 0,
        connect_to: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.library = library
        self.forwarder = forwarder
        self.size = size
        self.connect_to = connect_to or forwarder.port
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            **library.environment,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.connect_to),
            "PGUSER": "shop",
            "PGDATABASE": "postgres",
            "PGAPPNAME": name,
            "POOL_SIZE": str(size),
            "POOL_MINIMUM": str(minimum),
            "BORROW_SECONDS": str(BORROW_SECONDS),
            **(environment or {}),
        }
        self.version = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process and return once it is ready. Raise LabError."""
        self._process = subprocess.Popen(
            self.library.command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._errors = _Tail(self._process.stderr)
        self.version = self._answer()["ready"]

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def use(self, count: int) -> None:
        """Use as many sessions at once, and give them back."""
        self._have_done(f"use {count}")

    def try_to_use(self, count: int) -> Answer:
        """Do the same and return the result, even if some uses fail."""
        return self._do(f"use {count}")

    def hold(self, count: int) -> None:
        """Use as many sessions and never give them back: a leak."""
        self._have_done(f"hold {count}")

    def begin(self, count: int) -> None:
        """Leave a transaction open in each of as many sessions."""
        self._have_done(f"begin {count}")

    def release(self) -> None:
        """Give back what it held, and roll back what it began."""
        self._have_done("release")

    def run(self, count: int) -> None:
        """Let that many sessions run one statement for hours; for applications in Python."""
        self._have_done(f"run {count}")

    def work(self, workers: int, per_second: float) -> None:
        """Let that many workers use one session each, again and again, until `rest`."""
        self._have_done(f"work {workers} {per_second}")

    def rest(self) -> Answer:
        """End the work and return its result."""
        return self._do("rest")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _have_done(self, command: str) -> None:
        """Raise LabError where a use fails: a scenario that was not set up proves nothing."""
        answer = self._do(command)
        if answer.failed:
            raise LabError(f"{self.name}: {command}: {answer.failed} failed: {answer.error}")

    def _do(self, command: str) -> Answer:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise LabError(f"{self.name}: its process has ended: {self._errors.text}") from None
        return Answer(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(ANSWER_SECONDS, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            self._process.wait()
            raise LabError(f"{self.name}: its process has ended: {self._errors.text}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class _Tail:
    """The last lines of a stream, read as they come so that its writer never waits."""

    def __init__(self, stream: IO[str] | None) -> None:
        assert stream is not None
        self._lines: list[str] = []
        self._stream = stream
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def text(self) -> str:
        """The last lines as one."""
        return " | ".join(self._lines[-6:])[-400:] or "it printed nothing"

    def _read(self) -> None:
        for line in self._stream:
            if line.strip():
                self._lines = [*self._lines[-20:], line.strip()]
