"""Where a TOML file is cut, and how a value is written into it."""

import tomllib

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.cli.discover.toml_chunks import chunks_of, written_value

TRICKY = '''\
# top
[deploy] # where
text = """
[[databases]]
instance = "no header"
"""
lists = [
[1, 2],
  ["[[databases]]"], # [x]
]

  [[databases]]
a = 1
[ databases . proxy ]
b = 2
'''


def test_a_file_is_cut_only_above_its_headers() -> None:
    chunks = chunks_of(TRICKY)

    assert [chunk.splitlines()[0] for chunk in chunks] == [
        "# top",
        "[deploy] # where",
        "  [[databases]]",
        "[ databases . proxy ]",
    ]
    assert "".join(chunks) == TRICKY


@pytest.mark.parametrize("text", ["", "\n", "# nothing", "a = 1", "[a]", "[a]\r\n[b]\r\n"])
def test_every_part_is_a_document_and_none_is_lost(text: str) -> None:
    chunks = chunks_of(text)

    assert "".join(chunks) == text
    assert all(isinstance(tomllib.loads(chunk), dict) for chunk in chunks)


def test_a_list_keeps_its_comments_and_its_lines() -> None:
    before = tomlkit.parse('a = [ # one\n  "x#y", # two\n  "z",\n  # three\n]')["a"]
    written = written_value(("b",), "\n", before).as_string()

    assert written == '[\n    # one\n    # two\n    # three\n    "b",\n]'


def test_a_list_on_one_line_stays_on_one_line() -> None:
    before = tomlkit.parse('a = ["x"]')["a"]

    assert written_value(("b", "c"), "\n", before).as_string() == '["b", "c"]'


def test_a_long_list_is_on_several_lines() -> None:
    items = tuple(f"subnet-{number:017x}" for number in range(5))
    written = written_value(items, "\r\n").as_string()

    assert written.count("\r\n") == 6
    assert tomllib.loads(f"a = {written}")["a"] == [*items]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_written_as_what_it_is(text: str) -> None:
    written = f"a = {written_value(text).as_string()}\nb = {written_value((text,)).as_string()}"

    assert tomllib.loads(written) == {"a": text, "b": [text]}
