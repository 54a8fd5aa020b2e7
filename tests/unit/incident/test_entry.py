"""What an incident keeps of a delivery: small whatever the database holds, and clear where all that
is known is that the responder failed.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.core.database.session import Pool
from connection_guard.core.decision.outcome import Reconnection, Result
from connection_guard.core.incident.delivery import Delivery, FailureDelivery, read_delivery
from connection_guard.core.incident.entry import MOST_GROUPS, entry_of
from connection_guard.core.incident.incident import (
    FAILURE,
    Alarm,
    Cause,
    Entry,
    Reopened,
    SessionGroup,
    Usage,
)
from connection_guard.core.policy import Tier
from connection_guard.core.report.report import write_report
from connection_guard.core.report.run import Run
from connection_guard.errors import ForeignEventError
from tests.support.builders import CRITICAL_ALARM, a_session, an_alarm_event
from tests.support.runs import a_remediation, any_runs

NESTED_TOO_DEEPLY = "[" * 200_000  # more than Python's reader of JSON takes
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def an_example(kind: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((EXAMPLES / f"report-{kind}.json").read_text())
    return report


def delivered(condition: str, **more: object) -> Delivery:
    """Lambda's record of an asynchronous invocation, as SNS delivers it."""
    record = {
        "timestamp": "2026-11-20T15:27:38.500Z",
        "requestContext": {
            "requestId": "6fb81a4e-90f1-4e34-8c0c-1a5d8f6a1f1e",
            "functionArn": "arn:aws:lambda:eu-central-1:123456789012:function:responder:$LATEST",
            "condition": condition,
        },
        **more,
    }
    return read_delivery({"Records": [{"Sns": {"Message": json.dumps(record)}}]})


def told(report: dict[str, Any], evidence: str | None = "the key") -> Entry:
    return entry_of(delivered("Success", responsePayload=report), evidence=evidence)


def failed(condition: str = "RetriesExhausted", **more: object) -> Entry:
    delivery = delivered(condition, **more)
    assert isinstance(delivery, FailureDelivery)
    return entry_of(delivery, evidence=delivery.record_key)


def test_a_remediation_s_entry_says_who_was_terminated_by_which_rule_and_that_it_helped() -> None:
    report = an_example("remediation")

    entry = told(report)

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
    assert entry.causes == (Cause(diagnosis["cause"], diagnosis["summary"], diagnosis["advice"]),)
    assert (entry.evidence, entry.headline) == ("the key", report["headline"])


@pytest.mark.parametrize("kind", ["observation", "remediation"])
def test_the_examples_name_the_cause_that_was_made(kind: str) -> None:
    (cause,) = told(an_example(kind)).causes

    assert cause.name == "leak"
    leaked = '87 sessions of application "checkout" (role "shop") fell out of use one after another'
    assert cause.summary.startswith(leaked)


@pytest.mark.parametrize(
    ("used", "target", "below"), [(69, 70.0, True), (70, 70.0, False), (70, None, None)]
)
def test_usage_is_held_against_the_policy_s_target_where_that_is_known(
    used: int, target: float | None, below: bool | None
) -> None:
    report = an_example("observation") | {"target_percent": target}
    report["before"] |= {"used": used, "usable": 100}

    assert told(report).is_below_target is below


def test_what_counts_is_usage_after_the_attempt() -> None:
    report = an_example("remediation") | {"recovered": False}

    assert told(report).is_below_target is True


def test_an_older_responder_s_report_without_a_target_is_understood() -> None:
    report = an_example("observation")
    del report["target_percent"]

    assert (told(report).kind, told(report).is_below_target) == ("observation", None)


def test_of_many_groups_the_largest_are_told_and_all_are_counted() -> None:
    rows = [{"application": f"app{n}"} for n in range(30) for _ in range(n + 1)]
    report = an_example("remediation")
    report["terminated"] = [report["terminated"][0] | row for row in rows]
    report["outcomes"]["terminated"] = len(rows) + 100

    entry = told(report)

    assert [group.application for group in entry.terminated[:2]] == ["app29", "app28"]
    assert len(entry.terminated) == MOST_GROUPS + 1
    assert entry.terminated[-1] == SessionGroup(
        "others", "not listed one by one", "others", "others", None, 310
    )
    assert sum(group.sessions for group in entry.terminated) == len(rows) + 100


