"""The verb `replay`: what would a changed policy have ended?"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from connection_guard.cli.access.aws_session import aws_options
from connection_guard.cli.access.guard_file_option import guard_file_option
from connection_guard.cli.replay.all_replays import ReplayTotals, replay_all
from connection_guard.cli.replay.chosen_evidence import (
    EvidenceChoice,
    chosen_sources,
    loaded_side_by_side,
)
from connection_guard.cli.replay.expectations import (
    ExpectationCheck,
    read_expectations,
    written_expectation,
    written_header,
)
from connection_guard.cli.replay.replay_document import Row, database_row, run_row, totals_row
from connection_guard.cli.replay.replay_view import shown_replay
from connection_guard.cli.terminal.mistakes import (
    FINDING_STATUS,
    UserMistakeError,
    write_problem,
)
from connection_guard.cli.terminal.moments import Moment
from connection_guard.cli.terminal.output import json_option, write
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.configuration.toml.readers import MistakeError
from connection_guard.configuration.toml.text_file import read_text
from connection_guard.core.policy import Policy, Tier
from connection_guard.core.words import shown

T = TypeVar("T")

LONGEST_LINE = 1000

_FILE = click.Path(path_type=Path)


@click.command("replay")
@click.argument("evidence", nargs=-1)
@click.option(
    "--policy", "policy_file", type=_FILE, required=True, help="The policy that is tried."
)
@click.option(
    "--against",
    "old_file",
    type=_FILE,
    help="Compare it with this policy, and not with what was decided then.",
)
@click.option(
    "--tier",
    type=click.Choice([str(tier) for tier in Tier]),
    help="Apply the policy at this tier. The default is that of each run.",
)
@click.option(
    "--database",
    help="Only the evidence of this database; without EVIDENCE, that of the deployed guard.",
)
@click.option("--since", type=Moment(), help="Only from then on: 30d, 12h, 2026-11-20.")
@click.option("--until", type=Moment(), help="Only until then: 1d, 2026-11-20T03:00 (UTC).")
@click.option(
    "--expect", "expect_file", type=_FILE, help="Check the result against this file; see above."
)
@click.option(
    "--write-expect",
    "new_file",
    type=_FILE,
    help="Write the present result as such a file, for a person to review and to commit.",
)
@guard_file_option
@click.option("--stack", help="The stack of --database by its name, in place of guard.toml's.")
@aws_options
@json_option
def replay(
    evidence: tuple[str, ...],
    policy_file: Path,
    old_file: Path | None,
    tier: str | None,
    database: str | None,
    since: datetime | None,
    until: datetime | None,
    expect_file: Path | None,
    new_file: Path | None,
    guard_file: Path,
    stack: str | None,
    profile: str | None,
    region: str | None,
) -> None:
    """Judge saved evidence with a changed policy: what would it have ended then?

    EVIDENCE is a report with its evidence as the responder returns it or as the evidence bucket
    keeps it: files, folders, s3://BUCKET/PREFIX. Each run is judged as it was seen then, and what
    the policy would have ended is shown beside what was decided; sessions at work stand out. What
    an earlier termination would have changed later is not played.

    From the same looks it computes for each role which timeout would have ended the sessions that
    were lost, and none that was seen to go on to work, where there are enough looks to say so.

    With --expect the exit status is 1 where the result is another than the file expects. A
    difference is no finding without it. Evidence that cannot be read is named, and the exit status
    is then 1, or 2 where none can be read.

    \b
    Examples:
      connection-guard replay report.json --policy policy.toml
      connection-guard replay --database orders-prod --since 30d --policy new.toml
      connection-guard replay s3://BUCKET/reports --policy new.toml --against old.toml
      connection-guard replay evidence/ --policy policy.toml --expect expect.toml
    """
    policy = _policy(policy_file)
    against = None if old_file is None else _policy(old_file)
    check = None
    if expect_file is not None:
        check = ExpectationCheck(read_expectations(_text(expect_file), shown(str(expect_file))))
    sources = chosen_sources(
        EvidenceChoice(evidence, database, since, until, guard_file, stack, profile, region)
    )
    totals = ReplayTotals()
    rows: list[Row] = []
    expected = [written_header()]
    with _progress(loaded_side_by_side(sources), len(sources)) as loaded:
        for name, again in replay_all(
            loaded, policy, totals, against=against, tier=None if tier is None else Tier(tier)
        ):
            rows.append(run_row(name, again))
            if check is not None:
                check.look(name, again)
            if new_file is not None:
                expected.append(written_expectation(name, again))
    for name, problem in totals.unread:
        write_problem(shown(f"{name}: {problem}", LONGEST_LINE))
    if len(totals.unread) == len(sources):
        raise UserMistakeError("no evidence could be read: name reports of Connection Guard")
    if new_file is not None:
        _save(new_file, "\n".join(expected))
    mismatches = check.mismatches() if check is not None else []
    write(
        {
            "runs": rows,
            "totals": totals_row(totals),
            "databases": [database_row(each) for each in totals.databases],
            "unread": [{"evidence": name, "problem": why} for name, why in totals.unread],
            "mismatches": mismatches,
        },
        *shown_replay(rows, totals, "then" if old_file is None else "old"),
    )
    for line in mismatches:
        write_problem(shown(line, LONGEST_LINE))
    if mismatches or totals.unread:
        sys.exit(FINDING_STATUS)


def _policy(file: Path) -> Policy:
    return parse_policy(_text(file), shown(str(file)))


def _text(file: Path) -> str:
    try:
        return read_text(file)
    except MistakeError as mistake:
        raise UserMistakeError(str(mistake)) from mistake


def _save(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserMistakeError(
            f"{shown(str(file))} cannot be written: {error.strerror}; name another file"
        ) from error


@contextmanager
def _progress(items: Iterable[T], total: int) -> Iterator[Iterable[T]]:
    """Show at a terminal how many are done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield items
        return
    with console.status("") as status:

        def counting() -> Iterator[T]:
            for done, item in enumerate(items, start=1):
                status.update(f"{done} of {total}")
                yield item

        yield counting()
