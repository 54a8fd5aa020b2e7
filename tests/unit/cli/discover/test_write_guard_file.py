"""guard.toml is written as a whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from connection_guard.cli.discover.write_guard_file import read_guard_file, write_guard_file
from connection_guard.cli.terminal.mistakes import UserMistakeError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "guard.toml"
    path.write_bytes(b"a = 1\r\n# Zo\xc3\xab\n")
    return path


def test_it_is_read_with_its_own_line_ends(file: Path) -> None:
    assert read_guard_file(file) == "a = 1\r\n# Zoë\n"
    assert read_guard_file(file.with_name("none.toml")) == ""


def test_it_keeps_its_mode_and_leaves_nothing_beside_it(file: Path) -> None:
    file.chmod(0o640)
    write_guard_file(file, "b = 2\r\n", read_guard_file(file))

    assert file.read_bytes() == b"b = 2\r\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [*file.parent.iterdir()] == [file]


def test_a_new_one_has_the_mode_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_guard_file(tmp_path / "guard.toml", "b = 2\n", "")

    assert (tmp_path / "guard.toml").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_still_leads_to_it(file: Path) -> None:
    link = file.with_name("link.toml")
    link.symlink_to(file)
    write_guard_file(link, "b = 2\n", read_guard_file(link))

    assert link.is_symlink()
    assert file.read_text() == "b = 2\n"


def test_one_that_is_read_only_is_left_alone(file: Path) -> None:
    file.chmod(0o444)
    before = file.read_bytes()

    with pytest.raises(UserMistakeError, match="is read-only; allow writing: chmod u\\+w "):
        write_guard_file(file, "b = 2\n", read_guard_file(file))
    assert file.read_bytes() == before


def test_one_that_changed_meanwhile_is_left_alone(file: Path) -> None:
    with pytest.raises(UserMistakeError, match="was changed meanwhile"):
        write_guard_file(file, "b = 2\n", "a = 0\n")
    assert read_guard_file(file).startswith("a = 1")


def test_a_write_that_fails_leaves_all_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserMistakeError, match="cannot be written: No space left on device"):
        write_guard_file(file, "b = 2\n", read_guard_file(file))
    assert [*file.parent.iterdir()] == [file]
    assert read_guard_file(file).startswith("a = 1")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "is a folder; name the file in it"),
        ("none/guard.toml", "is not a folder; create it"),
        ("latin.toml", "is not UTF-8 text"),
    ],
)
def test_what_cannot_be_read_is_a_line(file: Path, name: str, message: str) -> None:
    file.with_name("latin.toml").write_bytes(b"# Zo\xeb\n")

    with pytest.raises(UserMistakeError, match=message):
        read_guard_file(file.parent / name)
