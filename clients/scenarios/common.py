"""What every scenario has in common."""

import re

from clients.lab.libraries import Check, Library

LEAK = "leak"
OVERSIZED = "oversized pools"
STORM = "connection storm"
FORGOTTEN = "idle in transaction"
REOPENS = "pool reopens"
LOAD = "genuine load"

# What applications may open: usable connections without the guard's and the observer's.
ROOM = 48
LONG_IDLE_MINUTES = 20


def first_errors(library: Library, ended: int) -> int | None:
    """Return the most errors of the first use, None where they are the library's own."""
    if library.crashes or library.backs_off:
        return None
    return ended if library.check is Check.NOTHING else 0


def in_one_line(sessions: int, address: str) -> str:
    """Return a pattern of a line with all sessions of an address, of any number of processes."""
    return rf"^(?=.*\b{sessions}\b)(?=.*\b{re.escape(address)}\b)"
