"""The first lines of every message say what a person needs at 3 a.m., and only what is so."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connection_guard.core.database.pause import Pause
from connection_guard.core.decision.reason import ReasonCode
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.deployment.reporter_settings import ApplicationOwner, Owner
from connection_guard.core.incident.circumstances import Deployment, DeploymentKind, RdsEvent
from connection_guard.core.incident.delivery import GuardAlarmDelivery
from connection_guard.core.incident.entry import DiagnosedCause, Entry, Usage
from connection_guard.core.incident.report_entry import entry_of
from connection_guard.core.notification.email import subject_of
from connection_guard.core.notification.owner import owner_of
from connection_guard.core.notification.summary import Summary, summary_of
from connection_guard.core.policy import Tier
from tests.support.builders import NOW
from tests.support.reporter.incidents import (
    LEAK,
    OPENED,
    a_context,
    a_group,
    a_pool_that_reopens,
    a_recovery,
    an_alarm,
    an_attempt_that_is_undone,
    an_entry,
    an_escalation,
    an_incident,
    given_up,
)
from tests.support.reporter.views import a_view

FULL = Usage(97, 97)
SLACK_ID = "S0123ABCD"
OK = "OK"
CHECKOUTS = ApplicationOwner("check*", Owner("team-checkout", SLACK_ID))
MASTER = "no door opened: log in as the master user and end idle sessions by hand"
GRANT = "run, as the master user: GRANT pg_signal_backend TO connection_guard;"


def summary(*entries: Entry, **known: object) -> Summary:
    return summary_of(a_view(an_incident(*entries), **known))  # type: ignore[arg-type]


def test_a_full_database_whose_pool_reopens_reads_like_this() -> None:
    deployed = Deployment(
        OPENED - timedelta(minutes=2), DeploymentKind.ECS_SERVICE, "checkout", "ci"
    )
    usage = tuple(
        (OPENED + timedelta(minutes=minute - 171), 30.0 + (minute > 150) * 70)
        for minute in range(180)
    )
    context = a_context(events=(), usage=usage, deployments=(deployed,))
    view = a_view(
        an_incident(*given_up(attempts=10), circumstances=context),
        now=OPENED + timedelta(minutes=9),
        application_owners=(CHECKOUTS,),
        environment="production",
    )

    assert summary_of(view) == Summary(
        first_line=(
            "orders-prod is out of connections: 97 of 97 in use. Connection Guard freed 30, 24 "
            "came back at once. Action needed."
        ),
        do_now=(
            "Restart or scale down checkout (87 of 97 connections, all from 10.0.1.10): it reopens "
            "what is ended."
        ),
        why=(
            '30 sessions of application "checkout" (role "shop") were terminated, and the pool '
            "reopened 24. This began 2 min after the deployment of checkout."
        ),
        guard=(
            "Attempt 10 of 10, stopped because the pool reopens. It starts again with the next "
            "alarm. New clients have been refused since 03:00 UTC."
        ),
        usage="▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃████ 3 h · for 9 min · production / eu-central-1",
        owner="team-checkout",
    )
    assert subject_of(view) == (
        "[ACTION REQUIRED] orders-prod: 97 of 97 connections, the guard gave up"
    )


@pytest.mark.parametrize(
    ("entries", "first_line"),
    [
        (
            [an_entry(alarm=an_alarm(), after=Usage(90, 97))],
            (
                "orders-prod is running out of connections: 90 of 97 in use. Connection Guard "
                "freed 30. It is still at work: no action needed yet."
            ),
        ),
        (
            [
                an_entry(
                    kind="observation",
                    alarm=an_alarm(Tier.WARNING),
                    tier=Tier.WARNING,
                    before=Usage(80, 97),
                    would_terminate=(a_group(8),),
                    restraint=Restraint.OBSERVING,
                )
            ],
            (
                "orders-prod is running low on connections: 80 of 97 in use. Connection Guard "
                "would have freed 8. It only observes: no action needed yet."
            ),
        ),
        (
            [
                an_entry(
                    kind="observation",
                    alarm=an_alarm(),
                    before=FULL,
                    would_terminate=(a_group(8),),
                    restraint=Restraint.OBSERVING,
                )
            ],
            (
                "orders-prod is out of connections: 97 of 97 in use. Connection Guard would have "
                "freed 8. It only observes: decide whether to act."
            ),
        ),
        (
            [an_entry(alarm=an_alarm(), is_below_target=True)],
            (
                "orders-prod is back below target: 67 of 97 in use. Connection Guard freed 30. No "
                "action needed."
            ),
        ),
        (
            [an_entry(alarm=an_alarm()), an_escalation(1), an_entry(2, is_below_target=True)],
            (
                "orders-prod is back below target: 67 of 97 in use. Connection Guard freed 90. "
                "Action no longer needed."
            ),
        ),
        (
            [an_entry(alarm=an_alarm()), a_recovery(9)],
            (
                "orders-prod recovered after 9 min, with 50 of 97 connections in use. Connection "
                "Guard freed 30. No action needed."
            ),
        ),
        (
            [
                an_entry(
                    0,
                    "locked_out",
                    alarm=an_alarm(),
                    before=None,
                    escalation=MASTER,
                    terminated=(),
                )
            ],
            (
                "orders-prod is running out of connections: usage is not known. Connection Guard "
                "cannot get in. Action needed."
            ),
        ),
        (
            [
                an_entry(alarm=an_alarm()),
                an_entry(
                    1,
                    "failure",
                    headline="the responder ran out of time after 55 s",
                    before=None,
                    escalation="raised",
                    has_unknown_outcomes=True,
                ),
            ],
            (
                "orders-prod is running out of connections: 67 of 97 in use. Connection Guard "
                "freed 30, perhaps more. The responder ran out of time after 55 s. Action needed."
            ),
        ),
        (
            [an_entry(0, "preflight_failed", tier=None, before=Usage(9, 97), escalation=GRANT)],
            (
                "orders-prod is unprotected: Connection Guard lacks a privilege. 9 of 97 "
                "connections in use. Action needed."
            ),
        ),
    ],
    ids=[
        "critical",
        "warning",
        "observes",
        "recovering",
        "no longer",
        "resolved",
        "locked out",
        "failed",
        "may not act",
    ],
)
def test_the_first_line_says_the_state_what_the_guard_did_and_whether_somebody_has_to_act(
    entries: list[Entry], first_line: str
) -> None:
    assert summary(*entries).first_line == first_line


def test_more_than_all_connections_are_all() -> None:
    over = an_entry(alarm=an_alarm(), before=Usage(98, 97), after=Usage(98, 97))

    assert summary(over).first_line.startswith(
        "orders-prod is out of connections: all 97 in use (the guard came in on the reserve). "
    )


def test_what_begins_again_says_so_in_the_first_line() -> None:
    def alarm(minute: int, state: str) -> Entry:
        return an_entry(minute, "observation", alarm=an_alarm(state=state), before=FULL)

    states = ("ALARM", "OK", "ALARM", "OK", "ALARM")
    entries = [alarm(minute, state) for minute, state in enumerate(states)]

    assert summary(*entries).first_line.startswith(
        "orders-prod is out of connections again, third time: 97 of 97 in use."
    )
    assert "again" not in summary(*entries[:1]).first_line


def test_who_has_to_act_is_given_the_statement_to_run() -> None:
    unfit = an_entry(0, "preflight_failed", before=FULL, escalation=GRANT, causes=(LEAK,))

    assert summary(unfit).do_now == f"R{GRANT[1:]}"
    assert summary(unfit).guard == (
        "It tries again every minute. New clients have been refused since 03:00 UTC."
    )


@pytest.mark.parametrize(
    ("cause", "do_now"),
    [
        (
            replace(LEAK, role="shop", application="invoices", sessions=30),
            "Restart invoices (30 of 97 connections): its pool has lost track of them.",
        ),
        (
            replace(
                LEAK,
                name="connection storm",
                role="shop",
                application="invoices",
                sessions=40,
                clients=3,
                largest_client="10.0.1.10",
            ),
            (
                "Scale down invoices (40 of 97 connections, from 3 clients, most from 10.0.1.10): "
                "it opened them all at once."
            ),
        ),
        (
            DiagnosedCause(
                "blocking chain", "waits", "SELECT pg_terminate_backend(7) frees them now"
            ),
            "SELECT pg_terminate_backend(7) frees them now.",
        ),
        (
            replace(LEAK, role="shop", application="", sessions=30),
            (
                "Restart what role shop runs unnamed (30 of 97 connections): its pool has lost "
                "track of them."
            ),
        ),
    ],
    ids=["leak", "storm", "command", "unnamed"],
)
def test_what_to_do_now_is_the_application_to_restart_or_the_exact_command(
    cause: DiagnosedCause, do_now: str
) -> None:
    assert summary(an_escalation(0, causes=(cause,))).do_now == do_now


@pytest.mark.parametrize(
    "entries",
    [
        [an_entry(alarm=an_alarm())],
        [an_escalation(0, alarm=an_alarm()), an_entry(1, is_below_target=True)],
        [an_escalation(0, alarm=an_alarm()), a_recovery(1)],
    ],
    ids=["the guard works", "recovering", "resolved"],
)
def test_there_is_nothing_to_do_where_nobody_has_to_act(entries: list[Entry]) -> None:
    assert summary(*entries).do_now is None


@pytest.mark.parametrize(
    ("entry", "guard"),
    [
        (
            an_escalation(0, attempt=3, escalation_code=ReasonCode.POOLS_REOPEN, is_engaged=True),
            (
                "Attempt 3, but the pool reopens. It tries again every minute until usage is below "
                "the target."
            ),
        ),
        (
            an_escalation(0, attempt=5, escalation_code=ReasonCode.ATTEMPTS_USED),
            (
                "Attempt 5 of 5, stopped because usage stayed above the target. It starts again "
                "with the next alarm."
            ),
        ),
        (
            an_escalation(
                0, "the plan would terminate 60", attempt=1, escalation_code=ReasonCode.TOO_MANY
            ),
            (
                "Attempt 1, stopped because the plan would terminate 60. It starts again with the "
                "next alarm."
            ),
        ),
        (
            an_entry(0, "observation", restraint=Restraint.OBSERVING),
            "It only observes, as the policy says.",
        ),
        (
            an_entry(0, "observation", restraint=Restraint.PAUSED),
            "It is paused by role connection_guard_paused, and only observes.",
        ),
    ],
    ids=["reopens", "attempts", "refused", "observes", "paused"],
)
def test_the_guard_says_what_it_did_and_what_it_will_do_next(entry: Entry, guard: str) -> None:
    assert summary(replace(entry, before=Usage(90, 97))).guard == guard


def test_new_clients_are_refused_only_since_the_database_has_been_full() -> None:
    free = Usage(90, 97)
    looks = [
        an_entry(0, before=FULL, after=FULL),
        an_entry(1, before=FULL, after=free),
        an_entry(2, before=FULL, after=FULL),
        an_entry(3, "locked_out", before=None, escalation=MASTER),
    ]

    assert "since 03:02 UTC." in str(summary(*looks).guard)
    assert "refused" not in str(summary(*looks[:2]).guard)


def test_of_a_resolved_incident_a_line_and_what_to_change_is_left() -> None:
    entries = [an_entry(alarm=an_alarm()), a_recovery(9)]

    assert summary(*entries).parts == (("Change", "Give the pool of invoices an idle timeout."),)
    assert summary(*entries).usage is None


@pytest.mark.parametrize(
    ("minutes", "named"), [(14, True), (16, False)], ids=["shortly before", "long before"]
)
def test_the_cause_names_what_rds_reported_shortly_before(minutes: int, named: bool) -> None:
    event = RdsEvent(OPENED - timedelta(minutes=minutes), "orders-prod", "failover completed")
    incident = an_incident(circumstances=a_context(events=(event,)))

    why = str(summary_of(a_view(incident)).why)

    assert ("This began 14 min after RDS reported: failover completed." in why) == named


@pytest.mark.parametrize(
    ("minutes", "named"), [(15, True), (16, False)], ids=["shortly before", "long before"]
)
def test_the_cause_names_a_deployment_shortly_before(minutes: int, named: bool) -> None:
    deployed_at = OPENED - timedelta(minutes=minutes)
    deployed = Deployment(deployed_at, DeploymentKind.LAMBDA_CODE, "checkout-prod", "ci")
    context = a_context(events=(), deployments=(deployed,))

    why = str(summary_of(a_view(an_incident(*given_up(attempts=3), circumstances=context))).why)

    assert why.endswith(" This began 15 min after the deployment of checkout-prod.") == named
    assert ("deployment" in why) == named


def about_the_guard(minute: float, what: str, description: str, state: str = "ALARM") -> Entry:
    """Return a change of one of the guard's own alarms, as it is delivered."""
    name = f"connection-guard-orders-prod-{what}"
    delivery = GuardAlarmDelivery(
        name,
        f"arn:{name}",
        "orders-prod",
        f"orders-prod: {description}",
        AlarmState(state),
        state_before="OK" if state == "ALARM" else "ALARM",
        reason="",
        changed_at=OPENED + timedelta(minutes=minute),
        record={},
    )
    return entry_of(delivery, evidence=None)


