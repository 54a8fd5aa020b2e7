"""The responder on a real, exhausted PostgreSQL: an alarm goes in, slots come free, a Report comes
out.
"""

import json
import re
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection

from connection_guard.core.database.door import Door
from connection_guard.core.diagnosis.cause import DiagnosisTimes
from connection_guard.core.policy import Mode, Policy, Tier
from connection_guard.errors import ConfigurationError, ForeignEventError
from doubles.postgres_server import PostgresServer
from doubles.waiting import WAIT_SECONDS, wait_until
from responder.respond import Responder
from tests.integration.conftest import OwnPostgres
from tests.support.builders import (
    CRITICAL_ALARM,
    NOW,
    WARNING_ALARM,
    a_heartbeat_event,
    a_policy,
    a_rule,
    an_alarm_event,
)
from tests.support.guarded import GUARD, Guarded, can_log_in, create_guard_role, fill

NEWEST = pytest.mark.parametrize("postgres", [18], indirect=True)
WITH_RESERVED_CONNECTIONS = pytest.mark.parametrize("postgres", [16, 18], indirect=True)


@pytest.fixture
def guarded(server: PostgresServer) -> Guarded:
    """A database with a guard that has its seat, as after any heartbeat."""
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    guarded = Guarded(server)
    assert guarded.deliver(a_heartbeat_event())["recovered"]  # for all that a new process knows
    return guarded


def terminated(report: dict[str, Any]) -> int:
    return int(report["outcomes"].get("terminated", 0))


def leave_open(server: PostgresServer, clients: list[connection], number: int) -> None:
    """Close all but so many."""
    while len(clients) > number:
        clients.pop().close()
    query = "SELECT count(*) <= %s FROM pg_stat_activity WHERE usename = 'app'"
    wait_until(lambda: server.execute(query, (number,)) == [(True,)])


def with_policy(guarded: Guarded, policy: Policy, **options: Any) -> Guarded:
    """Another guard of the same database, which has its seat."""
    another = Guarded(guarded.server, policy, **options)
    another.deliver(a_heartbeat_event())
    return another


def run(client: connection, statement: str) -> None:
    with client.cursor() as cursor:
        cursor.execute(statement)


def test_an_exhausted_database_serves_clients_again(guarded: Guarded) -> None:
    clients = fill(guarded.server, role="app")
    assert not can_log_in(guarded.server)
    report = guarded.deliver()
    assert report["kind"] == "remediation"
    assert report["before"]["used"] >= report["before"]["usable"]
    assert report["after"]["utilisation"] < 70
    assert report["recovered"] is True
    assert terminated(report) == sum(is_gone(client) for client in clients) > 0
    assert can_log_in(guarded.server)


def sessions_of_app(server: PostgresServer) -> set[int]:
    return {
        pid for (pid,) in server.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'app'")
    }


