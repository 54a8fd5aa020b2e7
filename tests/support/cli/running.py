"""Runs `connection-guard` as people do: in a process of its own, in a pipe or at a terminal. What
does not depend on the process can run in that of the test, which takes a tenth of the time.
"""

import contextlib
import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import TIOCSCTTY, TIOCSWINSZ
from typing import Any, NamedTuple
from unittest import mock

import pyte

from connection_guard.cli.command_line import main

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "connection_guard.cli.command_line")
SECONDS = 60


class Ran(NamedTuple):
    """How a call of the command ended, and what it wrote."""

    status: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """The JSON that it wrote."""
        return json.loads(self.output)


def in_a_pipe(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    given: str = "",
) -> Ran:
    """Run a verb whose output a program reads; `given` is its standard input."""
    ran = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment_of(environment),
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def in_this_process(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    given: str = "",
) -> Ran:
    """Run a verb like `in_a_pipe`, without a process of its own."""
    output, errors, status = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.dict(os.environ, environment_of(environment), clear=True),
        mock.patch.object(sys, "argv", ["connection-guard", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode()))),
        contextlib.chdir(folder or Path.cwd()),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
    return Ran(status, output.getvalue(), errors.getvalue())


def at_a_terminal(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    answers: str = "",
    columns: int = 120,
    lines: int = 60,
) -> Ran:
    """Run a verb at a pseudo-terminal, and return what its screen shows at the end.

    `answers` are typed at once; a program reads them when it asks.
    """
    status, written = raw_terminal(
        *arguments,
        environment=environment,
        folder=folder,
        answers=answers,
        columns=columns,
        lines=lines,
    )
    screen = pyte.HistoryScreen(columns, lines, history=10_000)
    pyte.ByteStream(screen).feed(written)
    above = ["".join(line[at].data for at in range(columns)) for line in screen.history.top]
    shown = "\n".join(line.rstrip() for line in [*above, *screen.display])
    return Ran(status, shown.rstrip(), "")


def started_at_terminal(
    *arguments: str | Path,
    environment: Mapping[str, str] | None,
    folder: Path | None,
    columns: int,
    lines: int,
) -> tuple["subprocess.Popen[bytes]", int, int]:
    """Start a verb at a pseudo-terminal; return its process, and our end and its own."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=environment_of({"TERM": "xterm-256color", **(environment or {})}),
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # The terminal controls the process, so that the keys that interrupt do.
        preexec_fn=lambda: ioctl(theirs, TIOCSCTTY, 0),  # noqa: PLW1509 - no threads before exec
    )
    return process, ours, theirs


def raw_terminal(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    answers: str = "",
    columns: int = 120,
    lines: int = 60,
) -> tuple[int, bytes]:
    """Run a verb at a pseudo-terminal; return its status and the bytes that it wrote."""
    process, ours, theirs = started_at_terminal(
        *arguments, environment=environment, folder=folder, columns=columns, lines=lines
    )
    os.close(theirs)
    os.write(ours, answers.encode())
    written, deadline = b"", time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            readable, _, _ = select.select([ours], [], [], 0.1)
            if not readable:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux's way to say that the other end was closed
                break
            if not part:
                break
            written += part
        return process.wait(max(deadline - time.monotonic(), 1)), written
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def environment_of(changes: Mapping[str, str] | None) -> dict[str, str]:
    """Return an environment without the developer's own credentials and settings of PostgreSQL."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PG", "CONNECTION_GUARD"))
    }
    return {
        **kept,
        "PYTHONPATH": f"{ROOT / 'lambdas'}:{ROOT / 'infra'}:{ROOT}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **(changes or {}),
    }
