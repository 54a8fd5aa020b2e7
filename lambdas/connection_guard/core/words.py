"""How durations, counts, names and texts are written in what people read."""

from datetime import timedelta


def spelled(duration: timedelta) -> str:
    """Return a duration in its largest fitting unit, rounded down."""
    seconds = max(int(duration.total_seconds()), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def hours_and_minutes(duration: timedelta) -> str:
    """Return a duration in both units, rounded: one unit only would make 2 h of nearly 3."""
    hours, minutes = divmod(max(round(duration / timedelta(minutes=1)), 1), 60)
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count)


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: "1 session", "2 sessions"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def of_usable(used: int, usable: int) -> str:
    """Return the connections in use, of those that applications can get. More than all are all: the
    rest is the reserve, which they cannot get.
    """
    return f"all {usable}" if used > usable else f"{used} of {usable}"


def connections_in_use(used: int, usable: int, noun: str = " connections") -> str:
    """Return the same with its noun."""
    came_in = " (the guard came in on the reserve)" if used > usable else ""
    return f"{of_usable(used, usable)}{noun} in use{came_in}"


def ordinal(number: int) -> str:
    """Return which one it is of several, from 2 on: "second", "11th"."""
    words = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    if 2 <= number <= len(words) + 1:
        return words[number - 2]
    is_teen = number // 10 % 10 == 1
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if is_teen else suffix}"


def cut(text: str, length: int) -> str:
    """Return the text in at most `length` characters; a `…` shows that there was more."""
    return text if len(text) <= length else text[: length - 1] + "…"


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
    return cut(printable(text[: 2 * length]), length)


def quoted(name: str) -> str:
    """Return a name in quotation marks."""
    return f'"{shown(name)}"'
