"""What an incident keeps of a Report: small for any content of the database."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.core.database.pause import Pause
from connection_guard.core.database.session import Pool
from connection_guard.core.decision.outcome import Reconnection, Result
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.incident.entry import (
    FAILURE,
    DiagnosedCause,
    Entry,
    Reopened,
    SessionGroup,
    Usage,
)
from connection_guard.core.incident.report_entry import MOST_GROUPS, entry_of
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.report import write_report
from connection_guard.core.report.run import Run
from tests.support.builders import a_session
from tests.support.reporter.deliveries import a_report, delivered
from tests.support.runs import a_remediation, any_runs


def entry_from(report: dict[str, Any], evidence: str | None = "the key") -> Entry:
    return entry_of(delivered("Success", responsePayload=report), evidence=evidence)


def test_a_pause_is_kept_typed() -> None:
    pause = {"until": "2026-11-20T05:00:00+00:00", "note": "alice: load test"}
    report = a_report("observation")

    assert entry_from(report).pause is None
    assert entry_from(report | {"pause": pause}).pause == Pause(
        datetime(2026, 11, 20, 5, tzinfo=UTC), "alice: load test"
    )


def test_a_remediation_s_entry_says_who_was_terminated_by_which_rule_and_that_it_helped() -> None:
    report = a_report("remediation")

    entry = entry_from(report)

    assert (entry.kind, entry.tier, entry.attempt) == ("remediation", Tier.CRITICAL, 1)
    assert (entry.before, entry.after, entry.is_below_target) == (
        Usage(97, 97),
        Usage(67, 97),
        True,
    )
    assert [(group.sessions, group.rule, group.application) for group in entry.terminated] == [
        (24, "stale idle", "checkout"),
        (6, "idle in transaction", "invoices"),
    ]
    assert sum(group.sessions for group in entry.spared) == report["verdicts"]["spare"]
    assert entry.alarm is not None
    assert (entry.alarm.state, entry.alarm.tier) == ("ALARM", Tier.CRITICAL)
    (diagnosis,) = report["diagnoses"]
    assert entry.causes == (
        DiagnosedCause(
            diagnosis["cause"],
            diagnosis["summary"],
            diagnosis["advice"],
            sessions=87,
            role="shop",
            application="checkout",
            clients=1,
            largest_client="127.0.0.1",
        ),
    )
    assert (entry.evidence, entry.headline) == ("the key", report["headline"])


@pytest.mark.parametrize("kind", ["observation", "remediation"])
def test_the_examples_name_the_cause_that_was_made(kind: str) -> None:
    (cause,) = entry_from(a_report(kind)).causes

    assert cause.name == "leak"
    leaked = '87 sessions of application "checkout" (role "shop") fell out of use one after another'
    assert cause.summary.startswith(leaked)


@pytest.mark.parametrize(
    ("used", "target", "below"), [(69, 70.0, True), (70, 70.0, False), (70, None, None)]
)
def test_usage_is_held_against_the_policy_s_target_where_that_is_known(
    used: int, target: float | None, below: bool | None
) -> None:
    report = a_report("observation") | {"target_percent": target}
    report["before"] |= {"used": used, "usable": 100}

    assert entry_from(report).is_below_target is below


def test_what_counts_is_usage_after_the_attempt() -> None:
    report = a_report("remediation") | {"recovered": False}

    assert entry_from(report).is_below_target is True


def test_an_older_responder_s_report_without_a_target_is_understood() -> None:
    report = a_report("observation")
    del report["target_percent"]

    assert (entry_from(report).kind, entry_from(report).is_below_target) == ("observation", None)


def test_of_many_groups_the_largest_are_named_and_all_are_counted() -> None:
    rows = [{"application": f"app{n}"} for n in range(30) for _ in range(n + 1)]
    report = a_report("remediation")
    report["terminated"] = [report["terminated"][0] | row for row in rows]
    report["outcomes"]["terminated"] = len(rows) + 100

    entry = entry_from(report)

    assert [group.application for group in entry.terminated[:2]] == ["app29", "app28"]
    assert len(entry.terminated) == MOST_GROUPS + 1
    assert entry.terminated[-1] == SessionGroup(
        "others", "not listed one by one", "others", "others", None, 310
    )
    assert sum(group.sessions for group in entry.terminated) == len(rows) + 100


def test_only_pools_that_reopen_at_once_are_kept_with_their_clients_together() -> None:
    def a_pool(application: str, client: str, reopened: int, *, reopens: bool) -> dict[str, Any]:
        return {
            "role": "shop",
            "application": application,
            "client": client,
            "terminated": 20,
            "reopened": reopened,
            "reopens": reopens,
        }

    pools = [
        a_pool("checkout", "10.0.0.1", 19, reopens=True),
        a_pool("checkout", "10.0.0.2", 19, reopens=True),
        a_pool("invoices", "10.0.0.1", 1, reopens=False),
    ]

    entry = entry_from(a_report("remediation", reconnections=pools))

    assert entry.reopened == (Reopened("shop", "checkout", 40, 38),)


def test_what_the_responder_writes_of_pools_and_reasons_is_read() -> None:
    def a_pool(application: str, reopened: int) -> Reconnection:
        return Reconnection(Pool("shop", application, "10.0.0.1"), 20, reopened)

    pools = (a_pool("checkout", 19), a_pool("invoices", 1))
    run = a_remediation(a_session(), terminate=1, reconnections=pools)
    reason = Reason(ReasonCode.DATABASE_LOST)

    entry = entry_from(write_report(replace(run, escalation=reason), statement))

    assert entry.reopened == (Reopened("shop", "checkout", 20, 19),)
    assert entry.reason == ReasonCode.DATABASE_LOST


def test_an_entry_says_whether_the_guard_continues_what_restrains_it_and_who_is_refused() -> None:
    report = a_report("observation", engaged=True, restraint="pools reopen")
    report["before"] |= {"refused_a_login": True}
    entry = entry_from(report)

    assert (entry.is_engaged, entry.restraint, entry.refused_a_login) == (
        True,
        "pools reopen",
        True,
    )
    report["before"] |= {"refused_a_login": False}
    assert not entry_from(report | {"engaged": False}).is_engaged
    assert not entry_from(report).refused_a_login


def test_a_cause_that_names_no_application_is_kept_without_one() -> None:
    report = a_report("observation")
    report["diagnoses"][0]["evidence"] = {"blockers": 1}

    (cause,) = entry_from(report).causes

    assert (cause.sessions, cause.application, cause.clients) == (87, None, 0)


def test_an_older_responder_s_report_names_no_pool_that_reopens_and_no_reason() -> None:
    report = a_report("remediation", escalation="attempts have run out")
    report.pop("escalation_code", None)
    row = {"role": "shop", "application": "checkout", "client": None}
    report["reconnections"] = [{**row, "terminated": 20, "reopened": 19}]

    entry = entry_from(report)

    assert (entry.kind, entry.reopened) == ("remediation", ())
    assert (entry.escalation_code, entry.reason) == (None, "attempts have run out")


def test_a_report_s_reason_is_its_code_and_not_its_text() -> None:
    report = a_report("remediation", escalation="still at 99 %", escalation_code="attempts")

    entry = entry_from(report)

    assert (entry.escalation, entry.reason) == ("still at 99 %", "attempts")


def test_what_an_older_responder_calls_a_pulse_is_a_heartbeat() -> None:
    assert entry_from(a_report("observation") | {"kind": "pulse"}).kind == Kind.HEARTBEAT


@pytest.mark.parametrize(
    ("state", "news", "kept"),
    [
        ("ALARM", {}, True),
        ("ALARM", {"is_duplicate": True}, False),
        ("ALARM", {"is_stale": True}, False),
        ("OK", {"is_stale": True}, True),
    ],
)
def test_old_news_of_an_alarm_does_not_count_but_its_end_does(
    state: str, news: dict[str, bool], kept: bool
) -> None:
    report = a_report("observation")
    report["event"] |= news
    report["event"]["alarm"]["state"] = state

    assert (entry_from(report).alarm is not None) is kept


def test_a_locked_out_guard_s_entry_says_what_each_door_answered() -> None:
    entry = entry_from(a_report("locked_out"))

    assert entry.problems == (
        'direct door: FATAL: role "connection_guard" is not permitted to log in',
    )
    assert entry.escalation is not None
    assert (entry.before, entry.is_below_target) == (None, None)


@pytest.mark.parametrize("field", ["outcomes", "event", "doors", "diagnoses"])
def test_a_malformed_report_is_a_failure_that_shows_its_headline(field: str) -> None:
    report = a_report("remediation") | (
        {field: None} if field != "event" else {"event": {"key": "only"}}
    )

    entry = entry_from(report)

    what = "a report of kind remediation is malformed"
    assert (entry.kind, entry.headline, entry.evidence) == (FAILURE, what, "the key")
    assert entry.escalation is not None
    assert entry.escalation.startswith(f"{what} (")
    assert entry.escalation.endswith(f": {report['headline']}")


def test_what_a_run_had_in_hand_when_it_lost_the_database_is_not_known() -> None:
    report = a_report("remediation")

    assert not entry_from(report).has_unknown_outcomes
    assert entry_from(
        report | {"outcomes": report["outcomes"] | {"unknown": 3}}
    ).has_unknown_outcomes
    assert entry_from(report | {"outcomes": None}).has_unknown_outcomes


@pytest.mark.parametrize("at", ["2026-11-20T15:27:37", "yesterday", None])
def test_an_alarm_s_time_that_cannot_be_read_is_not_known(at: str | None) -> None:
    report = a_report("remediation")

    entry = entry_from(report | {"event": report["event"] | {"at": at}})

    assert entry.alarm is not None
    assert (entry.kind, entry.alarm.changed_at) == ("remediation", None)


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(any_runs())
def test_the_entry_of_any_run_is_small(run: Run) -> None:
    report = json.loads(json.dumps(write_report(run, statement)))

    entry = entry_from(report)

    assert entry.kind == run.kind
    assert sum(group.sessions for group in entry.terminated) == sum(
        o.result is Result.TERMINATED for o in (run.round.outcomes if run.round else ())
    )
    assert (
        sum(group.sessions for group in entry.spared)
        == (report["verdicts"] or {"spare": 0})["spare"]
    )
    assert (
        len(json.dumps(asdict(entry), default=datetime.isoformat, ensure_ascii=False).encode())
        < 50_000
    )
