"""What a DBA would say of a snapshot: the causes, each as a story, and what only looks like one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.session import Pool, Session, SessionState
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.database.trend import Logins
from connection_guard.core.decision.outcome import Reconnection, Vanished
from connection_guard.core.diagnosis import Cause, Diagnosis, diagnose
from tests.support.builders import NOW, a_server, a_session, a_snapshot

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def leaked(
    count: int, *, client: str = "10.0.1.10", application: str = "checkout"
) -> list[Session]:
    """Sessions that were opened and forgotten, one every four minutes."""
    return [
        a_session(
            idle_for=10 * MINUTE + 4 * n * MINUTE,
            connected_for=11 * MINUTE + 4 * n * MINUTE,
            client=client,
            application=application,
        )
        for n in range(count)
    ]


def idle_pool(
    size: int,
    *,
    client: str,
    application: str = "checkout",
    role: str = "app",
    idle_for: timedelta = MINUTE,
) -> list[Session]:
    """A pool that was filled at its start an hour ago."""
    return [
        a_session(
            client=client, application=application, role=role, idle_for=idle_for, connected_for=HOUR
        )
        for _ in range(size)
    ]


def working(
    count: int, *, client: str = "10.0.7.7", connected_for: timedelta = HOUR
) -> list[Session]:
    """Sessions of a busy application, each a second into its query."""
    return [
        a_session(
            state=SessionState.ACTIVE,
            idle_for=SECOND,
            connected_for=connected_for,
            client=client,
            application="search",
            role="search",
            query="SELECT ? FROM products",
            wait_event_type="IO",
            wait_event="DataFileRead",
        )
        for _ in range(count)
    ]


def waiting(count: int, *, behind: int) -> list[Session]:
    """A star: everyone waits for the same pid."""
    return [waiter(behind) for _ in range(count)]


def waiter(behind: int, *, pid: int | None = None) -> Session:
    return a_session(
        pid=pid,
        state=SessionState.ACTIVE,
        idle_for=3 * MINUTE,
        wait_event_type="Lock",
        wait_event="transactionid",
        blocked_by=(behind,),
    )


def forgotten_transaction(pid: int | None = None, **changes: object) -> Session:
    facts: dict[str, object] = {
        "state": SessionState.IDLE_IN_TRANSACTION,
        "idle_for": 12 * MINUTE,
        "application": "jobs",
    }
    return a_session(pid=pid, **(facts | changes))  # type: ignore[arg-type]


def the_only(diagnoses: tuple[Diagnosis, ...]) -> Diagnosis:
    assert len(diagnoses) == 1, [diagnosis.summary for diagnosis in diagnoses]
    return diagnoses[0]


def causes(diagnoses: tuple[Diagnosis, ...]) -> list[Cause]:
    return [diagnosis.cause for diagnosis in diagnoses]


# Leak


def test_a_pool_that_grows_and_is_not_used_again_leaks() -> None:
    found = the_only(diagnose(a_snapshot(*leaked(70), *working(20))))

    assert (found.cause, found.sessions) == (Cause.LEAK, 70)
    assert found.since == NOW - 10 * MINUTE - 69 * 4 * MINUTE
    assert found.evidence["application"] == "checkout"
    assert found.evidence["largest client"] == "10.0.1.10"
    assert found.evidence["grew over"] == "4 h"
    assert 'application "checkout" (role "app")' in found.advice
    assert "SELECT ? FROM orders" in found.advice
    assert """ALTER ROLE "app" SET idle_session_timeout""" in found.advice


def test_a_leak_on_every_client_of_an_application_is_one_leak() -> None:
    sessions = [session for n in range(8) for session in leaked(9, client=f"10.0.1.{n}")]

    found = the_only(diagnose(a_snapshot(*sessions, *working(10))))

    assert (found.cause, found.sessions, found.evidence["clients"]) == (Cause.LEAK, 72, 8)


def test_the_sessions_that_a_leaking_pool_still_uses_are_not_counted_as_leaked() -> None:
    found = the_only(diagnose(a_snapshot(*leaked(60), *idle_pool(20, client="10.0.1.10"))))

    assert (found.cause, found.sessions, found.evidence["others"]) == (Cause.LEAK, 60, 20)


def test_a_pool_filled_at_once_and_left_alone_is_too_large_but_no_leak() -> None:
    """One session that the pool replaced later does not make it grow."""
    left_alone = idle_pool(79, client="10.0.1.10", idle_for=50 * MINUTE)
    replaced = a_session(idle_for=6 * MINUTE, connected_for=7 * MINUTE)

    assert causes(diagnose(a_snapshot(*left_alone, replaced))) == [Cause.OVERSIZED_POOLS]


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
def test_a_leak_is_told_among_quiet_pools(leak: Callable[[int], list[Session]], size: int) -> None:
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
def test_a_leak_is_told_by_its_last_uses_however_its_pool_was_opened(
    leak: Callable[[], list[Session]],
) -> None:
    found = diagnose(
        a_snapshot(*leak(), *idle_pool(16, client="10.0.2.2", application="other"), usable=50)
    )[0]

    assert (found.cause, found.evidence["application"]) == (Cause.LEAK, "checkout")
    assert "restart" in found.advice.lower()
    assert "its pool counts what it lost as lent" in found.advice


def test_a_leak_in_a_pool_that_opened_all_at_start_may_be_traffic_that_ebbed_away_and_says_so() -> (
    None
):
    certain, uncertain = (
        diagnose(a_snapshot(*leak(), usable=40))[0]
        for leak in (leak_on_demand, leak_from_full_pool)
    )

    assert "others were opened meanwhile" in certain.summary
    assert "a leak, or traffic that ebbed away" in uncertain.summary
    assert "its pool is too large for its traffic" in uncertain.advice


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
        "a leak, or traffic that ebbed away"
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

    assert "ALTER ROLE" not in protected.advice + listening.advice + in_transaction.advice


def test_a_timeout_that_the_server_does_not_have_is_not_advised() -> None:
    snapshot = a_snapshot(*leaked(70))
    old = replace(
        snapshot, measurement=replace(snapshot.measurement, server=a_server(version=130012))
    )

    assert "idle_session_timeout" not in diagnose(old)[0].advice


def test_nothing_is_set_for_a_role_that_was_dropped() -> None:
    of_nobody = [forgotten_transaction(role="") for _ in range(12)]
    lost = [replace(session, role="") for session in leaked(70)]

    for found in (diagnose(a_snapshot(*of_nobody))[0], diagnose(a_snapshot(*lost))[0]):
        assert "ALTER ROLE" not in found.advice
        assert "its role was dropped" in found.summary


@pytest.mark.parametrize(
    "last", ["COMMIT", "ROLLBACK", "BEGIN", "END;", "SELECT ?", "DISCARD ALL", "SET a = ?", ""]
)
def test_transaction_control_is_nobodys_last_query(last: str) -> None:
    only_that = [forgotten_transaction(query=last) for _ in range(12)]
    others_too = [forgotten_transaction(query="SELECT ? FROM carts") for _ in range(3)]

    assert diagnose(a_snapshot(*only_that))[0].evidence["last query"] == ""
    assert (
        diagnose(a_snapshot(*only_that, *others_too))[0].evidence["last query"]
        == "SELECT ? FROM carts"
    )


def test_a_leak_names_a_statement_only_where_one_says_something() -> None:
    after_commit = [replace(session, query="COMMIT") for session in leaked(60)]
    after_query = [replace(session, query="SELECT ? FROM carts") for session in leaked(10)]

    assert (
        "most often after: SELECT ? FROM carts"
        in diagnose(a_snapshot(*after_commit, *after_query))[0].advice
    )
    assert "most often after" not in diagnose(a_snapshot(*after_commit))[0].advice


# Connection storm


def test_many_clients_that_open_a_session_each_need_a_proxy() -> None:
    opened = [
        a_session(client=f"10.0.2.{n}", connected_for=30 * SECOND, idle_for=SECOND)
        for n in range(60)
    ]

    found = the_only(diagnose(a_snapshot(*opened, *working(10))))

    assert (found.cause, found.sessions, found.since) == (
        Cause.CONNECTION_STORM,
        60,
        NOW - 30 * SECOND,
    )
    assert "60 of 70 sessions were opened within the last 30 s" in found.summary
    assert found.advice.startswith(
        'Put RDS Proxy before application "checkout" (role "app"): 60 clients'
    )


def test_few_clients_that_open_many_sessions_need_back_off() -> None:
    opened = [
        a_session(client=f"10.0.2.{n % 3}", connected_for=MINUTE, idle_for=SECOND)
        for n in range(60)
    ]

    assert "3 clients opened 60 sessions at once" in the_only(diagnose(a_snapshot(*opened))).advice


def test_a_pool_freshly_opened_on_one_of_many_clients_is_nothing() -> None:
    """A deploy replaces one client of several: its sessions are new and unused, and nobody's
    fault.
    """
    opened = [
        a_session(client="10.0.2.1", connected_for=MINUTE, idle_for=MINUTE) for _ in range(20)
    ]

    assert Cause.CONNECTION_STORM not in causes(diagnose(a_snapshot(*opened, *working(50))))
    assert Cause.LEAK not in causes(diagnose(a_snapshot(*opened, *working(50))))


def test_what_rds_proxy_opens_is_no_storm_of_the_application() -> None:
    opened = [a_session(connected_for=MINUTE, idle_for=SECOND, proxied=True) for _ in range(60)]

    assert causes(diagnose(a_snapshot(*opened))) == [Cause.NO_SINGLE_CAUSE]


# Idle in transaction


def test_transactions_left_open_are_told_with_the_timeout_that_ends_them() -> None:
    sessions = [
        *(forgotten_transaction() for _ in range(12)),
        *(forgotten_transaction(state=SessionState.IDLE_IN_TRANSACTION_ABORTED) for _ in range(5)),
    ]

    found = the_only(diagnose(a_snapshot(*sessions)))

    assert (found.cause, found.sessions, found.evidence["aborted"]) == (
        Cause.IDLE_IN_TRANSACTION,
        17,
        5,
    )
    assert "others" not in found.summary
    assert found.since == NOW - 12 * MINUTE
    assert """ALTER ROLE "app" SET idle_in_transaction_session_timeout = '1min'""" in found.advice


def test_a_few_open_transactions_count_when_they_hold_up_others() -> None:
    few = [forgotten_transaction(pid) for pid in range(1, 5)]

    assert diagnose(a_snapshot(*few)) == ()

    found = the_only(diagnose(a_snapshot(*few, *waiting(6, behind=2))))
    assert (found.cause, found.sessions, found.evidence["held up"]) == (
        Cause.IDLE_IN_TRANSACTION,
        4,
        6,
    )
    assert found.summary.endswith("; 6 others wait for their locks")


def test_an_application_without_a_name_is_told_by_its_role() -> None:
    found = the_only(
        diagnose(a_snapshot(*(forgotten_transaction(application="") for _ in range(12))))
    )

    assert 'unnamed application (role "app")' in found.summary


def test_a_moment_between_two_statements_of_a_transaction_is_nothing() -> None:
    assert (
        diagnose(a_snapshot(*(forgotten_transaction(idle_for=20 * SECOND) for _ in range(40))))
        == ()
    )


def test_most_of_them_is_said_only_of_more_than_half() -> None:
    names = ["jobs"] * 5 + ["mail"] * 4 + ["shop"] * 4
    mixed = diagnose(a_snapshot(*(forgotten_transaction(application=name) for name in names)))[0]
    most = diagnose(
        a_snapshot(*(forgotten_transaction(application=name) for name in [*names, *["jobs"] * 9]))
    )[0]

    assert '5 of them of application "jobs"' in mixed.summary
    assert 'most of them of application "jobs"' in most.summary


# Blocking chain


def test_a_blocking_chain_names_its_root() -> None:
    """pid 7 holds a row; 8 waits for it, and fifty wait behind 8."""
    found, *others = diagnose(
        a_snapshot(forgotten_transaction(7), waiter(7, pid=8), *waiting(50, behind=8))
    )

    assert (found.cause, found.sessions, found.since) == (
        Cause.BLOCKING_CHAIN,
        51,
        NOW - 3 * MINUTE,
    )
    assert 'behind pid 7: application "jobs" (role "app"), idle in transaction' in found.summary
    assert "its transaction open for 12 min" in found.summary
    assert "SELECT pg_terminate_backend(7)" in found.advice
    assert "idle_in_transaction_session_timeout" in found.advice
    assert [other.cause for other in others] == [Cause.IDLE_IN_TRANSACTION]


def test_sessions_that_wait_for_locks_are_neither_load_nor_a_storm() -> None:
    opened_to_wait = [
        replace(session, backend_start=NOW - MINUTE) for session in waiting(85, behind=7)
    ]

    assert causes(diagnose(a_snapshot(*working(1), *opened_to_wait))) == [Cause.BLOCKING_CHAIN]


@pytest.mark.parametrize(
    ("root", "advice"),
    [
        (
            a_session(pid=7, state=SessionState.ACTIVE, query="ALTER TABLE orders"),
            "pg_cancel_backend(7)",
        ),
        (a_session(pid=7, advisory_lock=True), "unlock its session-level advisory lock: pid 7"),
        (a_session(pid=99), "Look up pid 7 in pg_stat_activity"),
        (forgotten_transaction(7, blocked_by=(7,)), "pid 7 is in a deadlock"),
    ],
    ids=["active", "advisory lock", "no client session", "deadlock"],
)
def test_the_advice_suits_what_the_root_does(root: Session, advice: str) -> None:
    assert advice in diagnose(a_snapshot(root, *waiting(30, behind=7)))[0].advice


def test_a_prepared_transaction_can_be_the_root() -> None:
    """PostgreSQL names pid 0 for it (pg_blocking_pids)."""
    assert "pg_prepared_xacts" in the_only(diagnose(a_snapshot(*waiting(30, behind=0)))).advice


def test_many_small_queues_count_together_and_the_worst_is_named() -> None:
    queues = [waiter(root) for root in range(1, 7) for _ in range(root)]

    found = the_only(diagnose(a_snapshot(*queues)))

    assert (found.sessions, found.evidence["roots"]) == (21, 6)
    assert (
        found.evidence["worst roots"] == "pid 6 (6 waiting), pid 5 (5 waiting), pid 4 (4 waiting)"
    )


def test_a_queue_behind_a_deadlock_is_counted_once() -> None:
    cycle = [waiter(2, pid=1), waiter(3, pid=2), waiter(1, pid=3)]

    found = the_only(diagnose(a_snapshot(*waiting(20, behind=2), *cycle)))

    assert (found.sessions, found.evidence["roots"]) == (23, 1)


@pytest.mark.parametrize("order", [1, -1], ids=["head first", "tail first"])
def test_five_thousand_in_one_chain_have_one_root(order: int) -> None:
    in_a_row = [forgotten_transaction(1), *(waiter(pid - 1, pid=pid) for pid in range(2, 5002))]

    found = diagnose(a_snapshot(*in_a_row[::order], usable=5000))[0]

    assert (found.cause, found.sessions, found.evidence["roots"]) == (Cause.BLOCKING_CHAIN, 5000, 1)
    assert "5000 of them behind pid 1:" in found.summary


def test_a_thousand_behind_one_session_have_one_root() -> None:
    found = diagnose(a_snapshot(forgotten_transaction(1), *waiting(1000, behind=1), usable=5000))[0]

    assert (found.cause, found.sessions, found.evidence["roots"]) == (Cause.BLOCKING_CHAIN, 1000, 1)


# Oversized pools


def test_the_pool_arithmetic() -> None:
    """Twelve clients may open ten each; the last ones found the database full."""
    sizes = [10, 10, 10, 10, 10, 10, 10, 10, 5, 4, 4, 4]
    sessions = [s for n, size in enumerate(sizes) for s in idle_pool(size, client=f"10.0.3.{n}")]

    found = the_only(diagnose(a_snapshot(*sessions)))

    assert (found.cause, found.sessions) == (Cause.OVERSIZED_POOLS, 97)
    assert "12 clients x 10 sessions = 120 wanted, 97 usable" in found.summary
    assert found.advice == (
        'Set the pools of application "checkout" (role "app") to at most 4 sessions for all '
        "processes at one address together: 10.0.3.0 has 10 open (= 58 sessions, 60 % of 97, / 12 "
        "addresses)"
    )


def test_what_several_processes_at_one_address_may_open_is_said_for_all_of_them_together() -> None:
    found = the_only(diagnose(a_snapshot(*idle_pool(40, client="10.0.8.17"), usable=55)))

    assert found.advice == (
        'Set the pools of application "checkout" (role "app") to at most 33 sessions for all '
        "processes at 10.0.8.17 together, which have 40 open (= 33 sessions, 60 % of 55)"
    )


def test_two_applications_share_what_is_comfortable() -> None:
    large = [s for n in range(6) for s in idle_pool(10, client=f"10.0.3.{n}", application="shop")]
    small = [s for n in range(6) for s in idle_pool(5, client=f"10.0.4.{n}", application="mail")]

    first, second = diagnose(a_snapshot(*large, *small))

    assert (
        "at most 6 sessions for all processes at one address together: 10.0.3.0 has 10 open"
        in first.advice
    )
    assert "(= 38 sessions, its part of 60 % of 97, / 6 addresses)" in first.advice
    assert "(= 19 sessions, its part of 60 % of 97, / 6 addresses)" in second.advice


def test_more_clients_than_sessions_to_share_need_a_proxy() -> None:
    sessions = [s for n in range(80) for s in idle_pool(1, client=f"10.0.3.{n}")]

    assert "put RDS Proxy before application" in the_only(diagnose(a_snapshot(*sessions))).advice


def test_pools_that_work_are_not_oversized() -> None:
    assert Cause.OVERSIZED_POOLS not in causes(
        diagnose(a_snapshot(*working(60), *idle_pool(30, client="10.0.3.1")))
    )


def test_the_pool_of_rds_proxy_is_not_the_applications() -> None:
    sessions = [
        replace(session, is_owned_by_proxy=True) for session in idle_pool(90, client="10.0.9.9")
    ]

    found = the_only(diagnose(a_snapshot(*sessions)))

    assert found.cause is Cause.NO_SINGLE_CAUSE
    assert "what RDS Proxy keeps open" in found.advice


# Role or database limit


def test_a_role_that_uses_up_its_own_limit() -> None:
    sessions = [a_session(role="reports", state=SessionState.ACTIVE) for _ in range(20)]
    limits = (
        ConnectionLimit(LimitOwner.ROLE, "reports", 20, 20),
        ConnectionLimit(LimitOwner.ROLE, "app", 50, 49),
    )

    found = the_only(diagnose(a_snapshot(*sessions, limits=limits)))

    assert (found.cause, found.sessions) == (Cause.ROLE_OR_DATABASE_LIMIT, 20)
    assert found.summary.startswith('role "reports" uses 20 of its CONNECTION LIMIT 20')
    assert '(too many connections for role "reports") while 77 slots are free' in found.summary
    assert (
        found.advice
        == 'ALTER ROLE "reports" CONNECTION LIMIT 58 gives it half of the 77 free slots'
    )


def test_a_limit_used_up_by_idle_sessions_is_not_raised() -> None:
    sessions = [a_session(database="shop") for _ in range(20)]
    limits = (ConnectionLimit(LimitOwner.DATABASE, "shop", 20, 20),)

    assert the_only(diagnose(a_snapshot(*sessions, limits=limits))).advice == (
        'Size the pools that use DATABASE "shop" to fewer than 20 together: 20 of its sessions '
        "are idle"
    )


def test_a_limit_is_not_raised_where_the_database_is_full() -> None:
    sessions = [a_session(role="reports", state=SessionState.ACTIVE) for _ in range(20)]
    limits = (ConnectionLimit(LimitOwner.ROLE, "reports", 20, 20),)

    assert (
        "no slots are free to raise it"
        in diagnose(a_snapshot(*sessions, usable=20, limits=limits))[0].advice
    )


def test_a_limit_of_none_at_all_is_somebodys_decision() -> None:
    assert diagnose(a_snapshot(limits=(ConnectionLimit(LimitOwner.ROLE, "former", 0, 0),))) == ()


def test_of_hundreds_of_limits_the_largest_are_told() -> None:
    limits = tuple(ConnectionLimit(LimitOwner.ROLE, f"tenant {n}", n, n) for n in range(1, 300))

    found = diagnose(a_snapshot(limits=limits))

    assert [diagnosis.evidence["role"] for diagnosis in found] == [
        "tenant 299",
        "tenant 298",
        "tenant 297",
    ]
    assert found[0].evidence["limits reached"] == 299


# Genuine load


def test_when_all_sessions_work_nothing_is_to_be_killed() -> None:
    found = the_only(diagnose(a_snapshot(*working(95))))

    assert (found.cause, found.sessions, found.since) == (Cause.GENUINE_LOAD, 95, NOW - SECOND)
    assert found.advice.startswith("Kill nothing")
    assert 'application "search" (role "search")' in found.advice
    assert "SELECT ? FROM products" in found.advice
    assert found.evidence["most common wait"] == "IO"


def test_load_beside_a_leak_is_not_called_genuine() -> None:
    assert causes(diagnose(a_snapshot(*working(70), *leaked(20)))) == [Cause.LEAK]


def test_load_from_sessions_opened_just_now_is_still_load() -> None:
    assert Cause.GENUINE_LOAD in causes(
        diagnose(a_snapshot(*working(95, connected_for=20 * SECOND)))
    )


def test_the_guards_own_session_is_no_load() -> None:
    own = [
        a_session(role=role, state=SessionState.ACTIVE, idle_for=SECOND)
        for role in ("connection_guard", "guard")
    ]
    snapshot = a_snapshot(*working(29), *idle_pool(29, client="10.0.3.1"), *own)

    assert Cause.GENUINE_LOAD not in causes(diagnose(snapshot, guard_roles=["guard"]))
    assert diagnose(a_snapshot(*working(95), own[0]))[0].sessions == 95


@pytest.mark.parametrize("forgotten", [18, 22])
def test_load_beside_forgotten_transactions_is_not_called_genuine(forgotten: int) -> None:
    sessions = [*working(50 - forgotten), *(forgotten_transaction() for _ in range(forgotten))]

    assert causes(diagnose(a_snapshot(*sessions, usable=50))) == [Cause.IDLE_IN_TRANSACTION]


def test_load_comes_behind_a_cause_that_explains_a_considerable_part() -> None:
    limits = (ConnectionLimit(LimitOwner.ROLE, "reports", 20, 20),)
    reports = [
        a_session(role="reports", state=SessionState.ACTIVE, idle_for=SECOND) for _ in range(20)
    ]

    assert causes(diagnose(a_snapshot(*working(70), *reports, limits=limits))) == [
        Cause.ROLE_OR_DATABASE_LIMIT,
        Cause.GENUINE_LOAD,
    ]


# No single cause


def test_a_full_server_has_a_diagnosis_where_no_cause_stands_out() -> None:
    pools = [
        s
        for n in range(12)
        for s in idle_pool(3 + n // 6, client=f"10.0.4.{n}", application=f"app {n}")
    ]
    unused = idle_pool(6, client="10.0.5.1", application="forgotten", idle_for=HOUR)
    busy = working(40)

    found = the_only(diagnose(a_snapshot(*pools, *unused, *busy)))
    no_unused = the_only(diagnose(a_snapshot(*pools, *busy)))

    assert (found.cause, found.evidence["application"]) == (Cause.NO_SINGLE_CAUSE, "forgotten")
    assert "has the most unused sessions, 6 of its 6" in found.summary
    assert (no_unused.cause, no_unused.evidence["application"]) == (Cause.NO_SINGLE_CAUSE, "search")
    assert "has the most, 40" in no_unused.summary


def test_a_small_limit_is_no_diagnosis_of_a_full_server() -> None:
    pools = [
        s
        for n in range(24)
        for s in idle_pool(4, client=f"10.0.4.{n}", application=f"app {n}", role=f"app {n}")
    ]

    found = diagnose(a_snapshot(*pools, limits=(ConnectionLimit(LimitOwner.ROLE, "app 3", 4, 4),)))

    assert causes(found) == [Cause.ROLE_OR_DATABASE_LIMIT, Cause.NO_SINGLE_CAUSE]


# Sessions that ended by themselves


def test_sessions_that_ended_by_themselves_show_a_process_that_may_have_died() -> None:
    pool = Pool("app", "checkout", "10.0.1.10")

    *_, last = diagnose(a_snapshot(*leaked(70)), vanished=(Vanished(pool, terminated=16, gone=21),))
    of_one = diagnose(a_snapshot(*leaked(70)), vanished=(Vanished(pool, terminated=16, gone=1),))

    assert (last.cause, last.sessions) == (Cause.ENDED_BY_THEMSELVES, 21)
    assert last.summary.startswith(
        '21 more of application "checkout" (role "app") ended by themselves'
    )
    assert "its process may have died" in last.summary
    assert causes(of_one) == [Cause.LEAK]


# Churn


def test_a_login_for_each_use_is_a_cause_of_its_own() -> None:
    fresh = [
        a_session(client=f"10.0.2.{n}", connected_for=SECOND, idle_for=timedelta())
        for n in range(12)
    ]
    logins = some_logins(3400, shop=3300, mail=100)

    found = diagnose(a_snapshot(*fresh, *working(70)), logins=logins)
    gone = diagnose(a_snapshot(*working(70)), logins=logins)

    churn = next(each for each in found if each.cause is Cause.CHURN)
    assert (
        churn.summary
        == '3,400 logins per minute; application "checkout" (role "app") has 12 of the 12 '
        "youngest sessions"
    )
    assert (
        churn.sessions,
        churn.evidence["abandoned per minute"],
        churn.evidence["fatal per minute"],
    ) == (12, 7, 3)
    unseen = next(each for each in gone if each.cause is Cause.CHURN)
    assert '3,400 logins per minute, 3,300 of them to database "shop"' in unseen.summary


def test_logins_of_pools_that_start_are_no_churn() -> None:
    """A hundred logins in a minute, and all of these sessions stay."""
    opened = [a_session(connected_for=30 * SECOND, idle_for=SECOND) for _ in range(90)]

    assert Cause.CHURN not in causes(diagnose(a_snapshot(*opened), logins=some_logins(100)))
    assert Cause.CHURN not in causes(diagnose(a_snapshot(*working(90)), logins=some_logins(90)))


def some_logins(total: int, **by_database: int) -> Logins:
    """Within the last minute."""
    return Logins(
        since=NOW - MINUTE, over=MINUTE, total=total, abandoned=7, fatal=3, by_database=by_database
    )


# Pools that reopen


def test_a_pool_that_reopens_what_was_terminated_comes_before_what_it_looks_like() -> None:
    reopened = Reconnection(Pool("app", "checkout", "10.0.1.10"), terminated=40, reopened=38)

    first, second = diagnose(a_snapshot(*leaked(70)), (reopened,))

    assert (first.cause, first.sessions) == (Cause.POOL_REOPENS, 38)
    assert first.summary.startswith("Terminated 40, the pool reopened 38")
    assert "Terminate no more of them" in first.advice
    assert (
        'ALTER ROLE "app" CONNECTION LIMIT 58 holds the role at what the others leave it'
        in first.advice
    )
    assert 'ALTER ROLE "app" CONNECTION LIMIT -1 puts it back' in first.advice
    assert second.cause is Cause.LEAK


def test_pools_of_one_application_are_counted_together() -> None:
    pools = tuple(
        Reconnection(Pool("app", "checkout", f"10.0.1.{n}"), terminated=2, reopened=2)
        for n in range(10)
    )

    assert the_only(diagnose(a_snapshot(), pools)).summary.startswith(
        "Terminated 20, 10 pools reopened 20"
    )


def test_a_role_that_others_share_is_held_with_them_and_put_back_at_its_own_limit() -> None:
    reopened = Reconnection(Pool("app", "checkout", "10.0.1.10"), terminated=40, reopened=38)
    limits = (ConnectionLimit(LimitOwner.ROLE, "app", 90, 90),)
    sessions = [*leaked(70), *idle_pool(20, client="10.0.3.1", application="mail")]

    found = diagnose(a_snapshot(*sessions, limits=limits), (reopened,))
    first = next(each for each in found if each.cause is Cause.POOL_REOPENS)

    assert (
        "holds the role, its other applications included, at what the others leave it"
        in first.advice
    )
    assert "CONNECTION LIMIT 90 puts it back" in first.advice


def test_a_role_that_was_dropped_or_leaves_enough_is_not_held() -> None:
    dropped = Reconnection(Pool("", "checkout", "10.0.1.10"), terminated=40, reopened=38)
    small = Reconnection(Pool("app", "checkout", "10.0.1.10"), terminated=4, reopened=4)

    first = diagnose(
        a_snapshot(*(replace(session, role="") for session in leaked(70))), (dropped,)
    )[0]
    second = diagnose(a_snapshot(*leaked(4)), (small,))[0]

    assert "CONNECTION LIMIT" not in first.advice + second.advice


def test_a_pool_that_was_seen_to_reopen_stays_the_cause_of_what_it_holds() -> None:
    """Nothing is terminated any more, so nothing reopens."""
    pool = idle_pool(90, client="10.0.1.10", idle_for=20 * MINUTE)

    first, second = diagnose(a_snapshot(*pool), reopening_pools={pool[0].pool})

    assert (first.cause, first.sessions, second.cause) == (
        Cause.POOL_REOPENS,
        90,
        Cause.OVERSIZED_POOLS,
    )
    assert "reopened most of what was terminated within the last hour" in first.summary
    assert diagnose(a_snapshot(), reopening_pools={pool[0].pool}) == ()


@pytest.mark.parametrize(("terminated", "reopened"), [(40, 10), (2, 2), (0, 0)])
def test_a_few_reconnects_are_nothing(terminated: int, reopened: int) -> None:
    assert diagnose(a_snapshot(), (Reconnection(Pool("app", "", ""), terminated, reopened),)) == ()


# All together


def test_a_calm_database_needs_no_diagnosis() -> None:
    """Overnight: a leak too small to matter yet, idle pools, one open transaction, one session
    waiting.
    """
    calm = [
        *leaked(20),
        *idle_pool(10, client="10.0.3.1"),
        forgotten_transaction(7),
        waiter(7),
        *working(5),
    ]

    assert diagnose(a_snapshot(*calm)) == ()
    assert diagnose(a_snapshot()) == ()


def test_causes_are_told_by_how_much_they_explain() -> None:
    sessions = [
        *leaked(40),
        *(forgotten_transaction() for _ in range(12)),
        *waiting(25, behind=4711),
        *working(10),
    ]
    limits = (ConnectionLimit(LimitOwner.ROLE, "search", 10, 10),)

    assert causes(diagnose(a_snapshot(*sessions, limits=limits))) == [
        Cause.LEAK,
        Cause.BLOCKING_CHAIN,
        Cause.IDLE_IN_TRANSACTION,
        Cause.ROLE_OR_DATABASE_LIMIT,
    ]


def test_a_chain_comes_before_the_storm_that_it_raises() -> None:
    """Everyone waits for pid 4711, so the same application opens ever more sessions."""
    opened = [
        a_session(client=f"10.0.2.{n}", connected_for=30 * SECOND, idle_for=SECOND)
        for n in range(50)
    ]

    assert causes(diagnose(a_snapshot(*waiting(30, behind=4711), *opened))) == [
        Cause.BLOCKING_CHAIN,
        Cause.CONNECTION_STORM,
    ]


def test_a_limit_comes_before_the_leak_that_reaches_it() -> None:
    limits = (ConnectionLimit(LimitOwner.ROLE, "app", 70, 70),)

    assert causes(diagnose(a_snapshot(*leaked(70), limits=limits))) == [
        Cause.ROLE_OR_DATABASE_LIMIT,
        Cause.LEAK,
    ]


def test_hostile_names_stay_names() -> None:
    role = 'x"; DROP TABLE orders; --'
    sessions = [
        forgotten_transaction(role=role, application="a\nb\x1b[31m" + "é" * 9999) for _ in range(20)
    ]

    found = the_only(diagnose(a_snapshot(*sessions)))

    assert """ALTER ROLE "x""; DROP TABLE orders; --" SET idle_in""" in found.advice
    assert found.summary.isprintable()
    assert len(found.summary) < 1000


names = st.sampled_from(["", "app", 'a"b', "x\ny"]) | st.text(max_size=8)
ages = st.timedeltas(-MINUTE, 2 * HOUR) | st.just(timedelta(days=9000))
pids = st.integers(0, 60)


kinds = st.builds(
    a_session,
    state=st.none() | st.sampled_from(SessionState),
    idle_for=ages,
    role=names,
    application=names,
    listening=st.booleans(),
    advisory_lock=st.booleans(),
    proxied=st.booleans(),
    blocked_by=st.just(()) | st.lists(pids, max_size=3).map(tuple),
    wait_event_type=st.none() | st.sampled_from(["Client", "Lock"]),
)


def crowd(
    kind: Session, size: int, clients: int, connected_for: timedelta, apart: timedelta
) -> list[Session]:
    """Sessions of one kind, as real snapshots have them: from a few clients, opened one after
    another.
    """
    return [
        replace(
            kind,
            client_address=f"10.0.0.{n % clients}",
            backend_start=NOW - connected_for - n * apart,
        )
        for n in range(size)
    ]


crowds = st.builds(crowd, kinds, st.integers(1, 30), st.integers(1, 10), ages, ages)
limits = st.builds(
    ConnectionLimit,
    owner=st.sampled_from(LimitOwner),
    name=names,
    limit=st.integers(-2, 20),
    used=st.integers(0, 20),
)
snapshots = st.builds(
    lambda drawn, usable, some: a_snapshot(
        *(
            replace(session, pid=pid)
            for pid, session in enumerate(chain.from_iterable(drawn), start=1)
        ),
        usable=usable,
        limits=tuple(some),
    ),
    st.lists(crowds, max_size=4),
    st.integers(1, 100),
    st.lists(limits, max_size=3),
)


@given(snapshots)
def test_any_snapshot_is_diagnosed_and_no_session_is_invented(snapshot: Snapshot) -> None:
    for diagnosis in diagnose(snapshot):
        assert 0 <= diagnosis.sessions <= snapshot.used
        assert diagnosis.summary.isprintable()
        assert diagnosis.advice
