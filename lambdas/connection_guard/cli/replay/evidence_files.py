"""Evidence in files and folders, as the responder returned it or as the bucket keeps it."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from connection_guard.cli.replay.evidence_source import (
    EvidenceSource,
    as_json,
    as_text,
    comparable,
)
from connection_guard.cli.replay.stored_names import may_be_evidence, stored_name
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.words import shown


def evidence_files(path: Path) -> Iterator[EvidenceSource]:
    """Yield the evidence in a file, or in a folder with all that is in it.

    Raise UserMistakeError where there is none.
    """
    if not path.exists():
        raise UserMistakeError(
            f"{shown(str(path))} does not exist: name files, folders or s3://BUCKET/PREFIX"
        )
    files = list(_files_below(path)) if path.is_dir() else [path]
    if not files:
        raise UserMistakeError(
            f"{shown(str(path))} holds no evidence: no file in it ends with .json, .jsonl or .gz"
        )
    for report in dict.fromkeys(map(_report_of, files)):
        yield _source(report)


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(parent, name)
            if may_be_evidence(file.relative_to(folder).as_posix()):
                yield file


def _report_of(file: Path) -> Path:
    """Return the report that belongs to the evidence in a file, which may be the file itself."""
    stored = stored_name(file.as_posix())
    if stored is None or ".jsonl" not in file.name:
        return file
    return _first_of(_with_endings(stored.report, ".json", ".json.gz"))


def _source(file: Path) -> EvidenceSource:
    stored = stored_name(file.as_posix())
    if stored:
        database, at = stored.database, stored.at
    else:
        database, at = _order_of(file)
    # A file's name may be no text.
    name = os.fsencode(file).decode(errors="replace")
    return EvidenceSource(name, database, at, partial(_read, file), partial(_lines, file))


def _order_of(file: Path) -> tuple[str, str]:
    try:
        report: Any = _read(file)
        return str(report["database"]), comparable(report["received_at"])
    except (ValueError, LookupError, TypeError):
        return "", ""


def _read(file: Path) -> object:
    if ".jsonl" in file.name:
        raise ValueError(
            "its report is not known: keep the bucket's folders reports/ and evidence/ beside one "
            "another, or name the report"
        )
    try:
        with file.open("rb") as content:
            return as_json(content)
    except FileNotFoundError as error:
        raise ValueError(
            "it is missing: only the report has the limits of its evidence; copy the bucket's "
            "folder reports/, too"
        ) from error
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error


def _lines(file: Path, packed: dict[str, Any]) -> str:
    stored, key = stored_name(file.as_posix()), str(packed["key"])
    beside = file.with_name(key.rpartition("/")[2] or "?")
    kept = _with_endings(stored.lines, ".jsonl.gz", ".jsonl") if stored else ()
    try:
        with _first_of([*kept, beside]).open("rb") as content:
            return as_text(content)
    except OSError as error:
        raise ValueError(
            f"its evidence, {shown(key)}, cannot be read: {error.strerror}; copy the bucket's "
            "folder evidence/, too"
        ) from error


def _with_endings(path: str, *endings: str) -> list[Path]:
    return [Path(path + ending) for ending in endings]


def _first_of(paths: Iterable[Path]) -> Path:
    """Return the first that exists, or else the first."""
    paths = list(paths)
    return next((path for path in paths if path.exists()), paths[0])