SILENT = "No heartbeat for 3 minutes: the responder is not running. See its log."


@pytest.mark.parametrize(
    ("entries", "first_line", "subject", "do_now"),
    [
        (
            [about_the_guard(0, "unguarded", SILENT)],
            "orders-prod may be unprotected: no heartbeat for 3 minutes. Action needed.",
            "[ACTION REQUIRED] orders-prod may be unprotected: no heartbeat for 3 minutes",
            "The responder is not running. See its log.",
        ),
        (
            [about_the_guard(0, "limit", "A role has nearly reached its limit. Raise it.")],
            "orders-prod has an alarm: a role has nearly reached its limit. Action needed.",
            "[ACTION REQUIRED] orders-prod has an alarm: a role has nearly reached its limit",
            "Raise it.",
        ),
        (
            [an_entry(0, "locked_out", tier=None, before=None, escalation=MASTER)],
            "orders-prod is unprotected: Connection Guard cannot get in. Action needed.",
            "[ACTION REQUIRED] orders-prod is unprotected: Connection Guard cannot get in",
            f"N{MASTER[1:]}.",
        ),
        (
            [
                an_entry(
                    0,
                    "failure",
                    headline="the responder ran out of time",
                    tier=None,
                    before=None,
                    escalation="the responder ran out of time: see its log",
                    has_unknown_outcomes=True,
                )
            ],
            (
                "orders-prod may be unprotected: the responder ran out of time. It is not known "
                "whether sessions were terminated. Action needed."
            ),
            "[ACTION REQUIRED] orders-prod may be unprotected: the responder ran out of time",
            "See its log.",
        ),
    ],
    ids=["silent", "limit", "locked out", "failed"],
)
def test_the_guard_s_own_trouble_is_said_in_the_first_line_and_what_to_do_about_it_below(
    entries: list[Entry], first_line: str, subject: str, do_now: str
) -> None:
    view = a_view(an_incident(*entries))

    assert summary_of(view).first_line == first_line
    assert subject_of(view) == subject
    assert summary_of(view).do_now == do_now


