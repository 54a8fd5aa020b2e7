"""How durations and names are written in what people read."""

from datetime import timedelta


def spelled(duration: timedelta) -> str:
    """A duration in its largest fitting unit, rounded down."""
    seconds = max(int(duration.total_seconds()), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def identifier(name: str) -> str:
    """A name as SQL wants it, whatever is in it (PostgreSQL manual, 4.1.1, quoted identifiers)."""
    return '"' + name.replace('"', '""') + '"'
