"""What the documents mention exists: paths, make targets, links and decisions."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")],
    key=lambda document: document.relative_to(ROOT).as_posix(),
)

# docs/architecture.md leaves the package's own folder out of its paths.
PLACES = (ROOT, ROOT / "lambdas" / "connection_guard")
SUFFIXES = {".html", ".json", ".md", ".pem", ".png", ".py", ".sql", ".toml", ".txt", ".yaml"}

# They exist only where the guard is deployed, or where a command has run.
ELSEWHERE = {
    "guard.toml",
    "policy.toml",
    "old.toml",
    "expect.toml",
    ".cache/demo/conversation.html",
    ".venv",
    "dist/release",
    "dist/release/functions",
    "dist/release/instance.template.json",
    "alarms/",
    "announced/",
    "failures/",
    # Of those whose services are added up.
    "application.yaml",
    "charts/orders",
    "charts/orders/values.yaml",
    "compose.yaml",
    "deploy/",
    "values.yaml",
}

FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix()
)


def prose(document: Path) -> str:
    return FENCED.sub("", document.read_text())


def code(document: Path) -> list[str]:
    """Return what is written as code in a sentence, and each line of each block of commands."""
    blocks = COMMANDS.findall(document.read_text())
    return [*CODE.findall(prose(document)), *"".join(blocks).splitlines()]


def paths(document: Path) -> Iterator[str]:
    """Yield what is written as code and looks like a file or a folder of the project."""
    for word in " ".join(code(document)).split():
        is_path = re.fullmatch(r"\.?[\w-][\w.-]*(/[\w.-]+)*/?", word)
        if is_path and ("/" in word or Path(word).suffix in SUFFIXES) and word not in ELSEWHERE:
            yield word


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub names them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(prose(document))
    }


@each_document
def test_every_path_exists(document: Path) -> None:
    missing = [
        path for path in paths(document) if not any((place / path).exists() for place in PLACES)
    ]

    assert missing == []


@each_document
def test_every_make_target_exists(document: Path) -> None:
    rules = re.findall(r"^([a-z][a-z0-9 -]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}

    named = {name for each in code(document) for name in re.findall(r"^make ([a-z][\w-]*)", each)}

    assert named <= targets


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for groups in LINK.findall(prose(document)):
        target, _, anchor = "".join(groups).partition("#")
        if target.startswith("https://"):
            continue
        linked = document.parent / target if target else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def test_the_readme_is_short() -> None:
    assert 600 <= len((ROOT / "README.md").read_text().split()) <= 800


def test_every_decision_is_in_the_index() -> None:
    decisions = ROOT / "docs" / "decisions"
    pages = {page.name: page for page in decisions.glob("[0-9]*.md")}
    index = re.findall(
        r"^\d+\. \[(.+)\]\((.+)\)$", (decisions / "README.md").read_text(), re.MULTILINE
    )

    assert {name: page.read_text().partition("\n")[0] for name, page in pages.items()} == {
        name: f"# {int(name[:2])}. {title}" for title, name in index
    }
