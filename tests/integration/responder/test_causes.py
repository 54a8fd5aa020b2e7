"""The causes that the Report names, on sessions that really are so."""

import json
import re
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg2
from psycopg2.extensions import connection

from connection_guard.core.diagnosis.case import DiagnosisTimes
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import WAIT_SECONDS, wait_until
from tests.integration.conftest import NEWEST, OwnPostgres
from tests.integration.responder.responder_actions import (
    run,
    sessions_of_app,
    terminated,
    with_policy,
)
from tests.support.builders import (
    WARNING_ALARM,
    a_heartbeat_event,
    a_policy,
    a_rule,
    an_alarm_event,
)
from tests.support.guarded import Guarded, create_guard_role, fill


def test_genuine_load_is_not_touched_and_is_named(guarded: Guarded) -> None:
    server = guarded.server
    clients = fill(server, role="app")
    for client in clients:
        client.close()
    working = [
        psycopg2.connect(
            host=server.host, port=server.port, user="app", dbname="postgres", async_=True
        )
        for _ in range(len(clients) - 1)
    ]
    try:
        wait_until(lambda: {client.poll() for client in working} == {psycopg2.extensions.POLL_OK})
        for client in working:
            client.cursor().execute("SELECT pg_sleep(60)")
        are_active = (
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'"
        )
        wait_until(
            lambda: (
                [client.poll() for client in working]
                and server.execute(are_active) == [(len(working),)]
            )
        )
        report = guarded.deliver()
        assert (report["kind"], report["restraint"]) == ("observation", "nothing matches")
        assert report["diagnoses"][0]["cause"] == "genuine load"
        assert server.execute(are_active) == [(len(working),)]
    finally:
        for client in working:
            client.close()


@NEWEST
def test_a_pool_that_reopens_what_it_loses_is_spared_from_the_next_run_on(
    guarded: Guarded,
) -> None:
    guard = with_policy(guarded, a_policy(target_percent=20, watch=timedelta(seconds=1)))
    with a_pool_that_reopens(guarded.server, sessions=20):
        first = guard.deliver()
        second = guard.deliver(a_heartbeat_event())
        pids = sessions_of_app(guarded.server)
        third = guard.deliver(a_heartbeat_event())
        assert sessions_of_app(guarded.server) == pids
    assert terminated(first) > 0
    (reconnection,) = first["reconnections"]
    assert reconnection["reopened"] >= reconnection["terminated"] / 2
    assert first["diagnoses"][0]["cause"] == "pool reopens"
    for report in (second, third):
        assert (report["kind"], report["restraint"]) == ("observation", "pools reopen")
        assert "the pools of " in report["escalation"]
        assert (
            "reopen what is terminated: terminating more would free nothing" in report["headline"]
        )
        (spared,) = [group for group in report["spared"] if group["rule"] == "pool reopens"]
        assert (
            spared["reason"]
            == "its pool reopened what was terminated; terminating more would free nothing"
        )


@NEWEST
def test_pools_in_use_that_are_larger_than_the_limit_escalate_with_the_first_attempt(
    guarded: Guarded,
) -> None:
    """No session is unused for long enough, and none will be: waiting for the last attempt changes
    nothing.
    """
    times = DiagnosisTimes(storm_window=timedelta())
    guard = with_policy(
        guarded, a_policy(a_rule(older_than=timedelta(hours=1))), diagnosis_times=times
    )
    fill(guarded.server, role="app")
    first, second = guard.deliver(), guard.deliver(a_heartbeat_event())
    assert "oversized pools" in {diagnosis["cause"] for diagnosis in first["diagnoses"]}
    assert [(each["restraint"], each["attempt"], each["engaged"]) for each in (first, second)] == [
        ("nothing matches", 1, True),
        ("nothing matches", 2, True),
    ]
    assert "the policy does not allow any of them to be terminated" in first["escalation"]


@NEWEST
def test_a_process_that_dies_of_a_terminated_session_is_noticed(guarded: Guarded) -> None:
    times = DiagnosisTimes(storm_window=timedelta())
    guard = with_policy(guarded, a_policy(watch=timedelta(seconds=1)), diagnosis_times=times)
    clients = fill(guarded.server, role="app", application_name="crashes")

    def die_with_the_first() -> None:
        select.select(clients, [], [], WAIT_SECONDS)
        for client in clients:
            client.close()

    process = threading.Thread(target=die_with_the_first)
    process.start()
    report = guard.deliver()
    process.join()
    last = report["diagnoses"][-1]
    assert last["cause"] == "ended by themselves"
    assert last["sessions"] == len(clients) - terminated(report)
    assert f'{last["sessions"]} more sessions of application "crashes"' in last["summary"]


