"""`make demo` in a pipe: it reports the truth, also where that is not what it hoped for, and leaves
nothing behind.
"""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import psycopg2
import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / ".cache" / "demo" / "conversation.html"


class Demo:
    """A running demo and the lines that it has printed so far."""

    def __init__(self, temporary_folder: Path) -> None:
        self.temporary_folder = temporary_folder
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo"],
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": f"{ROOT / 'lambdas'}:{ROOT / 'infra'}:{ROOT}",
                "TMPDIR": str(temporary_folder),
            },
            stdout=subprocess.PIPE,
            text=True,
        )

    def read_until(self, text: str) -> None:
        """Read lines until one contains the text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if text in line:
                return
        raise AssertionError("\n".join([f"it never printed {text!r}:", *self.lines]))

    def exit_status(self) -> int:
        """Read to the end and return the exit status."""
        assert self.process.stdout is not None
        self.lines += [line.rstrip() for line in self.process.stdout]
        return self.process.wait()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def has_left_nothing(self) -> bool:
        """Return whether no file and no process is left: the command of each contains the temporary
        folder or the server's port.
        """
        ps = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        return not list(self.temporary_folder.iterdir()) and not re.search(
            rf"\b{self.port}\b", ps.stdout
        )

    @property
    def port(self) -> int:
        [port] = re.findall(r"127\.0\.0\.1:(\d+)", "\n".join(self.lines))
        return int(port)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def unwrapped_output(self) -> str:
        """The output as one line, without the bars beside messages."""
        return " ".join(self.output.replace("▎", " ").split())


@pytest.fixture
def demo() -> Iterator[Demo]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server runs as another user where this runs as root
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # children inherit it where a background job ignores it
        demo = Demo(Path(folder))
        with demo.process:
            yield demo
            demo.interrupt()


def test_it_ends_well_in_plain_text(demo: Demo) -> None:
    assert demo.exit_status() == 0, demo.output

    assert "SQLSTATE 53300: remaining connection slots are reserved" in demo.output
    assert "all 31 listed sessions are gone" in demo.output
    assert "all 66 others are still there, each the very same session" in demo.output
    assert (
        "the main one first: leak (checkout), idle in transaction (invoices)"
        in demo.unwrapped_output
    )
    assert (
        "Slack has one message, edited in place, 3 replies in its thread, and its mark is green in "
        "the end" in demo.output
    )
    assert (
        "Slack shows all 97 and now 67 of 97 connections in use, and the incident 98 and 67, as "
        "seen here" in demo.output
    )
    assert "names the applications that lost 31 sessions, and no others" in demo.output
    assert "the log show queries without their literals, and no token" in demo.output
    assert demo.lines[-1] == "Exactly the listed sessions were terminated; every claim is true."
    assert sum(line.startswith("true ") for line in demo.lines) == 15
    assert "NOT TRUE" not in demo.output
    assert "\x1b" not in demo.output
    assert max(len(line) for line in demo.lines) <= 120
    assert demo.has_left_nothing()


def test_its_page_and_its_terminal_show_the_same_conversation(demo: Demo) -> None:
    PAGE.unlink(missing_ok=True)
    assert demo.exit_status() == 0, demo.output

    assert f"As it looks in Slack: {PAGE.relative_to(ROOT)}" in demo.lines
    html = PAGE.read_text(encoding="utf-8")
    assert html.count("<details>") == 2, "message and details as they were first posted"
    shown_now = re.sub(r"<details>.*?</details>|<article>.*?</p>", "", html, flags=re.DOTALL)
    paragraphs = [
        " ".join(unescape(re.sub(r"<[^>]+>", "", paragraph)).split())
        for paragraph in re.findall(r"<(?:p|h2)(?: class=\"[a-z]+\")?>(.*?)</(?:p|h2)>", shown_now)
    ]
    said = [
        text.removesuffix(" (edited)")
        for text in paragraphs
        if text and text not in ("3 replies", "(edited)")
    ]
    assert len(said) > 40
    assert not [text for text in said if text not in demo.unwrapped_output]
    for figures in (
        "all 97 → 67 of 97 (69 %)",
        "20 of shop / checkout",
        "2 of backup / pg_dump",
        "leak: 21 sessions",
    ):
        assert any(figures in text for text in said), figures
    assert re.search(r"^E-mail 2: \[.*shop-production", demo.output, re.MULTILINE)


def test_it_fails_where_a_session_that_was_not_listed_is_gone(demo: Demo) -> None:
    demo.read_until("Deliver CloudWatch's alarm")
    with psycopg2.connect(host="127.0.0.1", port=demo.port, user="postgres") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'scheduler'")
        [(pid,)] = cursor.fetchall()
        cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))
    connection.close()

    assert demo.exit_status() == 1
    assert "NOT TRUE all 66 others are still there" in demo.output
    assert f"not listed but gone: {pid}" in demo.output
    assert demo.has_left_nothing()


def test_interrupting_it_leaves_nothing_behind(demo: Demo) -> None:
    demo.read_until("A new client tries")
    demo.interrupt()

    assert demo.exit_status() == 130
    assert demo.lines[-1] == "Stopped; everything that was started is gone."
    assert demo.has_left_nothing()


def test_on_a_terminal_the_handlers_own_log_does_not_spoil_the_show() -> None:
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": f"{ROOT / 'lambdas'}:{ROOT / 'infra'}:{ROOT}", "TERM": "xterm"},
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal's other end with EIO
        while chunk := os.read(master, 65536):
            shown += chunk
    os.close(master)
    assert process.wait() == 0, shown.decode(errors="replace")
    assert b"\x1b[" in shown, "there is colour"
    assert b"1 of metrics (EMF)" in shown
    assert b"_aws" not in shown
