"""What became of sessions that were terminated by hand, as JSON and for a person."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from connection_guard.cli.live.by_hand.pid_choice import Refused
from connection_guard.cli.live.live_look import LiveLook
from connection_guard.cli.live.live_table import fitted_table, safe_text, who
from connection_guard.cli.live.plan_document import Document
from connection_guard.core.decision.outcome import Outcome, Result
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.decision.round import Round
from connection_guard.core.report.fitting import sentence
from connection_guard.core.report.rows import reconnection_rows, session_row, usage_row
from connection_guard.core.report.wording import worded
from connection_guard.core.words import connections_in_use, counted


def outcome_document(
    looked: Round, problems: Iterable[Reason] = (), *, is_counted: bool = True
) -> Document:
    """Return what was done, JSON-ready; without outcomes, that nothing was."""
    results = [outcome.result for outcome in looked.outcomes]
    return {
        "outcomes": {result: results.count(result) for result in Result},
        "terminated": [
            session_row(each.verdict, looked)
            for each in looked.outcomes
            if each.result is Result.TERMINATED
        ],
        "other_outcomes": [
            {"result": each.result, **session_row(each.verdict, looked)}
            for each in looked.outcomes
            if each.result is not Result.TERMINATED
        ],
        "after": looked.after and usage_row(looked.after),
        "reconnections": reconnection_rows(looked),
        "counted_by_guard": is_counted,
        "problems": [sentence(worded(problem)) for problem in problems],
    }


def refused_rows(refused: Iterable[Refused]) -> list[Document]:
    """Return who was asked for and is refused, JSON-ready."""
    return [{"pid": each.pid, "reason": sentence(each.reason)} for each in refused]


def counts_of(results: Iterable[Result]) -> str:
    """Return how many had each result: "12 terminated, 1 moved on"."""
    counts = Counter(results)
    return ", ".join(f"{counts[result]} {result}" for result in Result if counts[result])


def what_is_known(look: LiveLook, batches: Iterable[Mapping[int, Result]]) -> str:
    """Return what was done when somebody interrupted it between, or within, two batches."""
    known = [result for batch in batches for result in batch.values()]
    left = len(look.plan.chosen) - len(known)
    done = counts_of(known) or "no batch was finished"
    if not left:
        return f"{done}; not verified"
    at_risk = min(left, look.judgement.policy.limits.batch_size)
    return (
        f"{done}; of the other {left}, the next {at_risk} may have been signalled: "
        "`connection-guard plan` shows who is left"
    )


def are_all_done(outcomes: Sequence[Outcome], problems: Iterable[Reason]) -> bool:
    """Return whether each session is gone, or need not go any more."""
    codes = {problem.code for problem in problems}
    fine = {Result.TERMINATED, *([Result.LEFT] if ReasonCode.ENOUGH_FREED in codes else [])}
    return all(outcome.result in fine for outcome in outcomes)


def outcome_lines(document: Document) -> Iterator[RenderableType]:
    """Yield what was done, for a terminal."""
    done = [{"result": Result.TERMINATED, **row} for row in document["terminated"]]
    yield fitted_table(
        [("pid", "right"), ("result", "left"), ("application (role)", "left")],
        (
            [
                Text(str(row["pid"])),
                Text(row["result"], "" if row["result"] is Result.TERMINATED else "yellow"),
                safe_text(who(row)),
            ]
            for row in [*done, *document["other_outcomes"]]
        ),
    )
    for row in document["reconnections"]:
        if row["reopened"]:
            what = f": reopened {row['reopened']} of {counted(row['terminated'], 'session')}"
            more = "; terminating more would free next to nothing" if row["reopens"] else ""
            yield Text.assemble(safe_text(who(row)), f"{what}{more}")
    yield from (
        Text.assemble(("note: ", "yellow"), safe_text(each)) for each in document["problems"]
    )
    if not document["counted_by_guard"]:
        yield Text(
            "note: not counted in the guard's share of the hour, which needs the guard's own role",
            "yellow",
        )
    if after := document["after"]:
        in_use = connections_in_use(after["used"], after["usable"])
        yield Text(f"now: {in_use}, {after['utilisation']:.0f} %", "bold")
    else:
        yield Text("usage was not measured since", "bold")
