"""Files of cases: the mistakes that a TOML file can have, each with the lines that report it.

A case file begins with its base, which has no mistakes. A case is a title behind "##", then what
it changes in the base, then each expected line behind "=>", wrapped where it is long. A key whose
value is (left out) is removed from the base. Text that is not TOML is the whole file of its case.
"""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from json import dumps
from pathlib import Path
from typing import Any

import pytest

LEFT_OUT = "(left out)"


def the_base(path: Path) -> dict[str, Any]:
    """Return the file that the cases of this one change."""
    return tomllib.loads(path.read_text(encoding="utf-8").partition("\n## ")[0])


def the_cases(folder: Path) -> list[Any]:
    """Return the cases of every file in the folder as parameters: the text of each, and the lines
    that report its mistakes.
    """
    return [
        pytest.param(_text(change, the_base(path)), _lines(expected), id=f"{path.stem}: {title}")
        for path in sorted(folder.glob("*.txt"))
        for title, change, expected in _split(path)
    ]


def as_toml(table: Mapping[str, object]) -> str:
    """Return the table as TOML, without what is left out of it."""
    return "\n".join(
        f"{key} = {_value(value)}" for key, value in table.items() if value != LEFT_OUT
    )


def _split(path: Path) -> list[tuple[str, str, str]]:
    """Return the title, the change and the expected lines of each case in the file."""
    _, *cases = path.read_text(encoding="utf-8").split("\n## ")
    parts = [re.split(r"\n(?==> )", case, maxsplit=1) for case in cases]
    return [(*written.partition("\n")[::2], expected) for written, expected in parts]


def _lines(expected: str) -> list[str]:
    return [
        " ".join(line.strip() for line in each.splitlines() if line)
        for each in re.split("^=> ", expected, flags=re.MULTILINE)[1:]
    ]


def _text(change: str, base: Mapping[str, object]) -> str:
    try:
        return as_toml(_changed(base, tomllib.loads(change.replace(LEFT_OUT, dumps(LEFT_OUT)))))
    except tomllib.TOMLDecodeError:
        return change


def _changed(base: Any, change: Any) -> Any:
    """Return the base with the change: tables are merged, and so are lists of tables."""
    match base, change:
        case dict(), dict():
            return {**base, **{key: _changed(base.get(key), change[key]) for key in change}}
        case [dict(), *_], list():
            pairs: Iterator[tuple[Any, Any]] = zip_longest(base, change, fillvalue={})
            return [_changed(one, other) if one else other for one, other in pairs]
        case _:
            return change


def _value(value: object) -> str:
    match value:
        case dict():
            pairs = [
                f"{dumps(key, ensure_ascii=False)} = {_value(item)}"
                for key, item in value.items()
                if item != LEFT_OUT
            ]
            return "{" + ", ".join(pairs) + "}"
        case list():
            return "[" + ", ".join(_value(item) for item in value if item != LEFT_OUT) + "]"
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return dumps(value, ensure_ascii=False)
