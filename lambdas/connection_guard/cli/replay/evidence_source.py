"""One piece of evidence, wherever it is: what orders it, and how it is read."""

import gzip
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from connection_guard.adapters.postgresql.roles import AMAZON_ROLES
from connection_guard.core.replay.past_run import PastRun, past_run

# A report has 200 KB, and the lines of 10,000 sessions less than 20 MB: what is larger is foreign.
MOST_BYTES = 100_000_000
_BLOCK = 1_000_000
_GZIP = b"\x1f\x8b"

Lines = Callable[[dict[str, Any]], str]


@dataclass(frozen=True, slots=True)
class EvidenceSource:
    """Evidence of one run. `database` and `at` order it; they are "" where they are not known.

    `read` returns the report, and `read_lines` the lines that it refers to. Both raise ValueError
    where there is none.
    """

    name: str
    database: str
    at: str
    read: Callable[[], object]
    read_lines: Lines


def load(source: EvidenceSource) -> PastRun | None:
    """Return the run, None where it did not look at the sessions. Raise ValueError with what is
    wrong with the evidence.
    """
    report = source.read()
    packed = report.get("evidence") if isinstance(report, dict) else None
    is_stored = isinstance(packed, dict) and "key" in packed
    lines = source.read_lines(packed) if is_stored and isinstance(packed, dict) else None
    return past_run(report, lines, AMAZON_ROLES)


def comparable(at: object) -> str:
    """Return the time of a report as the bucket's names have it; "" where it is none."""
    try:
        return datetime.fromisoformat(str(at)).astimezone(UTC).strftime("%Y-%m-%dT%H%M%S.%f")
    except (ValueError, OverflowError):
        return ""


def as_json(content: BinaryIO) -> object:
    """Return what the JSON says. Raise ValueError where it is none."""
    text = as_text(content)
    if not text.strip():
        raise ValueError("it is empty")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise ValueError(f"it is not JSON, or was cut off ({wrong})") from wrong


def as_text(content: BinaryIO) -> str:
    """Return the text, also of what gzip has compressed. Raise ValueError where it is none."""
    body = _at_most(content)
    try:
        if body.startswith(_GZIP):
            with gzip.open(io.BytesIO(body)) as unpacked:
                body = _at_most(unpacked)
        return body.decode()
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as wrong:
        raise ValueError(f"it is damaged or truncated ({wrong})") from wrong


def _at_most(content: Any) -> bytes:
    body = bytearray()
    # A file allocates as many bytes as are asked for before it reads any.
    while block := content.read(_BLOCK):
        body += block
        if len(body) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES // 1_000_000} MB, as no evidence is")
    return bytes(body)