def test_only_pools_that_storm_back_are_told_of_their_clients_together() -> None:
    def a_pool(application: str, client: str, terminated: int, reopened: int) -> Reconnection:
        return Reconnection(Pool("shop", application, client), terminated, reopened)

    pools = (
        a_pool("checkout", "10.0.0.1", 20, 19),
        a_pool("checkout", "10.0.0.2", 20, 19),
        a_pool("invoices", "10.0.0.1", 20, 1),
    )

    entry = told(
        write_report(a_remediation(a_session(), terminate=1, reconnections=pools), statement)
    )

    assert entry.reopened == (Reopened("shop", "checkout", 40, 38),)


@pytest.mark.parametrize(
    ("state", "news", "kept"),
    [
        ("ALARM", {}, True),
        ("ALARM", {"is_duplicate": True}, False),
        ("ALARM", {"is_stale": True}, False),
        ("OK", {"is_stale": True}, True),
    ],
)
def test_old_news_of_an_alarm_are_none_but_its_end_is_its_end(
    state: str, news: dict[str, bool], kept: bool
) -> None:
    report = an_example("observation")
    report["event"] |= news
    report["event"]["alarm"]["state"] = state

    assert (told(report).alarm is not None) is kept


def test_a_locked_out_guard_s_entry_says_what_each_door_answered() -> None:
    entry = told(an_example("locked_out"))

    assert entry.problems == (
        'direct door: FATAL: role "connection_guard" is not permitted to log in',
    )
    assert entry.escalation is not None
    assert (entry.before, entry.is_below_target) == (None, None)


@pytest.mark.parametrize("field", ["outcomes", "event", "doors", "diagnoses"])
def test_a_malformed_report_is_a_failure_that_is_told_with_its_headline(field: str) -> None:
    report = an_example("remediation") | (
        {field: None} if field != "event" else {"event": {"key": "only"}}
    )

    entry = told(report)

    assert (entry.kind, entry.headline, entry.evidence) == (FAILURE, report["headline"], "the key")
    assert entry.escalation is not None
    assert "a report of kind remediation is malformed" in entry.escalation


@pytest.mark.parametrize(
    ("condition", "answer", "what"),
    [
        (
            "RetriesExhausted",
            {
                "errorType": "Sandbox.Timedout",
                "errorMessage": "RequestId: 6fb8 Error: Task timed out after 55.00 seconds",
            },
            "the responder ran out of time after 55 s",
        ),
        (
            "RetriesExhausted",
            {"errorMessage": "2026-11-20T15:27:38.500Z 6fb8 Task timed out after 55.03 seconds"},
            "the responder ran out of time after 55.03 s",
        ),
        (
            "RetriesExhausted",
            {
                "errorType": "Runtime.ExitError",
                "errorMessage": "RequestId: 6fb8 Error: Runtime exited with error: signal: killed",
            },
            "the responder was killed: out of memory",
        ),
        (
            "RetriesExhausted",
            {
                "errorType": "Runtime.OutOfMemory",
                "errorMessage": "RequestId: 6fb8 Error: Runtime exited",
            },
            "the responder was killed: out of memory",
        ),
        (
            "RetriesExhausted",
            {
                "errorType": "ConfigurationError",
                "errorMessage": "policy.toml: no rules",
                "stackTrace": ["..."],
            },
            "the responder raised ConfigurationError: policy.toml: no rules",
        ),
        (
            "RetriesExhausted",
            {
                "errorType": "Runtime.ExitError",
                "errorMessage": "RequestId: 6fb8 Error: exit status 1",
            },
            "the responder failed: RequestId: 6fb8 Error: exit status 1",
        ),
        ("RetriesExhausted", "gone", 'the responder failed: "gone"'),
        ("SomethingNew", None, "the responder failed: SomethingNew"),
        ("EventAgeExceeded", None, "the responder did not run within 5 minutes"),
        ("ZeroReservedConcurrency", None, "the responder may not run"),
    ],
)
def test_a_failure_says_what_became_of_the_responder_and_what_to_look_at(
    condition: str, answer: object, what: str
) -> None:
    entry = failed(condition, **({} if answer is None else {"responsePayload": answer}))

    assert (entry.kind, entry.headline) == (FAILURE, what)
    assert entry.escalation is not None
    assert entry.escalation.startswith(f"{what}: ")
    assert len(entry.escalation) > len(what) + 10


