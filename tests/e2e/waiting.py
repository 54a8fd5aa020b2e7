"""Waiting for what happens elsewhere, and in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

# The heartbeat is due once a minute.
WAIT_SECONDS = 90


def wait_until(condition: Callable[[], Result], *, seconds: float = WAIT_SECONDS) -> Result:
    """The first true result of the condition, asked for again and again; fails the test when the
    time is over.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} s; last result: {result!r}"
        time.sleep(0.05)
    return result
