"""The file of the last drills: per database, and never a reason to fail."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connection_guard.cli.drill.last_drills import (
    DamagedDrillsError,
    LastDrill,
    drills_file,
    keep_drill,
    last_drill,
)

DRILL = LastDrill(datetime(2026, 11, 20, 3, tzinfo=UTC), {"filled": 3.5, "relief": 80.0})


def test_each_database_has_its_own(tmp_path: Path) -> None:
    file = tmp_path / "state" / "drills.json"
    assert last_drill(file, "orders") is None

    keep_drill(file, "orders", DRILL)
    keep_drill(file, "payments", LastDrill(DRILL.began_at, {}))

    assert last_drill(file, "orders") == DRILL
    assert last_drill(file, "payments") == LastDrill(DRILL.began_at, {})
    assert last_drill(file, "users") is None
    assert [each.name for each in file.parent.iterdir()] == ["drills.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"orders": 3}',
        '{"orders": {"began_at": "soon", "seconds": {}}}',
        "\0",
        "[" * 9999,
    ],
)
def test_a_damaged_file_is_one_line_and_is_replaced(tmp_path: Path, text: str) -> None:
    file = tmp_path / "drills.json"
    file.write_text(text)

    with pytest.raises(DamagedDrillsError) as damaged:
        last_drill(file, "orders")
    assert str(damaged.value).startswith(f"{file} cannot be read and is replaced")
    assert "\n" not in str(damaged.value)

    keep_drill(file, "orders", DRILL)
    assert last_drill(file, "orders") == DRILL


def test_it_is_in_the_folder_of_the_users_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert drills_file() == tmp_path / "connection-guard" / "drills.json"

    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert drills_file() == tmp_path / ".local" / "state" / "connection-guard" / "drills.json"