@NEWEST
def test_a_login_per_use_is_named_with_its_rate_and_its_database(guarded: Guarded) -> None:
    """There are ninety logins within one minute, on a database with 27 usable connections."""
    guard = with_policy(guarded, a_policy())
    for _ in range(90):
        guarded.server.connect("app", application_name="no pool").close()
    fill(guarded.server, role="app")
    (look,) = guard.responder._looks._seen
    guard.responder._looks._seen = (replace(look, taken_at=look.taken_at - timedelta(minutes=1)),)
    report = guard.deliver()
    (churn,) = [each for each in report["diagnoses"] if each["cause"] == "no pool"]
    assert 60 <= churn["evidence"]["logins per minute"] <= 150
    assert "logins per minute" in churn["summary"]


@NEWEST
def test_a_warning_says_when_the_database_will_be_full(guarded: Guarded) -> None:
    guard = with_policy(guarded, a_policy())
    for _ in range(24):
        guarded.server.connect("app")
    (look,) = guard.responder._looks._seen
    guard.responder._looks._seen = (replace(look, taken_at=look.taken_at - timedelta(minutes=4)),)
    report = guard.deliver(an_alarm_event(WARNING_ALARM))
    assert 0 < report["minutes_to_full"] < 2
    assert re.search(r"full in about [12] min at this rate", report["headline"])


@contextmanager
def a_pool_that_reopens(server: PostgresServer, sessions: int) -> Iterator[None]:
    """Keep as many sessions open as a pool with this minimum size."""
    stop = threading.Event()

    def keep_open(pool: list[connection]) -> None:
        while not stop.is_set():
            ended, _, _ = select.select(pool, [], [], 0.01)
            for client in ended:
                pool[pool.index(client)] = server.connect("app", application_name="pool")

    pool = [server.connect("app", application_name="pool") for _ in range(sessions)]
    thread = threading.Thread(target=keep_open, args=(pool,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_thousand_sessions_waiting_on_one_lock_fit_into_the_report_and_have_one_root(
    own_postgres: OwnPostgres,
) -> None:
    # A thousand sessions that begin to wait at once also look for a deadlock at once, all locks
    # locked meanwhile.
    server = own_postgres(settings={"max_connections": 1010, "deadlock_timeout": "10min"})
    create_guard_role(server)
    server.execute(
        "CREATE ROLE app LOGIN; CREATE TABLE stock (item int); INSERT INTO stock VALUES (1)"
    )
    server.execute("GRANT ALL ON stock TO app")
    holder = server.connect("app", application_name="holder")
    run(holder, "BEGIN; UPDATE stock SET item = 2")
    waiting = [
        psycopg2.connect(
            host=server.host, port=server.port, user="app", dbname="postgres", async_=True
        )
        for _ in range(995)
    ]
    try:
        wait_until(lambda: {client.poll() for client in waiting} == {psycopg2.extensions.POLL_OK})
        for client in waiting:
            client.cursor().execute("UPDATE stock SET item = 3")
        are_waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(
            lambda: (
                [client.poll() for client in waiting] and server.execute(are_waiting) == [(995,)]
            )
        )
        report = Guarded(server).deliver()
        assert len(json.dumps(report).encode()) < 200_000
        diagnosis = report["diagnoses"][0]
        assert (diagnosis["cause"], diagnosis["sessions"]) == ("blocking chain", 995)
        assert f"pg_terminate_backend({holder.info.backend_pid})" in diagnosis["advice"]
        assert report["evidence"]["omitted"] == 0
    finally:
        for client in waiting:
            client.close()


@NEWEST
def test_a_limit_of_a_role_is_seen(guarded: Guarded) -> None:
    server = guarded.server
    server.execute("ALTER ROLE app CONNECTION LIMIT 4")
    for _ in range(4):
        server.connect("app")
    report = guarded.deliver()
    assert report["diagnoses"][0]["cause"] == "role or database limit"
    (limit,) = report["before"]["limits_near_full"]
    assert (limit["owner"], limit["name"], limit["limit"], limit["used"]) == ("role", "app", 4, 4)
