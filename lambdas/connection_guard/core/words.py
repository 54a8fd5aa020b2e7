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
    """Return a name as SQL wants it, whatever is in it, in characters that every terminal shows and
    none obeys.

    Others are written by their numbers (PostgreSQL manual, 4.1.1, U&"..." identifiers).
    """
    quoted = name.replace('"', '""')
    if name.isprintable():
        return f'"{quoted}"'
    escaped = (_by_number(character) for character in quoted.replace("\\", "\\\\"))
    return f'U&"{"".join(escaped)}"'


def _by_number(character: str) -> str:
    return character if character.isprintable() else f"\\+{ord(character):06X}"


def printable(text: str) -> str:
    """Return the text on one line; what a terminal would obey, such as an escape or a mark that
    reverses, is a `�`.
    """
    shown = "".join(
        " " if c.isspace() else c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return " ".join(shown.split())
