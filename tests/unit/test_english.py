"""The style sheet of CONTRIBUTING.md, as far as a machine can check it."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Generated, quoted or about words themselves.
EXCEPTIONS = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "tests/unit/test_english.py",
    # Names in stored incidents stay what they are.
    "lambdas/connection_guard/core/notification/channel/news.py",
}
SUFFIXES = {".py", ".sql", ".md", ".toml", ".json", ""}

WORDS = {
    r"(?<!['\"])(?:tell|tells|told|telling|teller)": "write notify, report or show",
    r"whatever|whoever|whomever": "name the subject",
    r"(?<!['\"`])(?:pulse|pulses)": "write heartbeat",
    r"people are needed": "write action required",
    r"stands for|stands in|stand for": "write is",
}
NO_VERBS = re.compile(
    "A|Also|An|As|At|Each|Every|For|From|How|In|It|Its|Most|No|None|Of|On|One|Only|Our|That|The"
    "|Their|There|These|They|This|Those|To|What|When|Where|Whether|Which|Who|Whose|Why|With"
    # Nor is the third person: Returns, Reads.
    "|(?!Discuss|Guess|Miss|Pass|Press|Process|Express|Focus|Address|Access|Cross)[A-Z][a-z]+s"
)


def files() -> list[str]:
    """Return the project's own text files."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return [name for name in listed if Path(name).suffix in SUFFIXES and name not in EXCEPTIONS]


@pytest.mark.parametrize("words", WORDS)
def test_no_word_is_one_that_native_readers_would_notice(words: str) -> None:
    pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in files()
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, f"{WORDS[words]}:\n" + "\n".join(found)


def described_functions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the docstring of each function that is no property."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        docstring = ast.get_docstring(node)
        if docstring and not decorators & {"property", "cached_property"}:
            yield node.lineno, docstring


def test_every_docstring_of_a_function_begins_with_a_verb() -> None:
    found = []
    for name in files():
        if not name.endswith(".py") or Path(name).name.startswith("test_"):
            continue
        for line, docstring in described_functions(ast.parse((ROOT / name).read_text())):
            first = docstring.split()[0].strip(",.:;`'")
            if NO_VERBS.fullmatch(first):
                found.append(f"{name}:{line}: {docstring.splitlines()[0]}")
    assert not found, "begin with a verb (Return, Raise, Read):\n" + "\n".join(found)