@NEWEST
def test_every_run_and_every_heartbeat_writes_its_metrics_into_the_log(
    guarded: Guarded, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    fill(guarded.server, role="app")
    for event, terminates in (
        (a_heartbeat_event(), False),
        (an_alarm_event(), True),
        (a_heartbeat_event(), False),
    ):
        capsys.readouterr()
        caplog.clear()
        report = guarded.deliver(event)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        (metrics,) = [line for line in lines if "_aws" in line]
        latest = report["after"] or report["before"]
        batches = [
            vars(record)["results"] for record in caplog.records if record.getMessage() == "batch"
        ]
        assert sum(map(len, batches)) == terminated(report)
        assert metrics["Database"] == "orders-prod"
        assert (metrics["Used"], metrics["Usable"]) == ([latest["used"]], [latest["usable"]])
        assert metrics["Terminated"] == [terminated(report)]
        assert (terminated(report) > 0) is terminates
        assert (metrics["Heartbeat"], metrics["DirectDoorOpen"], metrics["SeatHeld"]) == (
            [1],
            [1],
            [1],
        )


def is_gone(client: connection) -> bool:
    try:
        run(client, "SELECT 1")
    except psycopg2.Error:
        return True
    return False


@pytest.mark.parametrize(
    "event",
    [
        {"Records": [{"eventSource": "aws:s3"}]},
        an_alarm_event("arn:aws:cloudwatch:eu-central-1:123456789012:alarm:disk full"),
        an_alarm_event(database="billing-prod"),
    ],
    ids=["no alarm notification", "another alarm", "another database"],
)
@NEWEST
def test_a_foreign_event_is_refused_before_anything_is_touched(
    server: PostgresServer, event: dict[str, Any]
) -> None:
    create_guard_role(server)
    guarded = Guarded(server)
    with pytest.raises(
        ForeignEventError,
        match="expected an SNS notification from one of the 2 alarms of orders-prod",
    ):
        guarded.deliver(event)
    assert guarded.logins == []


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
def test_an_alarm_that_is_over_gets_the_live_state_and_nothing_is_terminated(
    guarded: Guarded, state: str
) -> None:
    clients = fill(guarded.server, role="app")
    report = guarded.deliver(an_alarm_event(state=state))
    assert report["kind"] == "observation"
    assert report["restraint"] == "not an alarm"
    assert report["before"]["used"] > len(clients)
    assert not any(is_gone(client) for client in clients)


@NEWEST
def test_the_same_event_twice_has_one_key_and_the_live_state_decides(guarded: Guarded) -> None:
    event = an_alarm_event()
    fill(guarded.server, role="app")
    first, second = guarded.deliver(event), guarded.deliver(event)
    assert first["event"]["key"] == second["event"]["key"]
    assert [first["event"]["is_duplicate"], second["event"]["is_duplicate"]] == [False, True]
    assert terminated(first) > 0
    assert (second["kind"], second["restraint"], terminated(second)) == (
        "observation",
        "below target",
        0,
    )


@NEWEST
def test_an_alarm_that_comes_late_counts_as_a_heartbeat(guarded: Guarded) -> None:
    clients = fill(guarded.server, role="app")
    late = an_alarm_event(changed_at=datetime.now(UTC) - timedelta(minutes=5, seconds=1))
    report = guarded.deliver(late)
    assert (report["kind"], report["event"]["is_stale"]) == ("heartbeat", True)
    assert not any(is_gone(client) for client in clients)
    report = guarded.deliver(a_heartbeat_event(NOW + timedelta(minutes=1)))
    assert terminated(report) > 0, "it was the first of two critical heartbeats in a row"


def test_usage_below_the_target_asks_for_nothing(guarded: Guarded) -> None:
    client = guarded.server.connect("app")
    report = guarded.deliver()
    assert (report["kind"], report["restraint"]) == ("observation", "below target")
    assert "already below the target of 70 %" in report["explanation"]
    assert not is_gone(client)


@pytest.mark.parametrize(
    ("lost", "grant"),
    [
        ("pg_monitor", 'GRANT pg_read_all_stats TO "connection_guard";'),
        ("pg_signal_backend", 'GRANT pg_signal_backend TO "connection_guard";'),
    ],
)
@pytest.mark.parametrize(
    "event", [an_alarm_event(), a_heartbeat_event()], ids=["alarm", "heartbeat"]
)
def test_a_missing_privilege_is_named_with_the_grant_that_mends_it(
    guarded: Guarded, lost: str, grant: str, event: dict[str, Any]
) -> None:
    clients = fill(guarded.server, role="app")
    guarded.server.execute(f"REVOKE {lost} FROM {GUARD}")
    report = guarded.deliver(event)
    assert report["kind"] == "preflight_failed"
    assert grant in report["escalation"]
    assert not any(is_gone(client) for client in clients)
    guarded.server.execute(grant)
    assert terminated(guarded.deliver()) > 0


def test_whoever_was_told_that_the_guard_is_helpless_is_told_once_that_it_no_longer_is(
    guarded: Guarded,
) -> None:
    guarded.server.execute(f"REVOKE pg_signal_backend FROM {GUARD}")
    assert guarded.deliver(a_heartbeat_event())["kind"] == "preflight_failed"
    guarded.server.execute(f"GRANT pg_signal_backend TO {GUARD}")

    reports = [guarded.deliver(a_heartbeat_event()) for _ in range(2)]

    assert [(report["kind"], report["recovered"]) for report in reports] == [
        ("observation", True),
        ("heartbeat", False),
    ]


def refuse_above_a_quarter(guarded: Guarded) -> Guarded:
    return with_policy(guarded, a_policy(refuse_above_percent=25))


def after_this_hours_last(guarded: Guarded) -> Guarded:
    guard = with_policy(guarded, a_policy(most_per_run=2, most_per_hour=2))
    fill(guarded.server, role="app")
    assert terminated(guard.deliver()) == 2
    return guard


def paused(guarded: Guarded) -> Guarded:
    guarded.server.execute(
        f"CREATE ROLE connection_guard_paused; GRANT connection_guard_paused TO {GUARD}"
    )
    return guarded


def observing(guarded: Guarded) -> Guarded:
    return with_policy(guarded, a_policy(modes=dict.fromkeys(Tier, Mode.OBSERVE)))


@pytest.mark.parametrize(
    ("prepare", "restraint", "explanation"),
    [
        (refuse_above_a_quarter, "refused", "limits.refuse_above is 25 %"),
        (
            after_this_hours_last,
            "hourly cap",
            "limits.most_per_hour: 2 were terminated within the hour",
        ),
        (paused, "paused", "role connection_guard_paused is granted to the guard's role"),
        (observing, "observing", "the policy only observes at critical"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_stops_a_run_stops_it_whole_and_the_report_says_which(
    guarded: Guarded, prepare: Callable[[Guarded], Guarded], restraint: str, explanation: str
) -> None:
    guard = prepare(guarded)
    fill(guarded.server, role="app")
    pids = sessions_of_app(guarded.server)
    report = guard.deliver()
    assert (report["kind"], report["restraint"]) == ("observation", restraint)
    assert explanation in report["explanation"]
    assert sessions_of_app(guarded.server) == pids


@NEWEST
def test_a_refused_plan_asks_for_people_at_once_and_heartbeats_do_not_try_again(
    guarded: Guarded,
) -> None:
    guard = refuse_above_a_quarter(guarded)
    fill(guarded.server, role="app")
    assert "limits.refuse_above" in guard.deliver()["escalation"]
    kinds = [
        guard.deliver(a_heartbeat_event(NOW + timedelta(minutes=minute)))["kind"]
        for minute in range(1, 5)
    ]
    assert kinds == ["heartbeat"] * 4


@NEWEST
def test_a_target_that_would_never_end_the_warning_is_refused_before_the_first_event(
    server: PostgresServer,
) -> None:
    with pytest.raises(
        ConfigurationError, match=r"target: 75 is not below the warning alarm at 75 %"
    ):
        Guarded(server, a_policy(target_percent=75))


@NEWEST
def test_a_warning_observes_and_a_critical_alarm_enforces(guarded: Guarded) -> None:
    clients = fill(guarded.server, role="app")
    report = guarded.deliver(an_alarm_event(WARNING_ALARM))
    assert (report["kind"], report["tier"], report["restraint"]) == (
        "observation",
        "warning",
        "observing",
    )
    assert report["engaged"] is False
    assert guarded.deliver(a_heartbeat_event())["kind"] == "heartbeat"
    assert not any(is_gone(client) for client in clients)
    assert guarded.deliver(an_alarm_event(CRITICAL_ALARM))["kind"] == "remediation"


@NEWEST
def test_a_pause_costs_no_attempts(guarded: Guarded) -> None:
    guard = with_policy(guarded, a_policy(attempts=2))
    fill(guarded.server, role="app")
    guarded.server.execute(
        f"CREATE ROLE connection_guard_paused; GRANT connection_guard_paused TO {GUARD}"
    )
    reports = [
        guard.deliver(),
        *(guard.deliver(a_heartbeat_event(NOW + timedelta(minutes=m))) for m in range(1, 5)),
    ]
    assert [(report["kind"], report["restraint"], report["escalation"]) for report in reports] == [
        ("observation", "paused", None)
    ] * 5
    guarded.server.execute(f"REVOKE connection_guard_paused FROM {GUARD}")
    assert terminated(guard.deliver(a_heartbeat_event(NOW + timedelta(minutes=6)))) > 0


@NEWEST
def test_a_repeated_alarm_does_not_act_after_people_were_asked(guarded: Guarded) -> None:
    enforcing = dict.fromkeys(Tier, Mode.ENFORCE)
    guard = with_policy(guarded, a_policy(modes=enforcing, most_per_run=1, attempts=1))
    fill(guarded.server, role="app")
    event = an_alarm_event()
    assert guard.deliver(event)["escalation"] is not None
    pids = sessions_of_app(guarded.server)
    assert guard.deliver(event)["kind"] == "heartbeat"
    assert sessions_of_app(guarded.server) == pids


@NEWEST
def test_while_the_pressure_lasts_each_heartbeat_carries_on_and_at_last_people_are_asked(
    guarded: Guarded,
) -> None:
    guard = with_policy(guarded, a_policy(most_per_run=1, attempts=3))
    fill(guarded.server, role="app")
    reports = [guard.deliver()]
    reports += [
        guard.deliver(a_heartbeat_event(NOW + timedelta(minutes=minute))) for minute in range(1, 5)
    ]
    assert [report["kind"] for report in reports] == ["remediation"] * 3 + ["heartbeat"] * 2
    assert [report["attempt"] for report in reports] == [1, 2, 3, 0, 0]
    assert [report["escalation"] is None for report in reports] == [True, True, False, True, True]
    assert reports[2]["escalation"].endswith(" % after 3 attempts")


@NEWEST
def test_a_heartbeat_that_finds_usage_down_says_that_it_is_over(guarded: Guarded) -> None:
    guard = with_policy(guarded, a_policy(a_rule(roles=("nobody",))))
    clients = fill(guarded.server, role="app")
    assert guard.deliver()["restraint"] == "nothing matches"
    for client in clients:
        client.close()
    wait_until(
        lambda: (
            guarded.server.execute(
                "SELECT count(*) < 5 FROM pg_stat_activity WHERE usename = 'app'"
            )
            == [(True,)]
        )
    )
    report = guard.deliver(a_heartbeat_event())
    assert (report["kind"], report["recovered"], report["engaged"]) == ("observation", True, False)
    assert guard.deliver(a_heartbeat_event(NOW + timedelta(minutes=2)))["kind"] == "heartbeat"


@pytest.mark.parametrize("attempts", [10, 1], ids=["engaged", "action required"])
@NEWEST
def test_an_alarm_s_ok_below_every_threshold_ends_the_attempts_and_lower_usage_is_reported_later(
    guarded: Guarded, attempts: int
) -> None:
    guard = with_policy(
        guarded, a_policy(a_rule(roles=("nobody",)), attempts=attempts, target_percent=60)
    )
    clients = fill(guarded.server, role="app")
    usable = guard.deliver()["before"]["usable"]
    leave_open(guarded.server, clients, usable * 65 // 100)

    over = guard.deliver(
        an_alarm_event(state="OK", changed_at=datetime.now(UTC) - timedelta(minutes=9))
    )
    quiet = guard.deliver(a_heartbeat_event())
    leave_open(guarded.server, clients, usable * 40 // 100)
    down = [guard.deliver(a_heartbeat_event(NOW + timedelta(minutes=minute))) for minute in (2, 3)]

    assert (over["kind"], over["restraint"], over["recovered"]) == (
        "observation",
        "not an alarm",
        False,
    )
    assert 60 < over["before"]["utilisation"] < 75
    assert (quiet["kind"], quiet["engaged"]) == ("heartbeat", False)
    assert [(report["kind"], report["recovered"]) for report in down] == [
        ("observation", True),
        ("heartbeat", False),
    ]


@NEWEST
def test_an_alarm_s_ok_above_the_lowest_threshold_ends_no_attempts(guarded: Guarded) -> None:
    guard = with_policy(guarded, a_policy(a_rule(roles=("nobody",))))
    fill(guarded.server, role="app")
    guard.deliver()

    assert guard.deliver(an_alarm_event(state="OK"))["engaged"] is True


def test_genuine_load_is_left_alone_and_called_by_its_name(guarded: Guarded) -> None:
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
def test_when_the_function_must_end_soon_it_says_what_was_done_and_what_was_left(
    guarded: Guarded,
) -> None:
    guard = with_policy(guarded, a_policy(batch_size=1, pause=timedelta(hours=1)))
    fill(guarded.server, role="app")
    report = guard.deliver(seconds_left=7)
    assert (terminated(report), report["outcomes"]["left"]) == (
        1,
        report["verdicts"]["terminate"] - 1,
    )
    assert "stopped early: the function's deadline is near" in report["problems"]
    assert report["after"]["used"] == report["before"]["used"] - 1
    assert report["engaged"] is True


def test_a_server_that_restarts_in_the_middle_leaves_a_partial_report(
    own_postgres: OwnPostgres,
) -> None:
    server = own_postgres()
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    guard = Guarded(server, a_policy(batch_size=1, pause=timedelta(seconds=1)))
    guard.deliver(a_heartbeat_event())
    sessions = len(fill(server, role="app"))
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"

    def restart_after_the_first_batch() -> None:
        wait_until(lambda: server.execute(count) < [(sessions,)])
        server.restart("immediate")

    restart = threading.Thread(target=restart_after_the_first_batch)
    restart.start()
    report = guard.deliver()
    restart.join()
    assert report["kind"] == "remediation"
    assert terminated(report) + report["outcomes"]["unknown"] < report["verdicts"]["terminate"]
    assert report["outcomes"]["left"] > 0
    assert report["problems"][0].startswith("stopped early: the database was lost: ")
    assert "answered afterwards: what was terminated is not known" in report["problems"][1]
    assert (report["reconnected"], report["reconnections"]) == (1, [])
    assert guard.deliver(a_heartbeat_event())["kind"] in ("observation", "heartbeat")


def test_a_server_that_is_gone_afterwards_leaves_a_report_that_says_so(
    own_postgres: OwnPostgres,
) -> None:
    server = own_postgres()
    create_guard_role(server)
    server.execute("CREATE ROLE app LOGIN")
    guard = Guarded(server, a_policy(watch=timedelta(seconds=2)))
    guard.deliver(a_heartbeat_event())
    fill(server, role="app")
    pids = sessions_of_app(server)
    is_watching = (
        "SELECT state = 'idle' AND state_change < clock_timestamp() - interval '0.3 s' FROM "
        f"pg_stat_activity WHERE usename = '{GUARD}'"
    )

    def stop_after_the_batch() -> None:
        wait_until(
            lambda: sessions_of_app(server) != pids and server.execute(is_watching) == [(True,)]
        )
        server.execute(f"ALTER ROLE {GUARD} NOLOGIN")
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (GUARD,)
        )

    stop = threading.Thread(target=stop_after_the_batch)
    stop.start()
    report = guard.deliver(seconds_left=9)
    stop.join()
    assert report["kind"] == "remediation"
    assert terminated(report) > 0
    assert report["after"] is None
    assert report["problems"][-1].startswith("the result could not be verified: ")
    assert (report["seat_held"], report["engaged"]) == (False, True)


@NEWEST
def test_a_session_lost_before_anything_is_done_is_replaced_once(guarded: Guarded) -> None:
    guard = losing_its_session_before(guarded, statement=3)
    fill(guarded.server, role="app")
    report = guard.deliver()
    assert (report["kind"], report["reconnected"]) == ("remediation", 1)
    assert [door["error"] is None for door in report["doors"]] == [True, False, True]


def losing_its_session_before(guarded: Guarded, statement: int) -> Guarded:
    """A guard whose first session is terminated just before it runs its n-th statement."""
    server = guarded.server

    class Dying(connection):
        statements = 0

        def cursor(self, *args: Any, **options: Any) -> Any:
            Dying.statements += 1
            if Dying.statements == statement:
                server.execute("SELECT pg_terminate_backend(%s)", (self.info.backend_pid,))
                wait_until(lambda: not server.has_session(self.info.backend_pid))
            return super().cursor(*args, **options)

    def connect(door: Door) -> connection:
        return psycopg2.connect(
            host=door.host,
            port=door.port,
            user=door.role,
            dbname="postgres",
            async_=True,
            connection_factory=Dying,
        )

    guard = Guarded(server)
    guard.responder = Responder(guard.settings, a_policy(), connect)
    return guard


@NEWEST
def test_sessions_that_cannot_be_read_lock_the_guard_out_and_nothing_is_done(
    guarded: Guarded,
) -> None:
    fill(guarded.server, role="app")
    pids = sessions_of_app(guarded.server)
    guarded.server.execute("REVOKE EXECUTE ON FUNCTION textsend(text) FROM PUBLIC")
    try:
        report = guarded.deliver()
    finally:
        guarded.server.execute("GRANT EXECUTE ON FUNCTION textsend(text) TO PUBLIC")
    assert (report["kind"], report["escalation"]) == (
        "locked_out",
        "the connection to the database was lost",
    )
    assert "permission denied for function textsend" in report["problems"][-1]
    assert sessions_of_app(guarded.server) == pids


@NEWEST
def test_a_pool_that_reopens_what_it_loses_is_left_alone_from_the_next_run_on(
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
def test_people_hear_with_the_first_attempt_of_pools_that_are_larger_than_the_limit_and_in_use(
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
def test_a_process_that_dies_of_a_terminated_session_is_missed(guarded: Guarded) -> None:
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
    assert f'{last["sessions"]} more of application "crashes"' in last["summary"]


@NEWEST
def test_a_login_for_each_use_is_named_with_its_rate_and_its_database(guarded: Guarded) -> None:
    """Ninety logins within what is made a minute, of a database with 27 usable connections."""
    guard = with_policy(guarded, a_policy())
    for _ in range(90):
        guarded.server.connect("app", application_name="no pool").close()
    fill(guarded.server, role="app")
    (look,) = guard.responder._looks
    guard.responder._looks = (replace(look, taken_at=look.taken_at - timedelta(minutes=1)),)
    report = guard.deliver()
    (churn,) = [each for each in report["diagnoses"] if each["cause"] == "no pool"]
    assert 60 <= churn["evidence"]["logins per minute"] <= 150
    assert "logins per minute" in churn["summary"]


@NEWEST
def test_a_warning_says_when_the_database_will_be_full(guarded: Guarded) -> None:
    guard = with_policy(guarded, a_policy())
    for _ in range(24):
        guarded.server.connect("app")
    (look,) = guard.responder._looks
    guard.responder._looks = (replace(look, taken_at=look.taken_at - timedelta(minutes=4)),)
    report = guard.deliver(an_alarm_event(WARNING_ALARM))
    assert 0 < report["minutes_to_full"] < 2
    assert re.search(r"full in about [12] min at this rate", report["headline"])


@contextmanager
def a_pool_that_reopens(server: PostgresServer, sessions: int) -> Iterator[None]:
    """Keeps as many sessions open, as a pool with a minimum size does."""
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
