"""Where the bucket keeps a report and its evidence (docs/evidence.md), also in a copy of it."""

import re
from typing import NamedTuple

_STORED = re.compile(
    r"(?P<root>.*?)(?<![^/])(?:reports|evidence)"
    r"/(?P<run>database=(?P<database>[^/]+)/date=(?P<date>\d{4}-\d{2}-\d{2})"
    r"/(?P<time>\d{6}(?:\.\d+)?)-[^/]+?)\.(?:jsonl|json)(?:\.gz)?",
    re.DOTALL,
)
# What else is in the bucket.
_OTHERS = re.compile(r"(?:.*/)?(?:alarms|announced|failures)/.*", re.DOTALL)
_SUFFIXES = (".json", ".json.gz", ".jsonl", ".jsonl.gz")


class StoredName(NamedTuple):
    """A run's two objects: their names without the endings, whose run it was, and when."""

    report: str
    lines: str
    database: str
    at: str


def stored_name(path: str) -> StoredName | None:
    """Return what a path, or a key, says about its run; None where the bucket would not name
    anything so.
    """
    found = _STORED.fullmatch(path)
    if found is None:
        return None
    return StoredName(
        f"{found['root']}reports/{found['run']}",
        f"{found['root']}evidence/{found['run']}",
        found["database"],
        f"{found['date']}T{found['time']}",
    )


def may_be_evidence(path: str) -> bool:
    """Return whether a file among others is looked at."""
    return path.endswith(_SUFFIXES) and not _OTHERS.fullmatch(path)
