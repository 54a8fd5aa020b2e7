"""How durations, names and texts are written in what people read."""

from datetime import timedelta


def spelled(duration: timedelta) -> str:
    """Return a duration in its largest fitting unit, rounded down."""
    seconds = max(int(duration.total_seconds()), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def printable(text: str) -> str:
    """Return the text on one line; what a terminal would obey, such as an escape or a mark that
    reverses, becomes a `�`.
    """
    shown = "".join(
        " " if c.isspace() else c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return " ".join(shown.split())


def shown(text: str, length: int = 500) -> str:
    """Return a client's text as one printable line, cut where it is too long."""
    line = printable(text[: 2 * length])
    return line if len(line) <= length else f"{line[: length - 1]}…"


def quoted(name: str) -> str:
    """Return a name in quotation marks."""
    return f'"{shown(name)}"'
