"""What happened to sessions, and to the pools they belonged to, as a later snapshot shows it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connection_guard.core.database.session import Pool, Session, SessionState
from connection_guard.core.decision.outcome import (
    Outcome,
    Reconnection,
    Result,
    Vanished,
    reconnections,
    reopening_applications,
    settled,
    vanished,
)
from connection_guard.core.decision.plan import Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.policy import Action
from tests.support.builders import NOW, a_session, a_snapshot


def an_outcome(session: Session, result: Result = Result.TERMINATED) -> Outcome:
    return Outcome(Verdict(session, Action.TERMINATE, "a rule", Reason(ReasonCode.NO_RULE)), result)


@pytest.mark.parametrize("first", [Result.SURVIVED, Result.UNKNOWN])
def test_who_survived_or_was_lost_sight_of_is_settled_by_the_next_look(first: Result) -> None:
    gone, there, reused, moved_on = (a_session() for _ in range(4))
    outcomes = [an_outcome(session, first) for session in (gone, there, reused)]
    outcomes.append(an_outcome(moved_on, Result.MOVED_ON))
    after = a_snapshot(there, replace(reused, backend_start=NOW))
    assert [outcome.result for outcome in settled(outcomes, after)] == [
        Result.TERMINATED,
        Result.SURVIVED,
        Result.TERMINATED,
        Result.MOVED_ON,
    ]


def test_a_pool_reopens_what_it_opens_and_leaves_idle() -> None:
    """A new session that works is a client that was waiting to be served; an old one was there
    before.
    """
    lost = [a_session(application="leak") for _ in range(3)]
    opened = {"application": "leak", "connected_for": timedelta(seconds=-1), "query": ""}
    idle, working = a_session(**opened), a_session(**opened, state=SessionState.ACTIVE)  # type: ignore[arg-type]
    others = [
        a_session(application="leak"),
        a_session(application="web", connected_for=timedelta(seconds=-1)),
    ]
    (found,) = reconnections(
        [*map(an_outcome, lost), an_outcome(a_session(application="web"), Result.MOVED_ON)],
        a_snapshot(*lost),
        a_snapshot(idle, working, *others),
    )
    assert found == Reconnection(lost[0].pool, terminated=3, reopened=1)


@pytest.mark.parametrize(
    ("last_query", "is_kept"),
    [
        ("", True),
        ("SET application_name = ?", True),
        ("SHOW TRANSACTION ISOLATION LEVEL", True),
        ("SELECT ?", True),
        ("select version()", True),
        ("SELECT set_config(?, ?, ?)", True),
        ("SELECT typname, typtype, typarray FROM pg_type WHERE typname = ?", True),
        ("SELECT t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON ?", True),
        ("SHOW SERVER_VERSION; SET client_min_messages TO ?; SELECT typname FROM pg_type", True),
        ("SET search_path = ?; SELECT * FROM orders", False),
        ("DISCARD ALL", False),
        ("RESET ALL; SET SESSION AUTHORIZATION DEFAULT", True),
        ("SET SESSION AUTHORIZATION DEFAULT; RESET ALL", False),
        ("COMMIT", False),
        ("ROLLBACK", False),
        ("SELECT count(*) FROM orders", False),
        ("SELECT pg_sleep(?)", False),
        ("SELECT settle()", False),
        ("UPDATE orders SET total = ?", False),
    ],
)
def test_traffic_that_returns_is_not_a_pool_that_refills_itself(
    last_query: str, is_kept: bool
) -> None:
    """They differ in whether a new session has had work to do."""
    lost = a_session()
    back = a_session(connected_for=timedelta(seconds=-1), query=last_query)
    (found,) = reconnections([an_outcome(lost)], a_snapshot(lost), a_snapshot(back))
    assert found.reopened == int(is_kept)


def test_an_application_reopens_when_all_its_pools_together_bring_half_back() -> None:
    def on(client: str, terminated: int, reopened: int, application: str = "web") -> Reconnection:
        return Reconnection(Pool("app", application, client), terminated, reopened)

    web = [on("10.0.0.1", 1, 1), on("10.0.0.2", 1, 1), on("10.0.0.3", 2, 0)]
    few, less = on("10.0.0.1", 2, 2, "few"), on("10.0.0.1", 9, 4, "less")
    assert reopening_applications([*web, few, less]) == {("app", "web"): web}


def test_more_of_a_pool_is_gone_than_was_terminated() -> None:
    """Its process died of it. Another application's clients come and go, and one of its own had
    only just come.
    """
    ended, moved_on, there, *gone = (a_session() for _ in range(7))
    other = a_session(application="web")
    short_lived = a_session(connected_for=timedelta(seconds=1), idle_for=timedelta())
    outcomes = [an_outcome(ended), an_outcome(moved_on, Result.MOVED_ON)]
    before = a_snapshot(ended, moved_on, there, *gone, other, short_lived)
    found = vanished(outcomes, before, a_snapshot(there), settled_after=timedelta(minutes=2))
    assert found == (Vanished(ended.pool, terminated=1, gone=5),)
