"""What keeps the responder from terminating anything, and what the Report says about it."""

from collections.abc import Callable
from typing import Any

import pytest

from connection_guard.core.policy import Mode, Tier
from connection_guard.errors import ConfigurationError
from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import NEWEST
from tests.integration.responder.responder_actions import (
    is_gone,
    sessions_of_app,
    terminated,
    with_policy,
)
from tests.support.builders import (
    a_heartbeat_at,
    a_heartbeat_event,
    a_policy,
    an_alarm_event,
)
from tests.support.guarded import GUARD, Guarded, fill


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
def test_a_missing_privilege_is_named_with_the_grant_that_adds_it(
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


def test_that_the_guard_can_act_again_is_reported_once(
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
            "limits.most_per_hour: 2 were terminated within the last hour",
        ),
        (paused, "paused", "role connection_guard_paused is granted to the guard's role"),
        (observing, "observing", "the policy only observes at critical"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_restraint_stops_the_whole_run_and_the_report_names_it(
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
def test_a_refused_plan_requires_action_at_once_and_heartbeats_do_not_try_again(
    guarded: Guarded,
) -> None:
    guard = refuse_above_a_quarter(guarded)
    fill(guarded.server, role="app")
    assert "limits.refuse_above" in guard.deliver()["escalation"]
    kinds = [guard.deliver(a_heartbeat_at(minute))["kind"] for minute in range(1, 5)]
    assert kinds == ["heartbeat"] * 4


@NEWEST
def test_a_target_that_would_never_end_the_warning_is_refused_before_the_first_event(
    server: PostgresServer,
) -> None:
    with pytest.raises(
        ConfigurationError, match=r"target: 75 is not below the warning alarm at 75 %"
    ):
        Guarded(server, a_policy(target_percent=75))


def test_every_report_shows_a_pause_while_it_lasts(guarded: Guarded) -> None:
    fill(guarded.server, role="app")
    paused(guarded)
    guarded.server.execute(
        "ALTER ROLE connection_guard_paused VALID UNTIL '2099-01-01 05:00 UTC'; "
        "COMMENT ON ROLE connection_guard_paused IS 'alice: load test'"
    )
    words = "paused until 2099-01-01 05:00 UTC (alice: load test)"

    reports = [guarded.deliver(), guarded.deliver(a_heartbeat_at(1))]

    for report in reports:
        assert report["pause"] == {"until": "2099-01-01T05:00:00+00:00", "note": "alice: load test"}
        assert f"; {words}; nothing terminated (" in report["headline"]
        assert report["explanation"].startswith(f"{words}: role connection_guard_paused")

    guarded.server.execute("ALTER ROLE connection_guard_paused VALID UNTIL '2020-01-01'")
    report = guarded.deliver(a_heartbeat_at(2))
    assert (report["kind"], report["pause"]) == ("remediation", None)


@NEWEST
def test_a_pause_costs_no_attempts(guarded: Guarded) -> None:
    guard = with_policy(guarded, a_policy(attempts=2))
    fill(guarded.server, role="app")
    guarded.server.execute(
        f"CREATE ROLE connection_guard_paused; GRANT connection_guard_paused TO {GUARD}"
    )
    reports = [
        guard.deliver(),
        *(guard.deliver(a_heartbeat_at(m)) for m in range(1, 5)),
    ]
    assert [(report["kind"], report["restraint"], report["escalation"]) for report in reports] == [
        ("observation", "paused", None)
    ] * 5
    guarded.server.execute(f"REVOKE connection_guard_paused FROM {GUARD}")
    assert terminated(guard.deliver(a_heartbeat_at(6))) > 0
