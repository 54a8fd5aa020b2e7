"""Two doors and a seat: the guard gets in when nobody else can, and says how."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from connection_guard.adapters.postgresql.doors import DOOR_SECONDS, SECONDS_BETWEEN_TRIES
from connection_guard.core.database.door import Door, DoorName
from doubles.postgres_server import PostgresServer
from doubles.rds_proxy_double import RdsProxyDouble
from doubles.waiting import wait_until
from responder.respond import Responder
from tests.integration.conftest import OwnPostgres
from tests.support.builders import NOW, a_heartbeat_event, a_policy, a_rule, an_alarm_event
from tests.support.guarded import GUARD, Guarded, can_log_in, create_guard_role, fill

NEWEST = pytest.mark.parametrize("postgres", [18], indirect=True)
OLDEST = pytest.mark.parametrize("postgres", [14], indirect=True)
WITH_RESERVED_CONNECTIONS = pytest.mark.parametrize("postgres", [16, 18], indirect=True)


@pytest.fixture
def database(server: PostgresServer) -> PostgresServer:
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    return server


@pytest.fixture
def proxy(database: PostgresServer) -> Iterator[RdsProxyDouble]:
    with RdsProxyDouble((database.host, database.port)) as proxy:
        yield proxy


def behind(proxy: RdsProxyDouble, database: PostgresServer, **options: Any) -> Guarded:
    return Guarded(database, proxy=(proxy.host, proxy.port), **options)


def doors_of(report: dict[str, Any]) -> list[tuple[str, bool, bool]]:
    """Which doors were tried, whether a session was kept, and whether they opened."""
    return [(door["door"], door["is_reused"], door["error"] is None) for door in report["doors"]]


def guards(database: PostgresServer) -> dict[str, int]:
    """The guard's sessions: application name and pid, the latest of each."""
    sessions = (
        "SELECT application_name, pid FROM pg_stat_activity WHERE usename LIKE %s ORDER BY "
        "backend_start"
    )
    return dict(database.execute(sessions, (f"{GUARD}%",)))


def a_heartbeat_at(minute: int) -> dict[str, Any]:
    return a_heartbeat_event(NOW + timedelta(minutes=minute))


