"""Text that Slack shows as it is, with any characters in it, and no longer than Slack takes.

https://docs.slack.dev/messaging/formatting-message-text
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from connection_guard.core.words import printable

ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

# Slack has no escape for these: only what looks alike is certain not to format, to mention or to
# become an emoji.
LOOK_ALIKES = {"*": "∗", "_": "＿", "~": "∼", "`": "ˋ", "@": "＠", ":": "꞉"}  # noqa: RUF001 that is their use
# An underscore within a name and a colon within a time do nothing, and people copy them.
_FORMATTING = re.compile(r"[*~`@]|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])|:(?!\d\d:)(?=[^\s:]+:)")

URL_MOST = 500
_IN_URL = {"|": "%7C", "<": "%3C", ">": "%3E", " ": "%20", "&": "&amp;"}

# Room for "… and 5000 more groups, 5000 sessions".
_REST = 60


def length(text: str) -> int:
    """Return the length in UTF-16 code units: never fewer than Slack counts in any way."""
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def plain(text: str, most: int) -> str:
    """Return one line, for what Slack does not format. Controls, and marks that reverse what
    follows them, become a �.
    """
    return _cut(list(printable(text)), most)


def prose(text: str, most: int) -> str:
    """Return one line in which nothing is formatted, a mention, or a link."""
    shown = _FORMATTING.sub(
        lambda match: "".join(map(LOOK_ALIKES.__getitem__, match[0])), plain(text, most)
    )
    return _escaped(shown, most)


def code(name: str, most: int = 200) -> str:
    """Return a name, set apart from the words around it."""
    shown = plain(name, most).replace("`", LOOK_ALIKES["`"])
    return f"`{_escaped(shown, most - len('``'))}`" if shown else "(no name)"


def link(url: str, text: str) -> str:
    """Return a link; only its text where the URL is too long for a message."""
    target = "".join(_IN_URL.get(character, character) for character in url)
    return (
        f"<{target}|{text}>" if length(target) <= URL_MOST else f"{text} (its address is too long)"
    )


def lines_that_fit(lines: Iterable[str], most: int) -> list[str]:
    """Return the first lines, as many as fit with room to say how many did not."""
    shown, room = [], most - _REST
    for line in lines:
        room -= length(line) + len("\n")
        if room < 0:
            break
        shown.append(line)
    return shown


def _escaped(text: str, most: int) -> str:
    return _cut([ESCAPES.get(character, character) for character in text], most)


def _cut(pieces: Sequence[str], most: int) -> str:
    """Return as many whole pieces as fit: no escape is shown in part."""
    sizes = list(accumulate(map(length, pieces[: most + 1])))
    if not sizes or sizes[-1] <= most:
        return "".join(pieces)
    return "".join(pieces[: bisect_right(sizes, most - len("…"))]) + "…"
