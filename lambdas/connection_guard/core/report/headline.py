"""A run in one line."""

from collections import Counter
from math import ceil

from connection_guard.core.decision.outcome import Result
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.decision.round import Round
from connection_guard.core.report.fitting import NAME_BYTES, fitted, sentence
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.run import Run
from connection_guard.core.report.wording import pause_in_words, worded
from connection_guard.core.words import connections_in_use, of_usable

HEADLINE_BYTES = 500


def headline_of_run(run: Run) -> str:
    """Return what the run saw, what it did, and whether people have to act."""
    parts = [_in_use(run) + _forecast(run), _pause(run)]
    match run.kind:
        case Kind.REMEDIATION if run.round:
            parts.append(_remedied(run.round))
        case Kind.OBSERVATION if run.round and run.round.plan.restraint:
            parts.append(_restrained(run.round))
        case Kind.OBSERVATION if run.first is None:
            parts += map(worded, run.problems)
        case Kind.PREFLIGHT_FAILED:
            parts.append("cannot act")
        case Kind.LOCKED_OUT:
            errors = [
                (each.door, fitted(each.error, NAME_BYTES // 2)) for each in run.doors if each.error
            ]
            parts = ["locked out", *(f"{door} door: {error}" for door, error in errors)]
    if run.recovered:
        parts.append("back below target")
    if run.escalation:
        parts.append(worded(run.escalation))
    return sentence(f"{run.database}: {'; '.join(filter(None, parts))}", HEADLINE_BYTES)


def _in_use(run: Run) -> str:
    first = run.first
    if first is None:
        return ""
    used = run.round.before.used if run.round else first.used
    logins = first.logins_in_progress
    by_logins = f", {logins} of them by logins in progress" if logins else ""
    refused = ", and a login was refused" if first.refused_a_login else ""
    return f"{connections_in_use(used, first.capacity.usable)}{by_logins}{refused}"


def _pause(run: Run) -> str:
    return pause_in_words(run.first.pause) if run.first and run.first.pause else ""


def _forecast(run: Run) -> str:
    """Return when the server will be full, unless sessions were terminated: that changes the
    forecast.
    """
    if run.minutes_to_full is None or (run.round and run.round.outcomes):
        return ""
    return f", full in about {ceil(run.minutes_to_full)} min at this rate"


def _remedied(done: Round) -> str:
    counts = Counter(outcome.result for outcome in done.outcomes)
    others = [
        f"{counts[result]} {result}"
        for result in Result
        if counts[result] and result is not Result.TERMINATED
    ]
    results = ", ".join([f"terminated {counts[Result.TERMINATED]}", *others])
    if done.after is None:
        return f"{results}, usage not measured since"
    return f"{results}, now {of_usable(done.after.used, done.after.capacity.usable)}"


def _restrained(done: Round) -> str:
    if done.plan.restraint is Restraint.NOT_AN_ALARM:
        return worded(done.plan.reason)
    chosen = len(done.plan.chosen)
    would = f"{chosen} would have been" if chosen else ""
    # The pause itself is said before.
    why = "" if done.plan.restraint is Restraint.PAUSED else str(done.plan.restraint)
    said = ": ".join(filter(None, (why, would)))
    return f"nothing terminated ({said})" if said else "nothing terminated"
