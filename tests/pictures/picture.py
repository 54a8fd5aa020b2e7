"""A terminal's screen as a picture: what a verb really showed, in an SVG that a page can embed."""

import re
from io import StringIO
from itertools import groupby

import pyte
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

# The colours of a dark terminal, with contrast enough for small print.
THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (177, 186, 196),
    ],
    [
        (110, 118, 129),
        (255, 161, 152),
        (126, 231, 135),
        (242, 204, 96),
        (165, 214, 255),
        (226, 197, 255),
        (179, 240, 255),
        (255, 255, 255),
    ],
)
_NAMES = {"brown": "yellow", "bright": "bright_", "bfight": "bright_"}  # as pyte has them


def picture_of(written: bytes, title: str, columns: int, lines: int) -> str:
    """Return the screen that a terminal of that size shows after these bytes."""
    screen = pyte.HistoryScreen(columns, lines, history=10_000)
    pyte.ByteStream(screen).feed(written)
    rows = [*screen.history.top, *(screen.buffer[row] for row in range(lines))]
    texts = [_row(row, columns) for row in rows]
    while texts and not texts[-1].plain.strip():
        texts.pop()
    console = Console(record=True, width=columns, file=StringIO(), highlight=False)
    # Without a line after it, the picture cuts what is below the baseline of the last.
    for text in [*texts, Text()]:
        console.print(text, no_wrap=True, overflow="crop")
    svg = console.export_svg(title=title, theme=THEME, unique_id="terminal")
    # A page that shows the picture loads nothing from elsewhere for it.
    return re.sub(r"@font-face \{.*?\}\n?", "", svg, flags=re.DOTALL)


def _row(cells: object, columns: int) -> Text:
    text = Text()
    shown = (cells[column] for column in range(columns))  # type: ignore[index]
    # A run of the same style is one element of the picture.
    for style, run in groupby(shown, _style):
        text.append("".join(cell.data for cell in run), style)
    text.rstrip()
    return text


def _style(cell: pyte.screens.Char) -> Style:
    return Style(
        color=_colour(cell.fg),
        bgcolor=_colour(cell.bg),
        bold=cell.bold,
        italic=cell.italics,
        underline=cell.underscore,
        reverse=cell.reverse,
    )


def _colour(name: str) -> Color | None:
    if name == "default":
        return None
    for other, ours in _NAMES.items():
        name = name.replace(other, ours)
    if re.fullmatch("[0-9a-f]{6}", name):
        return Color.parse(f"#{name}")
    return Color.parse(name)
