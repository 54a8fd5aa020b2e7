"""A person at a pseudo-terminal: sees the screen of a running verb, types, resizes, interrupts."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import ECHO, TIOCSWINSZ, tcgetattr

import pyte

from doubles.waiting import wait_until
from tests.support.cli.running import SECONDS, started_at_terminal

ALTERNATE_SCREEN, ORDINARY_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


class LiveTerminal:
    """The terminal of one running verb."""

    def __init__(
        self, process: subprocess.Popen[bytes], ours: int, theirs: int, columns: int, lines: int
    ) -> None:
        self.process = process
        self.written = b""
        self._ours, self._theirs = ours, theirs
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        """What the screen shows now."""
        while select.select([self._ours], [], [], 0)[0]:
            part = os.read(self._ours, 65536)
            self.written += part
            self._stream.feed(part)
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def shows_typing(self) -> bool:
        """Whether the terminal echoes keys, as a shell needs it."""
        return bool(tcgetattr(self._theirs)[3] & ECHO)

    def wait_for(self, text: str, *, seconds: float = SECONDS) -> str:
        """Return the screen once it shows the text."""
        return wait_until(lambda: text in self.text and self.text, seconds=seconds) or ""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        ioctl(self._theirs, TIOCSWINSZ, pack("HHHH", lines, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def status(self) -> int:
        """Return how the verb ended; `text` is what it left on the screen."""
        wait_until(lambda: self.text and self.process.poll() is not None, seconds=SECONDS)
        return self.process.wait(SECONDS)


@contextmanager
def running_at_terminal(
    *arguments: str | Path,
    columns: int = 120,
    lines: int = 60,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[LiveTerminal]:
    """Run a verb as long as the block lasts. Its Ctrl-C comes by the terminal, as a person's."""
    process, ours, theirs = started_at_terminal(
        *arguments, environment=environment, folder=folder, columns=columns, lines=lines
    )
    terminal = LiveTerminal(process, ours, theirs, columns, lines)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
