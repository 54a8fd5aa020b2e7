"""Carries out by hand what the responder would: in turn with it, guarded, bounded and verified."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from math import ceil
from typing import NamedTuple

from connection_guard.adapters.postgresql.guard_session import GuardSession
from connection_guard.adapters.postgresql.names import identifier
from connection_guard.adapters.postgresql.observe import measure
from connection_guard.adapters.postgresql.terminate import GONE_SECONDS, Results, terminate
from connection_guard.adapters.postgresql.turn import remember, take_turn
from connection_guard.cli.access.database_access import DatabaseAccess, enter
from connection_guard.cli.live.by_hand.pid_choice import begun_by_hand, still_allowed
from connection_guard.cli.live.live_look import LiveLook
from connection_guard.cli.live.live_session import look_around
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.decide import enough_in_use
from connection_guard.core.decision.engagement import (
    Engagement,
    at_present,
    ready_to_save,
    recalled,
    with_outcomes,
)
from connection_guard.core.decision.outcome import Outcome, Result
from connection_guard.core.decision.plan import Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.decision.round import Round, verified
from connection_guard.core.diagnosis.case import DIAGNOSIS_TIMES
from connection_guard.core.words import quoted
from connection_guard.errors import DatabaseError

SECONDS_TO_SIGNAL = 10.0
SECONDS_TO_VERIFY = 10.0


class CarriedOut(NamedTuple):
    """The round with its outcomes, the problems that were met, and whether what was terminated
    counts against the guard's share of the hour: only the guard's own role can write what the guard
    remembers.
    """

    round: Round
    problems: tuple[Reason, ...]
    is_counted: bool


def carry_out(
    access: DatabaseAccess,
    session: GuardSession,
    look: LiveLook,
    *,
    is_bounded: bool,
    on_batch: Callable[[Results], None],
) -> CarriedOut:
    """Terminate what the look's plan chose. The session is closed.

    Where it `is_bounded`, the limits of the policy hold anew: the plan may be minutes old. Raise
    UserMistakeError where another run has the turn, and DatabaseError where the database is lost
    before anything is terminated.
    """
    session, now = _present(access, session)
    with closing(session):
        _check_database(access, now)
        problems = [_take_turn(access, session)]
        # What the run that had the turn before has done counts, too.
        now = measure(session, access.guard_roles)
        engagement = at_present(recalled(now.memories, now.taken_at), now.taken_at)
        allowed = look.plan.chosen
        limits = look.judgement.policy.limits
        if is_bounded:
            allowed, problem = still_allowed(allowed, now, engagement, limits)
            problems.append(problem)
        engagement = begun_by_hand(engagement, now, len(allowed))
        is_counted = now.role in access.guard_roles
        if is_counted:
            engagement, problem = _remembered(session, engagement, now)
            problems.append(problem)
        acted, stopped = _act(access, session, look, now, allowed, is_bounded, on_batch)
        watch = limits.watch_for_reconnects.total_seconds()
        looked, problem = _verify(access, session, acted, watch)
        problems += [stopped, problem]
        if is_counted:
            ended = with_outcomes(engagement, now.taken_at, looked.outcomes, looked.reconnections)
            problems.append(_remembered(session, ended, now)[1])
    return CarriedOut(looked, tuple(each for each in problems if each is not None), is_counted)


def _present(access: DatabaseAccess, session: GuardSession) -> tuple[GuardSession, Measurement]:
    """Return the session and what it measures now: a new one where the old one was ended, as the
    responder does with a session that waits for minutes.
    """
    try:
        return session, measure(session, access.guard_roles)
    except DatabaseError:
        return enter(access)


def _check_database(access: DatabaseAccess, now: Measurement) -> None:
    guarded = access.configured and access.configured.database_name
    if guarded and now.server.database != guarded:
        raise UserMistakeError(
            f"{access.name}: the guard takes its turns in database {quoted(guarded)}: log in to "
            "that one, without --dbname"
        )


def _take_turn(access: DatabaseAccess, session: GuardSession) -> Reason | None:
    """Take the turn as the responder does; return why two runs may act at once all the same."""
    turn = take_turn(session, access.guard_roles, time.monotonic() + SECONDS_TO_VERIFY)
    if turn.is_taken:
        return None
    if turn.is_guard:
        raise UserMistakeError(
            f"{access.name}: another run of the guard (pid {turn.holder}) is working on this "
            "database: nothing was terminated; look again in a minute"
        )
    holder = {"role": identifier(turn.role), "pid": turn.holder or "not known"}
    return Reason(ReasonCode.LOCK_TAKEN_BY_OTHERS, holder)


def _remembered(
    session: GuardSession, engagement: Engagement, now: Measurement
) -> tuple[Engagement, Reason | None]:
    """Save the engagement for the responder; return it, and why it could not be saved."""
    engagement = ready_to_save(engagement, now.taken_at)
    try:
        remember(session, engagement, time.monotonic() + SECONDS_TO_VERIFY)
    except DatabaseError as error:
        return engagement, Reason(ReasonCode.NOT_REMEMBERED, {"error": str(error)})
    return engagement, None


def _act(
    access: DatabaseAccess,
    session: GuardSession,
    look: LiveLook,
    now: Measurement,
    allowed: Sequence[Verdict],
    is_bounded: bool,
    on_batch: Callable[[Results], None],
) -> tuple[Round, Reason | None]:
    limits = look.judgement.policy.limits
    pauses = ceil(len(allowed) / limits.batch_size)
    seconds = pauses * (GONE_SECONDS + limits.pause_between_batches.total_seconds())
    outcomes, stopped = terminate(
        session,
        allowed,
        look.round.before.measurement.server,
        limits,
        guard_roles=access.guard_roles,
        enough=enough_in_use(now, limits) if is_bounded else 0,
        deadline=time.monotonic() + SECONDS_TO_SIGNAL + seconds,
        on_batch=on_batch,
    )
    left = look.plan.chosen[len(allowed) :]
    outcomes = (*outcomes, *(Outcome(verdict, Result.LEFT) for verdict in left))
    return replace(look.round, outcomes=outcomes), stopped


def _verify(
    access: DatabaseAccess, session: GuardSession, acted: Round, watch: float
) -> tuple[Round, Reason | None]:
    """Look again once pools have had time to reopen."""
    time.sleep(watch)
    try:
        after = look_around(access, session, measure(session, access.guard_roles))
    except DatabaseError as error:
        return acted, Reason(ReasonCode.NOT_VERIFIED, {"error": str(error)})
    return verified(acted, after, settled_after=DIAGNOSIS_TIMES.storm_window)
