"""The keys that leave a screen: `q`, read without Enter, beside Ctrl-C."""

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def quit_key() -> Iterator[Callable[[float], bool]]:
    """Give a function that waits for that many seconds, and returns whether `q` was pressed.

    The terminal shows no keys meanwhile. Where standard input is none, the function only waits.
    """
    if not sys.stdin.isatty():
        yield lambda seconds: bool(select.select([], [], [], seconds)[0])
        return
    keyboard = sys.stdin.fileno()
    settings = termios.tcgetattr(keyboard)

    def is_pressed(seconds: float) -> bool:
        if not select.select([keyboard], [], [], seconds)[0]:
            return False
        pressed = os.read(keyboard, 1024)
        return not pressed or b"q" in pressed.lower()

    try:
        tty.setcbreak(keyboard, termios.TCSADRAIN)  # what was typed before is a key, too
        yield is_pressed
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, settings)
