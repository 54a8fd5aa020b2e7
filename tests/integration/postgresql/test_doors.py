"""Two doors: the guard logs in when no application can, and reports how."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from connection_guard.adapters.postgresql.doors import DOOR_SECONDS, SECONDS_BETWEEN_TRIES
from connection_guard.core.database.door import Door, DoorName
from doubles.aws.rds_proxy_double import RdsProxyDouble
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from responder.respond import Responder
from tests.integration.conftest import NEWEST, OLDEST, WITH_RESERVED_CONNECTIONS
from tests.support.builders import a_heartbeat_at, a_heartbeat_event, a_policy, an_alarm_event
from tests.support.guard_looks import behind, doors_of, guards
from tests.support.guarded import GUARD, Guarded, can_log_in, fill


@NEWEST
def test_the_first_door_is_the_proxys_and_its_session_is_kept_as_the_guards_seat(
    database: PostgresServer, proxy: RdsProxyDouble
) -> None:
    guarded = behind(proxy, database)
    first = guarded.deliver(a_heartbeat_at(1))
    assert doors_of(first) == [("proxy", False, True), ("direct", False, True)], (
        "a new process tries the second door, of which it knows nothing"
    )
    assert proxy.pinned == 1
    wait_until(lambda: list(guards(database)) == ["connection-guard proxy"])
    seat = guards(database)
    report = guarded.deliver(a_heartbeat_at(2))
    assert doors_of(report) == [("proxy", True, True)]
    assert report["seat_held"] is True
    assert guards(database) == seat
    assert len(guarded.logins) == 2


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
    report = Guarded(database).deliver(a_heartbeat_event(), seconds_left=5)
    assert report["kind"] == "locked_out"
    assert report["escalation"].startswith("no door opened: log in as the master user")
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
def test_a_second_door_that_is_shut_is_noticed_before_it_is_needed_and_so_is_its_end(
    database: PostgresServer, proxy: RdsProxyDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    guarded = behind(proxy, database)
    guarded.deliver(a_heartbeat_at(1))
    assert faults_logged(capsys) == []
    database.execute(f"ALTER ROLE {GUARD} NOLOGIN")
    for minute in (15, 16):
        report = guarded.deliver(a_heartbeat_at(minute), seconds_left=5)
        assert doors_of(report) == [("proxy", True, True), ("direct", False, False)]
        assert report["kind"] == "heartbeat"
        assert faults_logged(capsys) == ["direct_door_shut"]
    database.execute(f"ALTER ROLE {GUARD} LOGIN")
    guarded.deliver(a_heartbeat_at(17))
    assert faults_logged(capsys) == []
    assert doors_of(guarded.deliver(a_heartbeat_at(18))) == [("proxy", True, True)]


@NEWEST
def test_a_privilege_missing_at_the_second_door_is_noticed_before_it_is_needed(
    database: PostgresServer, proxy: RdsProxyDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    database.execute("CREATE ROLE guard_direct LOGIN; GRANT pg_monitor TO guard_direct")
    guarded = behind(proxy, database, direct_role="guard_direct")
    report = guarded.deliver(a_heartbeat_at(1))
    assert report["recovered"]  # for all that a new process knows
    assert faults_logged(capsys) == ["missing_grant"]
    assert report["kind"] == "preflight_failed"
    assert 'GRANT pg_signal_backend TO "guard_direct";' in report["escalation"]
    assert report["problems"] == [
        (
            "the second door would stay shut on a full database: GRANT "
            "pg_use_reserved_connections TO "
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


@NEWEST
def test_another_database_than_the_configured_one_is_not_touched(database: PostgresServer) -> None:
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


def faults_logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the faults in the metrics' line of the run."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [faults] = [line["faults"] for line in lines if "_aws" in line]
    assert isinstance(faults, list)
    return faults
