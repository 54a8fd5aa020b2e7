"""The seat: the session that the guard keeps from heartbeat to heartbeat."""

from datetime import timedelta

import pytest

from doubles.aws.rds_proxy_double import RdsProxyDouble
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import NEWEST
from tests.support.builders import a_heartbeat_at, a_policy, a_rule
from tests.support.guard_looks import behind, doors_of, guards
from tests.support.guarded import GUARD, Guarded, can_log_in, fill


def test_the_seat_lets_the_guard_in_where_no_other_client_can_log_in(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    """On PostgreSQL 14, too, which has no reserved connections for the guard."""
    guarded = behind(proxy, database)
    guarded.deliver(a_heartbeat_at(1))
    fill(database, role="app")
    assert not can_log_in(database)
    report = guarded.deliver()
    assert (report["kind"], doors_of(report)) == ("remediation", [("proxy", True, True)])
    assert can_log_in(database)


def test_a_dead_seat_is_replaced_once_and_counted(database: PostgresServer) -> None:
    guarded = Guarded(database)
    guarded.deliver(a_heartbeat_at(1))
    (seat,) = guards(database).values()
    database.execute("SELECT pg_terminate_backend(%s)", (seat,))
    wait_until(lambda: not database.has_session(seat))
    report = guarded.deliver(a_heartbeat_at(2))
    assert (report["kind"], report["reconnected"]) == ("heartbeat", 1)
    assert doors_of(report) == [("direct", True, False), ("direct", False, True)]
    assert len(guarded.logins) == 2


@NEWEST
def test_a_seat_whose_server_does_not_answer_any_more_is_given_up(database: PostgresServer) -> None:
    with RdsProxyDouble((database.host, database.port)) as proxy:
        guarded = behind(proxy, database)
        guarded.deliver(a_heartbeat_at(1))
    report = guarded.deliver(a_heartbeat_at(2))
    assert doors_of(report) == [
        ("proxy", True, False),
        ("proxy", False, False),
        ("direct", False, True),
    ]
    assert report["kind"] == "heartbeat"


@NEWEST
def test_the_second_doors_session_is_closed_once_the_shortage_is_over(
    database: PostgresServer,
) -> None:
    with RdsProxyDouble((database.host, database.port)) as proxy:
        pass
    guarded = behind(proxy, database)
    assert guarded.deliver(a_heartbeat_at(1))["recovered"]  # for all that a new process knows
    wait_until(lambda: guards(database) == {})
    fill(database, role="app")
    stuck = behind(proxy, database, policy=a_policy(a_rule(roles=("nobody",))))
    assert stuck.deliver()["engaged"] is True
    assert list(guards(database)) == ["connection-guard direct"]


def test_a_seat_that_an_earlier_environment_left_behind_is_cleared(
    database: PostgresServer, proxy: RdsProxyDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has been idle for longer than any run lasts: until then its environment may be
    alive.
    """
    monkeypatch.setattr(
        "connection_guard.adapters.postgresql.observe.SEAT_IS_STALE_AFTER", timedelta(seconds=1)
    )
    earlier = behind(proxy, database)
    earlier.deliver(a_heartbeat_at(1))
    # A new environment tests the direct door, too, whose session ends a moment later.
    wait_until(lambda: guards(database).keys() == {"connection-guard proxy"})
    left_behind = guards(database)
    is_stale = (
        "SELECT bool_and(state_change < clock_timestamp() - interval '1 s') FROM pg_stat_activity "
        "WHERE usename = %s"
    )
    wait_until(lambda: database.execute(is_stale, (GUARD,)) == [(True,)])
    behind(proxy, database).deliver(a_heartbeat_at(2))
    wait_until(lambda: not database.has_session(left_behind["connection-guard proxy"]))
    wait_until(lambda: guards(database).keys() == left_behind.keys())


@NEWEST
def test_trying_the_second_door_does_not_cost_the_guard_its_seat(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    guarded = behind(proxy, database)
    guarded.deliver(a_heartbeat_at(1))
    wait_until(lambda: list(guards(database)) == ["connection-guard proxy"])
    seat = guards(database)
    guarded.deliver(a_heartbeat_at(15))
    wait_until(lambda: guards(database) == seat)
    assert doors_of(guarded.deliver(a_heartbeat_at(16))) == [("proxy", True, True)]
