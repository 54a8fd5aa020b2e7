"""What was replayed, as a person reads it."""

from collections.abc import Iterable, Iterator, Mapping

from rich.text import Text

from connection_guard.adapters.postgresql.role_timeouts import SETTINGS
from connection_guard.cli.replay.all_replays import ReplayedDatabase, ReplayTotals
from connection_guard.cli.replay.replay_document import Row, statement_of, timeout_sentence
from connection_guard.core.replay.gaps import Ending, GapKind
from connection_guard.core.replay.replaying import Fate
from connection_guard.core.replay.timeouts import TimeoutFinding, WhyNot
from connection_guard.core.words import counted, of_usable, quoted, shown, spelled

LONGEST_SUMMARY = 500

_WHY_NOT = {
    WhyNot.PROTECTED: "the policy protects some of its sessions",
    WhyNot.ON_DUTY: "some of its sessions listen or hold advisory locks, and wait on purpose",
    WhyNot.OF_PROXY: "RDS Proxy keeps some of its sessions, and reopens what is ended",
    WhyNot.FEW_LOOKS: "too few looks",
    WhyNot.FEW_DAYS: "too few days",
    WhyNot.FEW_GAPS: "too few gaps that went on to work, of a known length",
}

_ENDINGS = {
    Ending.TERMINATED: "terminated by the guard",
    Ending.VANISHED: "gone at the next look",
    Ending.LAST_SEEN: "still so when last seen",
}


def shown_replay(rows: Iterable[Row], totals: ReplayTotals, beside: str) -> Iterator[Text]:
    """Yield the runs that differ, the totals and the timeouts; `beside` is what the policy is
    compared with.
    """
    for row in rows:
        if row["is_different"]:
            yield from _run(row, beside)
            yield Text()
    yield from _totals(totals, beside)
    for database in totals.databases:
        yield Text()
        yield from _timeouts(database)


def _run(row: Row, beside: str) -> Iterator[Text]:
    yield Text(
        f"{row['taken_at']:%Y-%m-%d %H:%M:%S} {shown(row['database'])}, {row['tier']}, "
        f"{of_usable(row['used'], row['usable'])} in use",
        style="bold",
    )
    yield Text(f"  {shown(row['evidence'])}", style="dim")
    yield Text(f"  {beside}: {_plan(row['then'])}; now: {_plan(row['now'])}")
    for change in row["changes"]:
        yield Text(
            f"  {change['sessions']:>4} {_who(change)}: "
            f"{_decision(change['then'], change['rule_then'])} -> "
            f"{_decision(change['now'], change['rule_now'])}",
            style=_style(change),
        )


def _plan(plan: Row) -> str:
    count = plan["terminate"] or plan["would_terminate"]
    if not plan["restraint"]:
        return f"terminate {count}"
    return f"{plan['restraint']}" + (f", would terminate {count}" if count else "")


def _who(change: Row) -> str:
    name = shown(change["application"]) or "no application name"
    state = change["state"] or "state hidden"
    at_work = " AT WORK" if change["is_at_work"] else ""
    longest = spelled(change["longest_in_state_seconds"])
    return f"{name} ({shown(change['role'])}), {state} for up to {longest}{at_work}"


def _decision(fate: Fate, rule: str) -> str:
    return f"{fate} ({shown(rule)})" if rule else str(fate)


def _style(change: Row) -> str:
    if change["now"] is Fate.TERMINATE:
        return "bold red" if change["is_at_work"] else "red"
    return "green" if change["then"] is Fate.TERMINATE else ""


def _totals(totals: ReplayTotals, beside: str) -> Iterator[Text]:
    left_out = [
        f"{count} {why}"
        for count, why in (
            (totals.undecided, "applied no policy"),
            (totals.without_look, "did not look at the sessions"),
            (len(totals.unread), "cannot be read"),
        )
        if count
    ]
    others = f" (others: {', '.join(left_out)})" if left_out else ""
    yield Text(
        f"{counted(totals.replayed, 'run')} replayed, {totals.different} "
        f"{'differs' if totals.different == 1 else 'differ'}{others}",
        style="bold",
    )
    ended = f" ({totals.ended_then} were seen gone)" if beside == "then" else ""
    yield Text(
        f"{beside}: {totals.then[Fate.TERMINATE]} sessions to be terminated{ended}"
        + _restrained(totals.then)
    )
    by_rule = ", ".join(
        f"{count} by {quoted(rule)}" for rule, count in totals.by_rule.most_common()
    )
    yield Text(
        f"now: {totals.now[Fate.TERMINATE]} sessions to be terminated"
        + (f" ({by_rule})" if by_rule else "")
        + _restrained(totals.now)
    )
    yield Text(f"newly ended: {totals.newly_ended}, newly spared: {totals.newly_spared}")
    if totals.ending_work:
        yield Text(
            f"{totals.ending_work} of the newly ended are AT WORK: what they run would be lost",
            style="bold red",
        )
    if totals.partial:
        yield Text(
            f"partial: the evidence of {counted(totals.partial, 'run')} had no room for "
            f"{counted(totals.omitted, 'session')}, which count as used and are not judged",
            style="yellow",
        )


def _restrained(fates: Mapping[Fate, int]) -> str:
    count = fates[Fate.WOULD_TERMINATE]
    return f", {count} more but for a restraint" if count else ""


def _timeouts(database: ReplayedDatabase) -> Iterator[Text]:
    found = [each for each in database.timeouts if each.why_not is not WhyNot.NOTHING_LOST]
    yield Text(
        f"timeouts of {shown(database.name)}, from {counted(database.looks, 'look')} on "
        f"{counted(database.days, 'day')} ({database.first:%Y-%m-%d} to {database.last:%Y-%m-%d})",
        style="bold",
    )
    if not found:
        yield Text("nothing that a timeout should have ended was seen")
    for each in found:
        yield from _timeout(each, database)


def _timeout(found: TimeoutFinding, database: ReplayedDatabase) -> Iterator[Text]:
    statement, summary = statement_of(found), timeout_sentence(found, database)
    tally, gaps = found.tally, found.gaps
    if statement is None or summary is None:
        lost = sum(found.would_end.values())
        why = _WHY_NOT[found.why_not] if found.why_not else "it would be longer than a day"
        yield Text(
            f"{shown(found.role)}: no {SETTINGS[found.kind]} is proposed: {why} "
            f"({counted(tally.looks, 'look')}, {counted(len(tally.days), 'day')}, "
            f"{counted(gaps.bounded, 'gap')} of a known length; "
            f"{counted(lost, 'session')} may be lost)",
            style="yellow",
        )
        return
    yield Text(shown(summary, LONGEST_SUMMARY))
    yield Text(f"  {statement}", style="green")
    endings = ", ".join(
        f"{found.would_end[ending]} {words}"
        for ending, words in _ENDINGS.items()
        if found.would_end.get(ending)
    )
    unknown = gaps.legitimate - gaps.bounded
    yield Text(
        f"  leaks: {endings}; {counted(gaps.legitimate, 'gap')} went on to work"
        + (f" ({unknown} ended between looks that are too far apart)" if unknown else "")
    )
    if found.kind is GapKind.IDLE:
        yield Text(
            "  closes what waits in pools, too: not every client library survives that "
            "(docs/clients.md)"
        )
