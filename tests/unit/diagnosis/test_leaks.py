"""Leaks: pools that lose sessions, and what only looks like one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connection_guard.core.database.session import Session
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose
from tests.support.builders import NOW, a_session, a_snapshot
from tests.support.symptoms import (
    MINUTE,
    SECOND,
    advice_of,
    after_statement,
    causes,
    forgotten_transaction,
    idle_pool,
    leaked,
    the_only,
    working,
)


def test_a_pool_that_grows_and_is_not_used_again_leaks() -> None:
    found = the_only(diagnose(a_snapshot(*leaked(70), *working(20))))

    assert (found.cause, found.sessions) == (Cause.LEAK, 70)
    assert found.since == NOW - 10 * MINUTE - 69 * 4 * MINUTE
    assert found.evidence["application"] == "checkout"
    assert found.evidence["largest client"] == "10.0.1.10"
    assert found.evidence["grew over"] == "4 h"
    assert 'application "checkout" (role "app")' in advice_of(found)
    assert "SELECT ? FROM orders" in advice_of(found)
    assert """ALTER ROLE "app" SET idle_session_timeout""" in advice_of(found)


def test_a_leak_on_every_client_of_an_application_is_one_leak() -> None:
    sessions = [session for n in range(8) for session in leaked(9, client=f"10.0.1.{n}")]

    found = the_only(diagnose(a_snapshot(*sessions, *working(10))))

    assert (found.cause, found.sessions, found.evidence["clients"]) == (Cause.LEAK, 72, 8)


def test_the_sessions_that_a_leaking_pool_still_uses_are_not_counted_as_leaked() -> None:
    found = the_only(diagnose(a_snapshot(*leaked(60), *idle_pool(20, client="10.0.1.10"))))

    assert (found.cause, found.sessions, found.evidence["others"]) == (Cause.LEAK, 60, 20)


def test_a_pool_filled_at_once_and_not_used_since_is_too_large_but_no_leak() -> None:
    """One session that the pool replaced later does not make it grow."""
    untouched = idle_pool(79, client="10.0.1.10", idle_for=50 * MINUTE)
    replaced = a_session(idle_for=6 * MINUTE, connected_for=7 * MINUTE)

    assert causes(diagnose(a_snapshot(*untouched, replaced))) == [Cause.OVERSIZED_POOLS]


def test_a_pool_that_uses_more_than_it_leaves_unused_does_not_leak() -> None:
    assert Cause.LEAK not in causes(
        diagnose(a_snapshot(*leaked(35), *idle_pool(40, client="10.0.1.10")))
    )


@pytest.mark.parametrize("duty", [{"proxied": True}, {"listening": True}, {"advisory_lock": True}])
def test_sessions_with_a_reason_to_be_idle_are_no_leak(duty: dict[str, bool]) -> None:
    fields = {
        "proxied": "is_owned_by_proxy",
        "listening": "is_listening",
        "advisory_lock": "holds_advisory_lock",
    }
    duties: dict[str, Any] = {fields[name]: value for name, value in duty.items()}
    on_duty = [replace(session, **duties) for session in leaked(50)]

    assert Cause.LEAK not in causes(diagnose(a_snapshot(*on_duty, *working(20))))


def used(
    minutes_ago: float,
    count: int = 1,
    *,
    opened: float | None = None,
    client: str = "10.0.1.10",
    **more: object,
) -> list[Session]:
    """Idle sessions that were used last so many minutes ago, and opened then or so many minutes
    ago.
    """
    return [
        a_session(
            idle_for=minutes_ago * MINUTE,
            connected_for=(minutes_ago if opened is None else opened) * MINUTE + SECOND,
            client=client,
            **more,  # type: ignore[arg-type]
        )
        for _ in range(count)
    ]


def leak_on_demand(size: int = 32) -> list[Session]:
    """Every two minutes two sessions are opened, lent and never come back."""
    return [s for n in range(size // 2) for s in used(2 * n + 2, 2)]


def leak_from_full_pool(size: int = 32) -> list[Session]:
    """The same in a pool that opened all of its sessions at its start."""
    return [s for n in range(size // 2) for s in used(2 * n + 2, 2, opened=size + 5)]


def grown_with_traffic() -> list[Session]:
    """Six more sessions were opened every five minutes; the traffic used all of them until it
    ended.
    """
    return [s for n in range(8) for s in used(20 + n % 2 * 0.1, 6, opened=20 + 5 * n)]


def a_minute_later(session: Session) -> Session:
    assert session.state_change
    return replace(
        session,
        backend_start=session.backend_start - MINUTE,
        state_change=session.state_change - MINUTE,
    )


@pytest.mark.parametrize("size", [12, 20, 28, 64])
@pytest.mark.parametrize("leak", [leak_on_demand, leak_from_full_pool])
def test_a_leak_is_recognised_among_quiet_pools(
    leak: Callable[[int], list[Session]], size: int
) -> None:
    """Five healthy pools, last used before it began."""
    lost = leak(size)
    quiet = [
        s
        for n in range(5)
        for s in used(size + 9, 4, client=f"10.0.4.{n}", application=f"quiet {n}")
    ]

    found = the_only(diagnose(a_snapshot(*lost, *quiet, usable=size + 22)))

    assert (found.cause, found.evidence["application"]) == (Cause.LEAK, "checkout")


@pytest.mark.parametrize("leak", [leak_on_demand, leak_from_full_pool])
def test_a_leak_is_recognised_by_its_last_uses_however_its_pool_was_opened(
    leak: Callable[[], list[Session]],
) -> None:
    found = diagnose(
        a_snapshot(*leak(), *idle_pool(16, client="10.0.2.2", application="other"), usable=50)
    )[0]

    assert (found.cause, found.evidence["application"]) == (Cause.LEAK, "checkout")
    assert "restart" in advice_of(found).lower()
    assert "its pool still counts the lost sessions as in use" in advice_of(found)


def test_a_leak_in_a_pool_that_opened_all_at_start_may_be_traffic_that_ebbed_away_and_says_so() -> (
    None
):
    certain, uncertain = (
        diagnose(a_snapshot(*leak(), usable=40))[0]
        for leak in (leak_on_demand, leak_from_full_pool)
    )

    assert "others were opened meanwhile" in certain.summary
    assert "a leak, or traffic that died down" in uncertain.summary
    assert "its pool is too large for its traffic" in advice_of(uncertain)


@pytest.mark.parametrize(
    "pool",
    [
        grown_with_traffic(),
        # Six processes behind one address, started one after another and silent since.
        [s for n in range(6) for s in used(5 + 10 * n, 8)],
        # Ten, all used until the traffic ended.
        [s for n in range(10) for s in used(20, 5, opened=20 + 3 * n)],
        # Lent in turn (first in, first out), a use every five seconds: all are used within four
        # minutes.
        [s for n in range(48) for s in used(n / 12, opened=300)],
        # The same, a use every ten seconds.
        [s for n in range(48) for s in used(n / 6, opened=300)],
        # Last in, first out: the traffic keeps three busy, and the rest was last needed at noon.
        [*used(0.1, 3, opened=300), *used(180, 45, opened=300)],
        # Half an hour's maxLifetime: renewed bit by bit, and not used since.
        [s for n in range(48) for s in used(5 + n / 2, query="SET application_name = ?")],
        # asyncpg resets what it is given back.
        [
            s
            for n in range(48)
            for s in used(
                5 + n / 2, query="SELECT pg_advisory_unlock_all(); UNLISTEN *; RESET ALL;"
            )
        ],
        # The guard ended twenty; the traffic that returned opened as many again, one after another.
        [*used(48, 28, opened=300), *(s for n in range(20) for s in used(6 + 2 * n))],
    ],
    ids=[
        "grown with traffic",
        "started one after another",
        "fell silent together",
        "in turn",
        "in turn, lighter",
        "last in first out",
        "renewed",
        "reset",
        "after terminations",
    ],
)
def test_a_healthy_pool_is_too_large_and_does_not_leak(pool: list[Session]) -> None:
    assert causes(diagnose(a_snapshot(*pool, usable=50))) == [Cause.OVERSIZED_POOLS]


def test_a_leak_of_a_few_does_not_explain_a_full_server() -> None:
    assert causes(diagnose(a_snapshot(*leak_on_demand(12), *working(85)))) == [Cause.GENUINE_LOAD]


def test_what_a_pool_opened_after_a_termination_does_not_prove_a_leak() -> None:
    """What the guard ended was opened again: without that, nothing shows that the pool needed
    another session.
    """
    lost = leak_from_full_pool()
    reopened = used(0.5, 20, opened=3)
    story = a_snapshot(*lost, *reopened, usable=60)

    assert "others were opened meanwhile" in diagnose(story)[0].summary
    assert (
        "a leak, or traffic that died down"
        in diagnose(story, terminated_since=NOW - 4 * MINUTE)[0].summary
    )


@pytest.mark.parametrize("leak", [leak_on_demand, leak_from_full_pool])
def test_the_cause_stays_the_same_while_the_guard_ends_part_of_a_leak_and_it_goes_on(
    leak: Callable[[int], list[Session]],
) -> None:
    """Six attempts, a minute apart: each ends the three longest unused, and two more leak every two
    minutes.
    """
    sessions, others = leak(56), idle_pool(12, client="10.0.2.2", application="other")
    named = []
    for attempt in range(6):
        named.append(
            diagnose(a_snapshot(*sessions, *others, usable=70), terminated_since=NOW)[0].cause
        )
        sessions.sort(key=lambda session: session.time_in_state(NOW))
        sessions = [a_minute_later(session) for session in sessions[:-3]]
        sessions += used(0, 2 * (attempt % 2))

    assert named == [Cause.LEAK] * 6


def test_a_timeout_is_not_advised_for_a_role_whose_protected_sessions_it_would_end() -> None:
    protected = diagnose(a_snapshot(*leaked(70)), protected_roles={"app"})[0]
    listening = diagnose(a_snapshot(*leaked(70), a_session(listening=True)))[0]
    in_transaction = diagnose(
        a_snapshot(*(forgotten_transaction() for _ in range(12))), protected_roles={"app"}
    )[0]

    assert "ALTER ROLE" not in advice_of(protected) + advice_of(listening) + advice_of(
        in_transaction
    )


def test_nothing_is_set_for_a_role_that_was_dropped() -> None:
    of_nobody = [forgotten_transaction(role="") for _ in range(12)]
    lost = [replace(session, role="") for session in leaked(70)]

    for found in (diagnose(a_snapshot(*of_nobody))[0], diagnose(a_snapshot(*lost))[0]):
        assert "ALTER ROLE" not in advice_of(found)
        assert "its role was dropped" in found.summary


@pytest.mark.parametrize(
    "last", ["COMMIT", "ROLLBACK", "BEGIN", "END;", "SELECT ?", "DISCARD ALL", "SET a = ?", ""]
)
def test_transaction_control_is_never_named_as_the_last_query(last: str) -> None:
    only_that = [forgotten_transaction(query=last) for _ in range(12)]
    others_too = [forgotten_transaction(query="SELECT ? FROM carts") for _ in range(3)]

    assert diagnose(a_snapshot(*only_that))[0].evidence["last query"] == ""
    assert (
        diagnose(a_snapshot(*only_that, *others_too))[0].evidence["last query"]
        == "SELECT ? FROM carts"
    )


def test_a_leak_names_a_statement_only_where_one_says_something() -> None:
    after_commit = after_statement("COMMIT", leaked(60))
    after_query = after_statement("SELECT ? FROM carts", leaked(10))

    assert "most often after: SELECT ? FROM carts" in advice_of(
        diagnose(a_snapshot(*after_commit, *after_query))[0]
    )
    assert "most often after" not in advice_of(diagnose(a_snapshot(*after_commit))[0])
