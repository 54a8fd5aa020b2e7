"""How long sessions waited, and how each wait ended, is known as far as the looks can show it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.decision.outcome import Result
from connection_guard.core.replay.gaps import (
    STEPS,
    Ending,
    GapKind,
    GapLedger,
    GapTally,
    RoleTally,
)
from connection_guard.core.replay.past_run import PastRun
from connection_guard.core.report.evidence_format import SessionEvidence
from tests.support.builders import NOW, a_session, a_snapshot

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
START = NOW - timedelta(days=1)


def at(seconds: float) -> datetime:
    return NOW + seconds * SECOND


def a_look(
    seconds: float, *sessions: Session, terminated: Iterable[int] = (), omitted: int = 0
) -> PastRun:
    """Return a run that looked that many seconds after NOW."""
    snapshot = replace(a_snapshot(*sessions), taken_at=at(seconds))
    ended = set(terminated)
    return PastRun(
        database="orders-prod",
        tier=None,
        restraint=None,
        snapshot=snapshot,
        sessions=tuple(
            SessionEvidence(
                each, None, None, None, Result.TERMINATED if each.pid in ended else None
            )
            for each in sessions
        ),
        omitted=omitted,
        signalled=0,
        known_to_reopen=frozenset(),
        reopening=frozenset(),
        is_eased=False,
    )


def seen(
    pid: int,
    since: float,
    state: SessionState = SessionState.IDLE_IN_TRANSACTION,
    *,
    transaction: float | None = None,
    started: datetime = START,
    **changes: object,
) -> Session:
    """Return a session in its state since that many seconds after NOW."""
    session = replace(
        a_session(pid=pid, state=state),
        backend_start=started,
        state_change=at(since),
        query_start=at(since),
        transaction_start=None if transaction is None else at(transaction),
    )
    return replace(session, **changes)  # type: ignore[arg-type]


def tally_of(*looks: PastRun, role: str = "app") -> RoleTally:
    ledger = GapLedger()
    for look in looks:
        ledger.look(look)
    return ledger.close()[role]


def endings(tally: GapTally) -> Counter[Ending]:
    counts = Counter[Ending]()
    for (ending, _), count in tally.by_step.items():
        counts[ending] += count
    return counts


def in_transaction(*looks: PastRun) -> GapTally:
    return tally_of(*looks).gaps[GapKind.IDLE_IN_TRANSACTION]


def test_a_gap_that_was_followed_by_work_is_legitimate_and_between_two_lengths() -> None:
    tally = in_transaction(
        a_look(0, seen(1, -41)), a_look(60, seen(1, 30, SessionState.IDLE, query_start=at(25)))
    )
    assert endings(tally) == {Ending.WENT_ON: 1}
    assert (tally.longest, tally.longest_at_most) == (41 * SECOND, 66 * SECOND)
    assert (tally.legitimate, tally.bounded) == (1, 1)


def test_a_transaction_that_began_before_the_gap_says_nothing_about_its_end() -> None:
    tally = in_transaction(
        a_look(0, seen(1, -41, transaction=-100)),
        a_look(60, seen(1, 30, transaction=-100, query_start=at(25))),
    )
    assert tally.longest_at_most == 66 * SECOND


def test_the_same_gap_in_several_looks_is_one() -> None:
    gap = seen(1, -10)
    # Evidence of another look has the same time a fraction of a millisecond apart.
    again = replace(
        gap,
        backend_start=START + timedelta(microseconds=900),
        state_change=at(-10) + timedelta(microseconds=900),
    )
    tally = in_transaction(a_look(0, gap), a_look(60, again), a_look(120, seen(1, 119)))
    assert endings(tally) == {Ending.WENT_ON: 1, Ending.LAST_SEEN: 1}
    assert timedelta(seconds=69.9) < tally.longest <= 70 * SECOND


def test_a_gap_that_ended_between_looks_far_apart_has_no_known_length() -> None:
    tally = in_transaction(a_look(0, seen(1, -41)), a_look(3600, seen(1, 3599)))
    assert (tally.legitimate, tally.bounded, tally.longest) == (1, 0, 41 * SECOND)
    assert tally.longest_at_most == timedelta()


def test_what_never_changed_is_lost_however_it_ended() -> None:
    tally = in_transaction(
        a_look(0, seen(1, -90), seen(2, -90), seen(3, -90), seen(4, -90)),
        a_look(60, seen(2, -90), seen(3, -90), seen(4, 50, started=at(40)), terminated=[2]),
        a_look(120, seen(3, -90), seen(4, 110, started=at(40))),
    )
    assert tally.reaching(MINUTE) == {Ending.VANISHED: 2, Ending.TERMINATED: 1, Ending.LAST_SEEN: 1}
    # The pid that was reused is another session, which went on.
    assert endings(tally)[Ending.WENT_ON] == 1
    assert tally.longest == 10 * SECOND


def test_a_session_that_idled_until_it_was_last_seen_is_lost() -> None:
    tally = tally_of(a_look(0, seen(1, -90, SessionState.IDLE))).gaps[GapKind.IDLE]
    assert endings(tally) == {Ending.LAST_SEEN: 1}


@pytest.mark.parametrize(
    "session",
    [
        replace(seen(1, -90), is_listening=True),
        replace(seen(1, -90), holds_advisory_lock=True),
    ],
)
def test_who_listens_or_holds_an_advisory_lock_is_on_duty(session: Session) -> None:
    assert tally_of(a_look(0, session)).is_on_duty
    assert not tally_of(a_look(0, seen(1, -90))).is_on_duty


def test_a_session_that_a_partial_look_lacks_may_still_be_there() -> None:
    first, last = seen(1, -90), seen(1, 100)
    partial = in_transaction(a_look(0, first), a_look(60, omitted=1), a_look(120, last))
    assert endings(partial) == {Ending.WENT_ON: 1, Ending.LAST_SEEN: 1}
    whole = in_transaction(a_look(0, first), a_look(60), a_look(120, last))
    assert endings(whole) == {Ending.VANISHED: 1, Ending.LAST_SEEN: 1}


def test_a_hidden_state_says_nothing_about_a_gap() -> None:
    hidden = replace(seen(1, 50), state=None, state_change=None, query_start=None)
    tally = in_transaction(a_look(0, seen(1, -90)), a_look(60, hidden), a_look(120, seen(1, -90)))
    assert endings(tally) == {Ending.LAST_SEEN: 1}
    assert tally.reaching(3 * MINUTE) == {Ending.LAST_SEEN: 1}


def test_a_transaction_that_was_at_work_when_last_seen_is_not_lost() -> None:
    tally = tally_of(
        a_look(
            0,
            seen(1, -5, SessionState.ACTIVE, transaction=-600),
            seen(2, -500, transaction=-600),
            seen(3, -5, SessionState.ACTIVE, transaction=-300),
        ),
        a_look(60, seen(3, 40, SessionState.IDLE)),
    ).gaps[GapKind.TRANSACTION]
    assert endings(tally) == {Ending.AT_WORK: 1, Ending.VANISHED: 1, Ending.WENT_ON: 1}
    assert (tally.longest, tally.bounded) == (600 * SECOND, 1)
    assert tally.longest_at_most == 340 * SECOND


def test_a_role_is_known_by_its_looks_days_and_sessions() -> None:
    idle = SessionState.IDLE
    tally = tally_of(
        a_look(0, seen(1, -9, idle), seen(2, -9, idle, is_listening=True)),
        a_look(86_400, seen(1, 86_000, idle)),
        a_look(86_401, seen(3, 86_000, idle, role="other")),
    )
    assert (tally.looks, len(tally.days), tally.sessions) == (2, 2, 2)
    assert tally.is_on_duty
    assert not tally.is_of_proxy


def test_sessions_that_no_timeout_is_for_do_not_count() -> None:
    ledger = GapLedger()
    look = a_look(
        0,
        seen(1, -9, role="ignored"),
        seen(2, -9, role="admin", is_superuser=True),
        seen(3, -9, role="rdsadmin", is_owned_by_amazon=True),
        seen(4, -9, role=""),
        seen(5, -9),
    )
    ledger.look(look, protected=["app"], ignored=["ignored"])
    roles = ledger.close()
    assert set(roles) == {"app"}
    assert roles["app"].is_protected


def test_the_steps_are_in_order() -> None:
    assert list(STEPS) == sorted(set(STEPS))


def test_what_is_kept_does_not_grow_with_the_looks() -> None:
    ledger = GapLedger()
    for second in range(500):
        ledger.look(a_look(second, *(seen(second * 10 + n, second - 1) for n in range(10))))
    assert len(ledger._tracked) == 10
    tally = ledger.close()["app"]
    assert tally.sessions == 5000
    assert len(tally.gaps[GapKind.IDLE_IN_TRANSACTION].by_step) <= 3