@NEWEST
def test_the_first_door_is_the_proxys_and_its_session_is_kept_as_the_guards_seat(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    guarded = behind(proxy, database)
    assert doors_of(guarded.deliver(a_heartbeat_at(1))) == [("proxy", False, True)]
    assert proxy.pinned == 1
    seat = guards(database)
    report = guarded.deliver(a_heartbeat_at(2))
    assert doors_of(report) == [("proxy", True, True)]
    assert report["seat_held"] is True
    assert guards(database) == seat
    assert len(guarded.logins) == 1


@NEWEST
def test_a_warm_heartbeat_takes_no_more_than_three_round_trips(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    guarded = behind(proxy, database)
    guarded.deliver(a_heartbeat_at(1))
    before = proxy.round_trips
    guarded.deliver(a_heartbeat_at(2))
    assert 1 <= proxy.round_trips - before <= 3


@NEWEST
def test_a_snapshot_takes_two_round_trips(database: PostgresServer, proxy: RdsProxyDouble) -> None:
    guarded = behind(proxy, database)
    guarded.deliver(a_heartbeat_at(1))
    before = proxy.round_trips
    report = guarded.deliver(an_alarm_event(state="OK"))
    assert report["verdicts"] is not None, "it looked at the sessions"
    assert proxy.round_trips - before == 2


def test_the_seat_lets_the_guard_in_where_nobody_else_gets_in(
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


@WITH_RESERVED_CONNECTIONS
def test_when_the_proxy_queues_the_second_door_opens_and_the_report_names_both(
    database: PostgresServer,
) -> None:
    """The proxy's own share of the connections is lent out, and the rest of the database is
    full.
    """
    assert DOOR_SECONDS[DoorName.PROXY] < 3, "a full database's proxy is not waited for any longer"
    with RdsProxyDouble((database.host, database.port), max_connections=1) as proxy:
        borrower = psycopg2.connect(host=proxy.host, port=proxy.port, user="app", dbname="postgres")
        borrower.cursor().execute("SELECT 1")
        fill(database, role="app")
        report = behind(proxy, database).deliver()
        assert doors_of(report) == [("proxy", False, False), ("direct", False, True)]
        assert report["doors"][0]["error"] == "no answer in time"
        assert report["kind"] == "remediation"
        assert can_log_in(database)
        borrower.close()


@WITH_RESERVED_CONNECTIONS
def test_the_second_door_opens_though_others_fight_for_the_same_slots(
    database: PostgresServer,
) -> None:
    fill(database, role="app")
    with clients_that_retry(database, clients=10) as refusals:
        wait_until(lambda: refusals() > 20)
        report = Guarded(database, a_policy(target_percent=50)).deliver()
    assert doors_of(report) == [("direct", False, True)]
    assert report["outcomes"]["terminated"] > 0


@contextmanager
def clients_that_retry(database: PostgresServer, clients: int) -> Iterator[Callable[[], int]]:
    """Clients that want in as the guard's own role does, and leave at once; gives how often they
    were refused.
    """
    stop = threading.Event()
    refused = [0] * clients
    database.execute("CREATE ROLE rival LOGIN; GRANT pg_use_reserved_connections TO rival")

    def retry(client: int) -> None:
        while not stop.is_set():
            try:
                psycopg2.connect(
                    host=database.host, port=database.port, user="rival", dbname="postgres"
                ).close()
            except psycopg2.OperationalError:
                refused[client] += 1

    threads = [threading.Thread(target=retry, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(refused)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@OLDEST
def test_before_postgresql_16_a_full_database_without_a_seat_locks_the_guard_out(
    database: PostgresServer,
) -> None:
    fill(database, role="app")
    report = Guarded(database).deliver(seconds_left=5)
    assert report["kind"] == "locked_out"
    assert "remaining connection slots are reserved" in report["doors"][0]["error"]
    assert (
        1 < report["doors"][0]["tries"] <= report["doors"][0]["seconds"] / SECONDS_BETWEEN_TRIES + 1
    )


@NEWEST
def test_when_no_door_opens_that_is_the_report(database: PostgresServer) -> None:
    with RdsProxyDouble((database.host, database.port)) as proxy:
        guarded = behind(proxy, database)
    database.execute(f"ALTER ROLE {GUARD} NOLOGIN")
    report = guarded.deliver(seconds_left=5)
    assert report["kind"] == "locked_out"
    assert report["escalation"].startswith("no door opened: log in as the master user")
    assert [door["door"] for door in report["doors"]] == ["proxy", "direct"]
    assert "Connection refused" in report["doors"][0]["error"]
    assert "is not permitted to log in" in report["doors"][1]["error"]
    database.execute(f"ALTER ROLE {GUARD} LOGIN")
    report = guarded.deliver(a_heartbeat_at(1))
    assert (report["kind"], report["recovered"]) == ("observation", True), "it does not stay out"


@NEWEST
def test_an_alarm_that_found_the_doors_shut_is_carried_on_by_the_next_heartbeat(
    database: PostgresServer,
) -> None:
    guarded = Guarded(database)
    database.execute(f"ALTER ROLE {GUARD} NOLOGIN")
    assert guarded.deliver(seconds_left=5)["kind"] == "locked_out"
    database.execute(f"ALTER ROLE {GUARD} LOGIN")
    fill(database, role="app")
    assert guarded.deliver(a_heartbeat_at(1))["kind"] == "remediation"


@NEWEST
def test_every_fifteenth_heartbeat_opens_and_closes_the_second_door(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    guarded = behind(proxy, database)
    tried = {minute: doors_of(guarded.deliver(a_heartbeat_at(minute))) for minute in range(31)}
    assert [minute for minute, doors in tried.items() if ("direct", False, True) in doors] == [
        0,
        15,
        30,
    ]
    wait_until(lambda: list(guards(database)) == ["connection-guard proxy"])


@NEWEST
def test_a_second_door_that_is_shut_shows_before_it_is_needed(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    guarded = behind(proxy, database)
    guarded.deliver(a_heartbeat_at(1))
    database.execute(f"ALTER ROLE {GUARD} NOLOGIN")
    report = guarded.deliver(a_heartbeat_at(15), seconds_left=5)
    assert doors_of(report) == [("proxy", True, True), ("direct", False, False)]
    assert report["kind"] == "heartbeat"


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
def test_the_second_doors_session_is_given_back_once_the_pressure_is_over(
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
    left_behind = guards(database)
    is_stale = (
        "SELECT bool_and(state_change < clock_timestamp() - interval '1 s') FROM pg_stat_activity "
        "WHERE usename = %s"
    )
    wait_until(lambda: database.execute(is_stale, (GUARD,)) == [(True,)])
    behind(proxy, database).deliver(a_heartbeat_at(2))
    wait_until(lambda: not database.has_session(left_behind["connection-guard proxy"]))
    assert guards(database).keys() == left_behind.keys()


@NEWEST
def test_trying_the_second_door_does_not_cost_the_guard_its_seat(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    guarded = behind(proxy, database)
    guarded.deliver(a_heartbeat_at(1))
    seat = guards(database)
    guarded.deliver(a_heartbeat_at(15))
    wait_until(lambda: guards(database) == seat)
    assert doors_of(guarded.deliver(a_heartbeat_at(16))) == [("proxy", True, True)]


@NEWEST
def test_a_role_of_the_second_door_that_lacks_a_privilege_shows_before_it_is_needed(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    database.execute("CREATE ROLE guard_direct LOGIN; GRANT pg_monitor TO guard_direct")
    guarded = behind(proxy, database, direct_role="guard_direct")
    assert guarded.deliver(a_heartbeat_at(1))["recovered"]  # for all that a new process knows
    report = guarded.deliver(a_heartbeat_at(15))
    assert report["kind"] == "preflight_failed"
    assert 'GRANT pg_signal_backend TO "guard_direct";' in report["escalation"]
    assert report["problems"] == [
        (
            "the second door is shut on a full database: GRANT pg_use_reserved_connections TO "
            '"guard_direct";'
        )
    ]


@NEWEST
def test_a_role_that_cannot_see_does_not_take_a_full_database_for_an_empty_one(
    database: PostgresServer,
) -> None:
    """The proxy goes while the guard works, and the role behind the second door may not read
    pg_stat_activity.
    """
    database.execute("CREATE ROLE guard_direct LOGIN; GRANT pg_signal_backend TO guard_direct")
    with RdsProxyDouble((database.host, database.port)) as proxy:
        policy = a_policy(batch_size=1, pause=timedelta(seconds=1))
        guarded = behind(proxy, database, policy=policy, direct_role="guard_direct")
        guarded.deliver(a_heartbeat_at(1))
        sessions = len(fill(database, role="app"))
        count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"

        def stop_after_the_first_batch() -> None:
            wait_until(lambda: database.execute(count) < [(sessions,)])
            proxy.stop()

        stop = threading.Thread(target=stop_after_the_first_batch)
        stop.start()
        report = guarded.deliver(seconds_left=20)
        stop.join()
    assert report["after"] is None
    assert 'GRANT pg_read_all_stats TO "guard_direct";' in report["problems"][-1]
    assert report["engaged"] is True


@NEWEST
def test_the_proxys_own_idle_sessions_are_spared_and_listed_apart(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    guarded = behind(proxy, database)
    guarded.deliver(a_heartbeat_at(1))
    proxied = psycopg2.connect(
        host=proxy.host, port=proxy.port, user="app", dbname="postgres", application_name="web"
    )
    proxied.autocommit = True
    proxied.cursor().execute("SELECT 1")
    fill(database, role="app", application_name="leak")
    report = guarded.deliver()
    assert report["kind"] == "remediation"
    assert ("web", "built in") in {
        (group["application"], group["rule"]) for group in report["spared_of_proxy"]
    }
    proxied.cursor().execute("SELECT 1")
    proxied.close()


def test_nothing_is_done_on_a_server_in_recovery(own_postgres: OwnPostgres) -> None:
    """A failover left a standby where the writer was; once it is promoted the guard is in again."""
    database = own_postgres()
    create_guard_role(database)
    guarded = Guarded(database)
    assert guarded.deliver(a_heartbeat_at(1))["recovered"]  # for all that a new process knows
    signal_file = database.postgres.folder / "data" / "standby.signal"
    become_standby(database, signal_file)
    report = guarded.deliver(seconds_left=5)
    assert report["kind"] == "locked_out"
    assert report["reconnected"] == 1
    assert "is in recovery: not the writer" in report["doors"][-1]["error"]
    assert report["escalation"].startswith(
        "the endpoint in guard.toml leads to a standby or reader"
    )
    assert "name the writer's endpoint" in report["escalation"]
    assert list(guards(database)) == []
    database.execute("SELECT pg_promote()")
    report = guarded.deliver(a_heartbeat_at(2))
    assert (report["kind"], report["recovered"], doors_of(report)) == (
        "observation",
        True,
        [("direct", False, True)],
    )


def become_standby(database: PostgresServer, signal_file: Path) -> None:
    signal_file.touch()
    database.restart()


def test_a_failover_behind_the_proxy_is_noticed_and_the_new_writer_is_used(
    own_postgres: OwnPostgres,
) -> None:
    old, new = own_postgres(), own_postgres()
    for database in (old, new):
        create_guard_role(database)
    with RdsProxyDouble((old.host, old.port)) as proxy:
        guarded = behind(proxy, new)
        assert guarded.deliver(a_heartbeat_at(1))["server"]["port"] == old.port
        proxy.target = (new.host, new.port)
        report = guarded.deliver(a_heartbeat_at(2))
        assert (report["kind"], report["reconnected"], report["server"]["port"]) == (
            "heartbeat",
            1,
            new.port,
        )


@NEWEST
def test_another_database_than_was_asked_for_is_not_worked_on(database: PostgresServer) -> None:
    database.execute("CREATE DATABASE other")
    guarded = Guarded(database)

    def astray(door: Door) -> Any:
        return psycopg2.connect(
            host=door.host, port=door.port, user=door.role, dbname="other", async_=True
        )

    guarded.responder = Responder(guarded.settings, a_policy(), astray)
    report = guarded.deliver(seconds_left=5)
    assert report["kind"] == "locked_out"
    assert report["doors"][0]["error"] == "this is database other, not postgres"