def test_the_end_of_the_guard_s_own_trouble_says_what_it_was() -> None:
    ended = [about_the_guard(0, "unguarded", SILENT), about_the_guard(5, "unguarded", "", OK)]

    assert summary(*ended).first_line == (
        "orders-prod recovered after 5 min; the trouble was: no heartbeat for 3 minutes. No action "
        "needed."
    )


def test_an_alarm_about_the_guard_is_shown_only_while_it_is_on() -> None:
    began = an_entry(0, alarm=an_alarm())
    on = about_the_guard(1, "unguarded", SILENT)
    ended = about_the_guard(2, "unguarded", SILENT, OK)

    silent = summary(began, on)
    assert silent.first_line.endswith(
        "Connection Guard freed 30. No heartbeat for 3 minutes. Action needed."
    )
    assert silent.do_now == "The responder is not running. See its log."
    assert "every minute" not in str(silent.guard)
    assert "heartbeat" not in summary(began, on, ended).first_line


def test_a_paused_guard_says_so_in_the_first_line() -> None:
    paused = an_entry(
        0,
        "observation",
        alarm=an_alarm(),
        before=FULL,
        would_terminate=(a_group(8),),
        restraint=Restraint.PAUSED,
    )

    assert summary(paused).first_line.endswith(
        "Connection Guard would have freed 8. It is paused: decide whether to act."
    )


