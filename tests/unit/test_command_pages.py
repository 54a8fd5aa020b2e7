"""Every verb has a page with a picture, and what the documents call exists."""

import re
from pathlib import Path

import click
import pytest

from clients.lab.lab_errors import UnavailableError
from connection_guard.cli.command_line import VERBS, _command
from tests import write_pictures
from tests.unit.test_documents import DOCUMENTS, ROOT, each_document

PAGES = ROOT / "docs" / "commands"
WITH_A_PAGE = sorted(VERBS.keys() - {"completion"})
MOST_BYTES = 60_000

CALL = re.compile(r"\bconnection-guard ([a-z][a-z-]*)\b([^`|#\n]*)")
OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")
SECTIONS = ("Options", "Exit status", "Permissions", "Limits")

each_verb = pytest.mark.parametrize("verb", WITH_A_PAGE)


def options_of(verb: str) -> set[str]:
    """Return the long options that the verb takes."""
    command = _command.get_command(click.Context(_command), verb)
    assert command is not None
    return {name for each in command.params for name in each.opts if name.startswith("--")}


def page_of(verb: str) -> str:
    return (PAGES / f"{verb}.md").read_text()


@each_verb
def test_every_verb_has_a_page_that_shows_it(verb: str) -> None:
    page = page_of(verb)

    assert page.startswith(f"# connection-guard {verb}\n")
    assert re.search(rf"^!\[[^]]{{20,}}\]\(images/{verb}\.svg\)$", page, re.MULTILINE)
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert [each for each in headings if each in SECTIONS] == list(SECTIONS)


@each_verb
def test_a_picture_is_of_that_verb_and_loads_nothing_from_elsewhere(verb: str) -> None:
    picture = (PAGES / "images" / f"{verb}.svg").read_text()

    assert f"$&#160;connection-guard&#160;{verb}" in picture
    assert not re.search(r"href=|@import|@font-face|url\(['\"]?(?!#)", picture)
    assert len(picture.encode()) < MOST_BYTES
    assert str(Path.home()) not in picture


@each_verb
def test_every_option_is_explained_on_the_page_or_for_all_verbs(verb: str) -> None:
    explained = OPTION.findall(re.sub(r"[`,\[]", " ", page_of(verb) + page_of("README")))

    assert options_of(verb) <= set(explained)


@each_document
def test_every_call_names_a_verb_and_options_that_exist(document: Path) -> None:
    text = document.read_text().replace("\\\n", " ")

    for verb, arguments in CALL.findall(text):
        assert verb in VERBS, verb
        assert {*OPTION.findall(arguments)} <= options_of(verb) | {"--help"}, arguments


def test_the_pictures_of_all_verbs_can_be_made_anew() -> None:
    assert set(write_pictures.SCENES) == set(WITH_A_PAGE)


def test_without_libfaketime_it_is_one_line_before_a_picture_is_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> Path:
        raise UnavailableError("libfaketime is not installed (Debian: libfaketime)")

    monkeypatch.setattr(write_pictures, "library", missing)

    with pytest.raises(SystemExit) as exit_:
        write_pictures.main()

    assert exit_.value.code == (
        "the pictures cannot be made: libfaketime is not installed (Debian: libfaketime)"
    )


def test_the_documents_have_calls() -> None:
    assert sum(len(CALL.findall(document.read_text())) for document in DOCUMENTS) > 50
