"""Waiting for what happens elsewhere, and in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

# Longer than the minute between two heartbeats.
WAIT_SECONDS = 90
SECONDS_BETWEEN_LOOKS = 0.02


def wait_until(condition: Callable[[], Result], *, seconds: float = WAIT_SECONDS) -> Result:
    """Return the first true result of the condition, which is asked again and again. Raise
    AssertionError after that many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {seconds} s; last result: {result!r}")
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return result