def test_a_pause_with_an_end_says_until_when_and_who_paused() -> None:
    pause = Pause(NOW + timedelta(hours=2), "alice: load test")
    paused = an_entry(0, "observation", alarm=an_alarm(), restraint=Restraint.PAUSED, pause=pause)

    assert summary(paused).first_line.endswith(
        "It is paused until 2026-11-20 05:00 UTC: decide whether to act."
    )
    assert str(summary(paused).guard).startswith(
        "It is paused until 2026-11-20 05:00 UTC (alice: load test), and only observes."
    )


def test_a_plan_that_was_refused_is_no_observation() -> None:
    refused = an_entry(
        0,
        "observation",
        alarm=an_alarm(),
        would_terminate=(a_group(60),),
        restraint=Restraint.REFUSED,
        escalation="the plan would terminate 60",
    )

    assert summary(refused).first_line.endswith(
        "Connection Guard would have freed 60, but was not allowed to. Action needed."
    )


@pytest.mark.parametrize(
    ("application", "owner"),
    [
        ("checkout", Owner("team-checkout", SLACK_ID)),
        ("Checkout", Owner("team-orders")),
        ("invoices", Owner("team-orders")),
    ],
)
def test_the_owner_of_the_application_to_restart_wins_over_the_database_s(
    application: str, owner: Owner
) -> None:
    cause = replace(a_pool_that_reopens(), application=application)
    others = ApplicationOwner("*checkout*", Owner("somebody else"))
    view = a_view(
        an_incident(an_escalation(0, causes=(cause,))),
        application_owners=(CHECKOUTS, others),
        owner=Owner("team-orders"),
    )

    assert owner_of(view) == owner
    assert summary_of(view).owner == owner.name


def test_where_the_guard_itself_is_in_trouble_the_database_s_owner_is_to_act() -> None:
    reopens = an_attempt_that_is_undone(0)
    locked_out = an_entry(1, "locked_out", before=None, escalation=MASTER)
    view = a_view(
        an_incident(reopens, locked_out), application_owners=(CHECKOUTS,), owner=Owner("dba", "U42")
    )

    assert owner_of(view) == Owner("dba", "U42")
    assert summary_of(view).do_now == f"N{MASTER[1:]}."