@pytest.mark.parametrize(
    ("condition", "error_type", "is_unknown"),
    [
        ("RetriesExhausted", "Runtime.ExitError", True),
        ("RetriesExhausted", "KeyError", True),
        ("RetriesExhausted", None, True),
        ("RetriesExhausted", "ForeignEventError", False),
        ("EventAgeExceeded", None, False),
        ("ZeroReservedConcurrency", None, False),
    ],
)
def test_what_a_killed_run_terminated_is_not_known_and_one_that_never_ran_terminated_nobody(
    condition: str, error_type: str | None, is_unknown: bool
) -> None:
    answer = (
        {"responsePayload": {"errorType": error_type, "errorMessage": "..."}} if error_type else {}
    )

    assert failed(condition, **answer).has_unknown_outcomes is is_unknown


def test_what_a_run_had_in_hand_when_it_lost_the_database_is_not_known() -> None:
    report = an_example("remediation")

    assert not told(report).has_unknown_outcomes
    assert told(report | {"outcomes": report["outcomes"] | {"unknown": 3}}).has_unknown_outcomes
    assert told(report | {"outcomes": None}).has_unknown_outcomes


@pytest.mark.parametrize("at", ["2026-11-20T15:27:37", "yesterday", None])
def test_an_alarm_s_time_that_cannot_be_read_is_not_known(at: str | None) -> None:
    report = an_example("remediation")

    entry = told(report | {"event": report["event"] | {"at": at}})

    assert entry.alarm is not None
    assert (entry.kind, entry.alarm.changed_at) == ("remediation", None)


def test_a_failure_names_the_alarm_that_was_left_undone_or_none_where_it_was_a_heartbeat() -> None:
    fired_at = datetime(2026, 11, 20, 15, 27, tzinfo=UTC)
    over_alarm = failed(requestPayload=an_alarm_event(CRITICAL_ALARM, changed_at=fired_at))
    over_heartbeat = failed(requestPayload={"detail-type": "Scheduled Event"})
    over_nonsense = failed(requestPayload={"Records": [{"Sns": {"Message": NESTED_TOO_DEEPLY}}]})

    assert over_alarm.alarm == Alarm(
        CRITICAL_ALARM.rpartition(":")[2], CRITICAL_ALARM, "ALARM", changed_at=fired_at
    )
    assert over_heartbeat.alarm is None
    assert over_nonsense.alarm is None


@pytest.mark.parametrize(
    "message", [NESTED_TOO_DEEPLY, "[]", "disk full", '{"requestContext": {}}']
)
def test_what_is_no_record_of_lambdas_is_one_clear_error(message: str) -> None:
    with pytest.raises(
        ForeignEventError, match="expected an SNS notification with Lambda's record"
    ):
        read_delivery({"Records": [{"Sns": {"Message": message}}]})


def test_a_failure_s_record_has_one_place_however_often_it_is_delivered() -> None:
    expected = (
        "failures/responder/2026/11/20/152738.500000-6fb81a4e-90f1-4e34-8c0c-1a5d8f6a1f1e.json"
    )

    assert failed().evidence == expected


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(any_runs())
def test_whatever_a_run_comes_to_has_a_small_entry(run: Run) -> None:
    report = json.loads(json.dumps(write_report(run, statement)))

    entry = told(report)

    assert entry.kind == run.kind
    assert sum(group.sessions for group in entry.terminated) == sum(
        outcome.result is Result.TERMINATED for outcome in (run.round.outcomes if run.round else ())
    )
    assert (
        sum(group.sessions for group in entry.spared)
        == (report["verdicts"] or {"spare": 0})["spare"]
    )
    assert (
        len(json.dumps(asdict(entry), default=datetime.isoformat, ensure_ascii=False).encode())
        < 50_000
    )
