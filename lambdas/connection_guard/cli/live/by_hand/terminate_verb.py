"""The verb `terminate`: the guard's own termination, by hand."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
from rich.console import RenderableType
from rich.text import Text

from connection_guard.adapters.postgresql.terminate import Results
from connection_guard.cli.access.database_access import (
    DatabaseAccess,
    database_access_options,
    enter,
)
from connection_guard.cli.access.policy_option import policy_options
from connection_guard.cli.live.by_hand.hand_termination import carry_out
from connection_guard.cli.live.by_hand.outcome_view import (
    are_all_done,
    counts_of,
    outcome_document,
    outcome_lines,
    refused_rows,
    what_is_known,
)
from connection_guard.cli.live.by_hand.pid_choice import Refused, by_pids
from connection_guard.cli.live.live_look import Judgement, LiveLook, enforced, judged, unpaused
from connection_guard.cli.live.live_session import judgement_of, look_around
from connection_guard.cli.live.live_table import (
    Row,
    fitted_table,
    lasting,
    safe_text,
    usage_lines,
)
from connection_guard.cli.live.plan_document import Document, plan_document
from connection_guard.cli.live.plan_tables import chosen_table, plan_tables
from connection_guard.cli.terminal.mistakes import FINDING_STATUS, UserMistakeError
from connection_guard.cli.terminal.output import is_json, json_option, terminal_console, write
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.policy import Tier
from connection_guard.core.report.wording import worded
from connection_guard.core.words import counted, shown

NOTHING = "nothing was terminated"


def _pids(
    _context: click.Context, _parameter: click.Parameter, written: tuple[str, ...]
) -> tuple[int, ...]:
    pids = [each for text in written for each in text.split(",")]
    for pid in pids:
        if not (pid.isascii() and pid.isdecimal() and 0 < int(pid) < 2**31):
            raise click.BadParameter(f"{shown(pid)!r} is not the pid of a session")
    return tuple(map(int, pids))


@click.command("terminate")
@database_access_options
@policy_options
@click.option("--plan", "is_plan", is_flag=True, help="Terminate what `plan` would.")
@click.option(
    "--pid",
    "pids",
    multiple=True,
    callback=_pids,
    metavar="PID[,PID...]",
    help="Terminate these sessions. The option may be repeated.",
)
@click.option("--yes", is_flag=True, help="Do not ask. It is needed in a pipe and with --json.")
@json_option
def terminate_by_hand(
    access: DatabaseAccess,
    policy_file: Path | None,
    tier: Tier,
    is_plan: bool,
    pids: tuple[int, ...],
    yes: bool,
) -> None:
    """Terminate sessions by hand, with the guard's own safety.

    Shows what would be terminated, asks, terminates it in batches with the pauses of the policy,
    looks again, and shows what became of each session, what usage is now and what pools reopened.
    A session that has done anything since it was shown is left alone ("moved on"). While the guard
    itself works on the database, nothing is terminated.

    --plan carries out what the policy chooses, also where it only observes or the guard is paused.
    All other bounds hold: the target, the limits per run and hour, the largest share, what is
    protected, and what each pool keeps. --pid terminates the sessions that it names, also where
    the policy would spare them; but never what is protected, nor sessions of superusers, of Amazon
    RDS, of RDS Proxy's own pool, or of the guard.

    The exit status is 0 where all that was asked for was terminated, and 1 where something was
    not.

    \b
    Examples:
      connection-guard terminate --plan
      connection-guard terminate orders-prod --pid 4711,4712
      connection-guard terminate orders-prod --plan --yes --json
      PGPASSWORD=... connection-guard terminate orders-prod --plan --user postgres
    """
    if is_plan is bool(pids):
        raise click.UsageError("name either --plan, or sessions with --pid")
    if not yes and (is_json() or not sys.stdin.isatty()):
        raise UserMistakeError("nobody can be asked here: add --yes, or call it at a terminal")
    judgement = judgement_of(access, policy_file, tier)
    session, measurement = enter(access)
    with closing(session):
        snapshot = look_around(access, session, measurement, is_to_act=True)
        if is_plan:
            look, overridden = _planned_by_hand(access, snapshot, judgement)
            refused: tuple[Refused, ...] = ()
        else:
            look, refused = by_pids(judged(access.name, snapshot, judgement), pids)
            overridden = None
        document = plan_document(look) | {
            "overridden": overridden,
            "refused": refused_rows(refused),
        }
        _show(_proposed(document, is_plan))
        if look.plan.restraint is not None or not look.plan.chosen:
            _end(look, document, NOTHING)
        batches: list[Results] = []

        def note(results: Results) -> None:
            batches.append(results)
            _show(iter([Text(f"batch: {counts_of(results.values())}")]))

        try:
            if not yes and not _is_confirmed(access, len(look.plan.chosen)):
                _end(look, document, NOTHING)
        except click.Abort:
            raise click.Abort(NOTHING) from None
        try:
            done = carry_out(access, session, look, is_bounded=is_plan, on_batch=note)
        except KeyboardInterrupt:
            raise click.Abort(what_is_known(look, batches)) from None
    results = outcome_document(done.round, done.problems, is_counted=done.is_counted)
    if is_json():
        write(document | results)
    _show(outcome_lines(results))
    is_done = are_all_done(done.round.outcomes, done.problems) and not refused
    sys.exit(0 if is_done else FINDING_STATUS)


def _planned_by_hand(
    access: DatabaseAccess, snapshot: Snapshot, judgement: Judgement
) -> tuple[LiveLook, str | None]:
    """Return the look whose plan is to be carried out, and what else would hold it back."""
    guards_own = judged(access.name, snapshot, judgement).plan
    look = judged(access.name, unpaused(snapshot), enforced(judgement))
    is_overridden = guards_own.restraint in (Restraint.OBSERVING, Restraint.PAUSED)
    return look, worded(guards_own.reason) if is_overridden else None


def _proposed(document: Document, is_plan: bool) -> Iterator[RenderableType]:
    width = terminal_console().width
    if is_plan:
        yield from plan_tables(document, width)
    else:
        yield from usage_lines(document, width)
        if chosen := document["would_terminate"]:
            yield Text("These would be terminated; the policy says of each:", "bold")
            yield chosen_table([_with_state(row) for row in chosen], width)
    if refused := document["refused"]:
        yield Text("These are refused:", "bold")
        yield fitted_table(
            [("pid", "right"), ("why", "left")],
            ([Text(str(row["pid"])), safe_text(row["reason"])] for row in refused),
        )
    if document["overridden"]:
        yield Text.assemble(
            ("The guard would not do this: ", "bold yellow"), safe_text(document["overridden"])
        )


def _with_state(row: Row) -> Row:
    """Return the row whose reason says what the session does: the policy's own may not."""
    now = f"{row['state']} for {lasting(row['seconds_in_state'])}"
    return row if now in row["reason"] else row | {"reason": f"{row['reason']} ({now})"}


def _is_confirmed(access: DatabaseAccess, count: int) -> bool:
    question = f"Terminate {counted(count, 'session')} of {shown(access.name)}? Type yes"
    answer: str = click.prompt(question, default="", show_default=False)
    return answer.strip().lower() == "yes"


def _show(lines: Iterator[RenderableType]) -> None:
    if not is_json():
        console = terminal_console()
        for line in lines:
            console.print(line)


def _end(look: LiveLook, document: Document, why: str) -> None:
    if is_json():
        write(document | outcome_document(look.round))
    _show(iter([Text(why, "bold")]))
    sys.exit(FINDING_STATUS)
