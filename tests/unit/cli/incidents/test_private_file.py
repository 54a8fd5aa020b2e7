"""What is saved is only its owner's, and stays below the folder that was named."""

import stat
from pathlib import Path

import pytest

from connection_guard.cli.incidents.private_file import save_private
from connection_guard.cli.terminal.mistakes import UserMistakeError


def test_only_its_owner_can_read_it_also_where_it_was_there_before(tmp_path: Path) -> None:
    before = tmp_path / "a.json"
    before.write_text("a longer text")
    before.chmod(0o644)

    save_private(tmp_path, "a.json", b"new")
    deep = save_private(tmp_path, "database=orders/date=2026-11-20/b.json", b"{}")

    assert before.read_bytes() == b"new"
    assert deep == tmp_path / "database=orders" / "date=2026-11-20" / "b.json"
    assert {stat.S_IMODE(each.stat().st_mode) for each in (before, deep)} == {0o600}


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/a", "a//b", "", ".", "a/\x1b[2J"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"

    with pytest.raises(UserMistakeError, match="is not saved"):
        save_private(folder, name, b"{}")

    assert not list(tmp_path.iterdir())


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "a.json").symlink_to(other)

    with pytest.raises(UserMistakeError, match="--save"):
        save_private(tmp_path, "a.json", b"{}")

    assert other.read_text() == "kept"
