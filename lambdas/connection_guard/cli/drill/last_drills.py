"""The last drill of each database, in a file of the user's."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any


@dataclass(frozen=True, slots=True)
class LastDrill:
    """When it began, and how many seconds each of its phases took."""

    began_at: datetime
    seconds: Mapping[str, float]


class DamagedDrillsError(Exception):
    """The file holds something else than drills; the message says where it is, and why."""


def drills_file() -> Path:
    """Return where the file is, by the XDG Base Directory Specification.

    Raise RuntimeError where the user has no home.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return folder / "connection-guard" / "drills.json"


def last_drill(file: Path, database: str) -> LastDrill | None:
    """Return the last drill of a database, None where none is known.

    Raise DamagedDrillsError where the file cannot be read.
    """
    kept = _read(file).get(database)
    try:
        if kept is None:
            return None
        return LastDrill(
            datetime.fromisoformat(kept["began_at"]),
            {str(name): float(seconds) for name, seconds in kept["seconds"].items()},
        )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _damaged(file, error) from error


def keep_drill(file: Path, database: str, drill: LastDrill) -> None:
    """Write the drill in place of the database's last. Raise OSError where that is not possible."""
    try:
        drills = _read(file)
    except DamagedDrillsError:
        drills = {}
    drills[database] = {"began_at": drill.began_at.isoformat(), "seconds": dict(drill.seconds)}
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as written:
        json.dump(drills, written, indent=2)
    Path(written.name).replace(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        drills = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, error) from error
    if not isinstance(drills, dict):
        raise _damaged(file, TypeError("no object"))
    return drills


def _damaged(file: Path, error: Exception) -> DamagedDrillsError:
    return DamagedDrillsError(
        f"{file} cannot be read and is replaced; the last drill is not known "
        f"({type(error).__name__}: {' '.join(str(error).split())})"
    )
