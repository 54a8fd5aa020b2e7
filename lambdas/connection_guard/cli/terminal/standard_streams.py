"""Standard input, output and error, also where they are closed, full, or read by nobody."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper


def prepare_streams() -> None:
    """Let every verb read and write, also where the caller closed a stream (`>&-`), and with texts
    that its encoding does not have.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It takes the number that is free: no socket is written to as if it were the stream.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # it is another in a test
            stream.reconfigure(errors="backslashreplace")


def write_last_lines(lines: list[str]) -> None:
    """Write the lines to standard error, and then what is left in both streams; drop what nobody
    takes. Python would end with status 120 and a traceback there.
    """
    with suppress(OSError):
        for line in lines:
            print(line, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
