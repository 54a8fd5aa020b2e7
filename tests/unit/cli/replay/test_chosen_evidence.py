"""Evidence is read in order, side by side, and without more of it in memory than is needed."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from connection_guard.cli.replay.all_replays import ReplayTotals, replay_all
from connection_guard.cli.replay.chosen_evidence import (
    EvidenceChoice,
    chosen_sources,
    loaded_side_by_side,
)
from connection_guard.cli.replay.evidence_source import EvidenceSource
from connection_guard.cli.terminal.mistakes import UserMistakeError
from tests.support.builders import NOW, a_policy, a_session
from tests.support.cli.past_runs import a_report, store_in

POLICY = a_policy()
MINUTE = timedelta(minutes=1)


def choice(*places: Path | str, **changes: Any) -> EvidenceChoice:
    return EvidenceChoice(
        tuple(map(str, places)),
        **{
            **dict.fromkeys(("database", "since", "until", "stack", "profile", "region")),
            "guard_file": Path("guard.toml"),
            **changes,
        },
    )


def reports(count: int, **changes: Any) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield a_report(a_session(), policy=POLICY, at=NOW + number * MINUTE, **changes)


def test_a_copy_of_the_bucket_is_in_the_order_of_databases_and_time(tmp_path: Path) -> None:
    late, early = [*reports(2)][::-1]
    store_in(tmp_path, [late, early, next(reports(1, database="billing"))])
    sources = chosen_sources(choice(tmp_path))
    assert [(each.database, each.at[-13:]) for each in sources] == [
        ("billing", "030000.000000"),
        ("orders-prod", "030000.000000"),
        ("orders-prod", "030100.000000"),
    ]
    # Its two folders, the folder itself and single files name the same runs.
    again = chosen_sources(choice(tmp_path / "evidence", tmp_path / "reports", sources[0].name))
    assert [each.name for each in again] == [each.name for each in sources]
    runs = [run for _, run in loaded_side_by_side(sources)]
    assert [getattr(run, "database", run) for run in runs] == [
        "billing",
        "orders-prod",
        "orders-prod",
    ]


def test_reports_by_other_names_are_ordered_by_what_is_in_them(tmp_path: Path) -> None:
    for name, report in zip("ba", reports(2), strict=True):
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(b"{"))
    assert [Path(each.name).name for each in chosen_sources(choice(tmp_path))] == [
        "c.json.gz",
        "b.json",
        "a.json",
    ]


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    store_in(tmp_path, [*reports(3), *reports(1, database="billing")])
    sources = chosen_sources(
        choice(
            tmp_path,
            database="orders-prod",
            since=NOW + timedelta(seconds=30),
            until=NOW + timedelta(seconds=90),
        )
    )
    assert [each.at for each in sources] == ["2026-11-20T030100.000000"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"database": "ordres"}, 'no evidence of "ordres"'),
        ({"since": NOW + timedelta(days=1)}, "no evidence since 2026-11-21 03:00"),
        ({"since": NOW, "until": NOW}, "not before"),
    ],
)
def test_no_evidence_is_a_mistake(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    store_in(tmp_path, reports(1))
    with pytest.raises(UserMistakeError, match=words):
        chosen_sources(choice(tmp_path, **changes))


def test_an_empty_folder_and_no_place_at_all_are_mistakes(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for each, words in (
        (choice(tmp_path), "holds no evidence"),
        (choice(tmp_path / "x"), "exist"),
        (choice(), "no evidence is named"),
    ):
        with pytest.raises(UserMistakeError, match=words):
            chosen_sources(each)


@pytest.mark.parametrize("part", ["reports", "evidence"])
def test_half_of_a_run_says_what_is_missing(tmp_path: Path, part: str) -> None:
    store_in(tmp_path, reports(1))
    for missing in (tmp_path / part).rglob("*.json*"):
        missing.unlink()
    [(_, problem)] = loaded_side_by_side(chosen_sources(choice(tmp_path)))
    assert isinstance(problem, ValueError)
    assert f"folder {part}/" in str(problem)


def test_little_is_read_ahead() -> None:
    lock, started, taken = Lock(), 0, 0
    most_ahead = 0

    def read(report: object) -> object:
        nonlocal started, most_ahead
        with lock:
            started += 1
            most_ahead = max(most_ahead, started - taken)
        return report

    report = next(reports(1))
    sources = (
        EvidenceSource(str(n), "", "", partial(read, report), lambda _: "") for n in range(300)
    )
    for _ in loaded_side_by_side(sources):
        taken += 1
    assert started == 300
    assert most_ahead <= 17


def test_memory_does_not_grow_with_the_evidence(tmp_path: Path) -> None:
    """Thousands of runs stream: what is kept of one is less than what it is read from."""
    [path] = store_in(tmp_path, reports(1))
    [source] = chosen_sources(choice(path))

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            totals = ReplayTotals()
            for _ in replay_all(loaded_side_by_side([source] * count), POLICY, totals):
                pass
            assert totals.replayed == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)
    assert peak(2000) < 2 * peak(200)
