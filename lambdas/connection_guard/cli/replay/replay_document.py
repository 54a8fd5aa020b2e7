"""What was replayed, as JSON."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from connection_guard.adapters.postgresql.role_timeouts import SETTINGS, in_its_unit, set_timeout
from connection_guard.cli.replay.all_replays import ReplayedDatabase, ReplayTotals, newly, no_longer
from connection_guard.core.replay.gaps import Ending
from connection_guard.core.replay.replaying import (
    AT_WORK,
    Decisions,
    Fate,
    FateChange,
    Replayed,
    ended_then,
)
from connection_guard.core.replay.timeouts import TimeoutFinding
from connection_guard.core.words import counted

Row = dict[str, Any]


def run_row(evidence: str, again: Replayed) -> Row:
    """Return one run: its figures, and the sessions whose fate differs, in groups."""
    run = again.run
    return {
        "evidence": evidence,
        "database": run.database,
        "taken_at": run.snapshot.taken_at,
        "tier": again.tier,
        "used": run.snapshot.used,
        "usable": run.snapshot.measurement.capacity.usable,
        "sessions": len(run.sessions),
        "omitted": run.omitted,
        "terminated": ended_then(run),
        "then": _decisions_row(again.then),
        "now": _decisions_row(again.anew),
        "is_different": again.is_different,
        "newly_ended": len(newly(again, Fate.TERMINATE)),
        "newly_spared": len(no_longer(again, Fate.TERMINATE)),
        "ending_work": sum(each.ends_work for each in again.changes),
        "changes": list(_change_rows(again.changes, run.snapshot.taken_at)),
    }


def totals_row(totals: ReplayTotals) -> Row:
    """Return what all runs add up to."""
    return {
        "replayed": totals.replayed,
        "different": totals.different,
        "undecided": totals.undecided,
        "without_look": totals.without_look,
        "unread": len(totals.unread),
        "partial": totals.partial,
        "omitted": totals.omitted,
        "terminated": totals.ended_then,
        "then": {fate: totals.then[fate] for fate in Fate},
        "now": {fate: totals.now[fate] for fate in Fate},
        "newly_ended": totals.newly_ended,
        "newly_spared": totals.newly_spared,
        "ending_work": totals.ending_work,
        "by_rule": dict(totals.by_rule.most_common()),
    }


def database_row(database: ReplayedDatabase) -> Row:
    """Return what is known of one database, and of each timeout of each role."""
    return {
        "database": database.name,
        "version": database.version,
        "looks": database.looks,
        "days": database.days,
        "first": database.first,
        "last": database.last,
        "timeouts": [_timeout_row(each, database) for each in database.timeouts],
    }


def _decisions_row(decisions: Decisions) -> Row:
    return {
        "restraint": decisions.restraint,
        "terminate": len(decisions.pids(Fate.TERMINATE)),
        "would_terminate": len(decisions.pids(Fate.WOULD_TERMINATE)),
    }


def _change_rows(changes: Iterable[FateChange], at: datetime) -> Iterable[Row]:
    """Yield the changes in groups, those that end work first, then the largest."""
    groups: dict[tuple[object, ...], list[FateChange]] = {}
    for each in changes:
        session = each.session
        who = session.role, session.application_name, session.state
        groups.setdefault((*who, each.then, each.anew), []).append(each)
    for group in sorted(groups.values(), key=lambda group: (not group[0].ends_work, -len(group))):
        [first, *_] = group
        longest = max(each.session.time_in_state(at) for each in group)
        yield {
            "role": first.session.role,
            "application": first.session.application_name,
            "state": first.session.state,
            "is_at_work": first.session.state in AT_WORK,
            "then": first.then.fate,
            "rule_then": first.then.rule,
            "now": first.anew.fate,
            "rule_now": first.anew.rule,
            "sessions": len(group),
            "longest_in_state_seconds": longest,
            "pids": [each.session.pid for each in group],
        }


def _timeout_row(found: TimeoutFinding, database: ReplayedDatabase) -> Row:
    gaps = found.gaps
    return {
        "role": found.role,
        "setting": SETTINGS[found.kind],
        "seconds": None if found.why_not else found.timeout,
        "summary": timeout_sentence(found, database),
        "statement": statement_of(found),
        "why_not": found.why_not,
        "would_have_ended": sum(found.would_end.values()),
        "endings": _endings(found.would_end),
        "legitimate_gaps": gaps.legitimate,
        "of_known_length": gaps.bounded,
        "longest_legitimate_seconds": gaps.longest,
        "longest_legitimate_at_most_seconds": gaps.longest_at_most,
        "looks": found.tally.looks,
        "days": len(found.tally.days),
        "sessions": found.tally.sessions,
    }


def statement_of(found: TimeoutFinding) -> str | None:
    """Return the statement that sets the timeout, None where it is not proposed."""
    if found.why_not or found.timeout is None:
        return None
    return set_timeout(found.role, found.kind, found.timeout)


def timeout_sentence(found: TimeoutFinding, database: ReplayedDatabase) -> str | None:
    """Return what the timeout would have done, None where it is not proposed."""
    if found.why_not or found.timeout is None:
        return None
    gaps, period = found.gaps, database.last - database.first
    return (
        f"{SETTINGS[found.kind]} = {in_its_unit(found.timeout)} for role {found.role} would have "
        f"ended {counted(sum(found.would_end.values()), 'session')} in "
        f"{counted(-(-period // timedelta(days=1)), 'day')}, all of them leaks; the longest "
        f"legitimate gap was {rounded_up(gaps.longest)} ({rounded_up(gaps.longest_at_most)} at "
        "most)"
    )


def rounded_up(duration: timedelta) -> str:
    """Return a duration in seconds, or in minutes from two on."""
    seconds = -(-duration // timedelta(seconds=1))
    return f"{seconds} s" if seconds < 120 else f"{-(-seconds // 60)} min"


def _endings(would_end: Mapping[Ending, int]) -> Mapping[str, int]:
    return {str(ending): count for ending, count in would_end.items() if count}
