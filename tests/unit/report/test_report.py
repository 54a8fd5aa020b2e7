"""The Report holds a run as its schema says, in at most 200 KB for every database."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.door import DoorAttempt, DoorName
from connection_guard.core.database.session import Pool, Session, SessionState
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.outcome import Reconnection, Result
from connection_guard.core.decision.plan import Plan, Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.diagnosis.diagnose import diagnose
from connection_guard.core.policy import Action
from connection_guard.core.report.evidence_format import unpack_evidence
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.report import write_report
from connection_guard.core.report.run import Run
from connection_guard.core.report.wording import worded
from tests.support.builders import a_measurement, a_session, a_snapshot
from tests.support.runs import a_crowd, a_plan, a_remediation, a_run, an_alarm, any_runs

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "report.schema.json").read_text())
NO_FIGURES = dict.fromkeys(("used", "usable", "chosen", "candidates"), 0)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def written(run: Run) -> dict[str, Any]:
    """The report as its readers get it, as the schema says, and within its bytes however it is
    spelled.
    """
    report = write_report(run, statement)
    text = json.dumps(report, allow_nan=False)
    assert len(text) <= 200_000
    assert len(json.dumps(report, ensure_ascii=False).encode()) <= 200_000
    read: dict[str, Any] = json.loads(text)
    Draft202012Validator(SCHEMA).validate(read)
    return read


def an_observation(
    *sessions: Session, restraint: Restraint, would_terminate: int = 0, **changes: Any
) -> Run:
    before = a_snapshot(*sessions)
    plan = a_plan(before, terminate=would_terminate, restraint=restraint)
    return a_run(
        Kind.OBSERVATION, measurement=before.measurement, before=before, plan=plan, **changes
    )


def idle_sessions(count: int) -> list[Session]:
    return [a_session(idle_for=n * MINUTE) for n in range(count)]


@given(any_runs())
def test_any_run_fits_and_is_as_the_schema_says(run: Run) -> None:
    written(run)


def test_a_database_full_of_hostile_names_fits() -> None:
    random = Random(0)  # noqa: S311 - the same hostility every time

    def hostile(n: int) -> str:
        return f"{n:05}" + "\x01" * 58

    sessions = [
        a_session(
            role=hostile(n),
            application=hostile(n),
            database=hostile(n),
            query="😀" + random.randbytes(100).hex(),
            proxied=n % 2 > 0,
        )
        for n in range(5000)
    ]
    limits = tuple(ConnectionLimit(LimitOwner.ROLE, hostile(n), 1, 1) for n in range(5000))
    run = a_remediation(
        *sessions, terminate=1000, results=(*[Result.TERMINATED] * 500, *[Result.LEFT] * 500)
    )
    assert run.round is not None
    measurement = replace(
        run.round.before.measurement,
        limits=limits,
        other_backends={hostile(n): 1 for n in range(1000)},
        sessions_by_state={},
    )
    run = replace(
        run,
        event=an_alarm(reason="😀" * 100_000),
        round=replace(
            run.round,
            before=replace(run.round.before, measurement=measurement),
            after=measurement,
            reconnections=tuple(
                Reconnection(Pool(hostile(n), hostile(n), "10.0.0.1"), 1, 1) for n in range(1000)
            ),
        ),
        problems=(Reason(ReasonCode.NOT_VERIFIED, {"error": "\x01" * 100_000}),) * 1000,
        doors=(DoorAttempt(DoorName.DIRECT, False, 1, 0.1, "é" * 100_000),) * 1000,
    )
    report = written(run)
    for name in (
        "terminated",
        "other_outcomes",
        "spared",
        "spared_of_proxy",
        "reconnections",
        "doors",
        "problems",
    ):
        assert report[name], name
        assert report["omitted"][name] > 0, name
    assert len(report["terminated"]) + report["omitted"]["terminated"] == 500
    assert report["evidence"]["sessions"] > 0
    assert report["evidence"]["omitted"] > 0
    assert report["before"]["limits_near_full_omitted"] == 4990
    assert sum(report["after"]["other_backends"].values()) == 1000


def test_a_large_database_is_told_whole() -> None:
    report = written(a_remediation(*a_crowd(5000), terminate=100, usable=5000))
    assert len(report["terminated"]) == 100
    assert not any(report["omitted"].values())
    assert report["evidence"]["omitted"] == 0


def test_names_are_told_as_they_are() -> None:
    name = "\x01" * 63
    report = written(a_remediation(a_session(role=name, application="😀" * 15 + "é"), terminate=1))
    assert report["terminated"][0]["role"] == name
    assert report["terminated"][0]["application"] == "😀" * 15 + "é"


def test_every_session_is_told_with_what_became_of_it() -> None:
    gone, moved_on, spared = (
        a_session(idle_for=n * MINUTE, application=f"app{n}") for n in (30, 20, 10)
    )
    run = a_remediation(
        *(gone, moved_on, spared),
        terminate=2,
        results=(Result.TERMINATED, Result.MOVED_ON),
        after=a_measurement(used=2),
    )
    report = written(run)
    assert report["terminated"] == [
        {
            "pid": gone.pid,
            "rule": "forgotten",
            "reason": "idle for 0 s",
            "reason_code": "in state",
            "seconds_in_state": 1800,
            "state": "idle",
            "role": "app",
            "database": "shop",
            "application": "app30",
            "client": "10.0.1.10",
        }
    ]
    assert [(row["pid"], row["result"]) for row in report["other_outcomes"]] == [
        (moved_on.pid, "moved on")
    ]
    assert report["outcomes"]["terminated"] == report["outcomes"]["moved on"] == 1
    assert report["verdicts"] == {"terminate": 2, "spare": 1, "carried_out": True}
    assert report["would_terminate"] == []
    assert (report["before"]["used"], report["after"]["used"]) == (3, 2)
    sessions = unpack_evidence(report["evidence"]).sessions
    assert {each.session.pid: each.result for each in sessions if each.result} == {
        gone.pid: Result.TERMINATED,
        moved_on.pid: Result.MOVED_ON,
    }


def test_what_a_restrained_plan_would_have_done_is_told() -> None:
    sessions = idle_sessions(3)
    report = written(an_observation(*sessions, restraint=Restraint.OBSERVING, would_terminate=2))
    assert [row["pid"] for row in report["would_terminate"]] == [
        session.pid for session in sessions[:2]
    ]
    assert (report["terminated"], report["other_outcomes"]) == ([], [])
    assert report["restraint"] == "observing"
    assert report["verdicts"] == {"terminate": 2, "spare": 1, "carried_out": False}


def test_the_spared_are_grouped_by_reason_and_not_by_their_ages() -> None:
    young = [a_session(idle_for=n * SECOND) for n in range(50)]
    busy = [a_session(state=SessionState.ACTIVE, idle_for=SECOND) for _ in range(3)]
    proxied = [a_session(idle_for=MINUTE, proxied=True) for _ in range(4)]
    before = a_snapshot(*busy, *young, *proxied)
    verdicts = tuple(
        Verdict(
            session,
            Action.SPARE,
            "young",
            Reason(
                ReasonCode.IN_STATE,
                {"state": str(session.state), "time": session.time_in_state(before.taken_at)},
            ),
        )
        for session in before.sessions
    )
    plan = Plan(verdicts, Restraint.NOTHING_MATCHES, Reason(ReasonCode.NO_CANDIDATE, NO_FIGURES))
    report = written(
        a_run(Kind.OBSERVATION, measurement=before.measurement, before=before, plan=plan)
    )
    group = {
        "rule": "young",
        "reason_code": "in state",
        "role": "app",
        "application": "checkout",
    }
    assert report["spared"] == [
        {
            **group,
            "reason": "idle for 49 s",
            "state": "idle",
            "sessions": 50,
            "oldest_seconds_in_state": 49,
        },
        {
            **group,
            "reason": "active for 1 s",
            "state": "active",
            "sessions": 3,
            "oldest_seconds_in_state": 1,
        },
    ]
    assert report["spared_of_proxy"] == [
        {
            **group,
            "reason": "idle for 1 min",
            "state": "idle",
            "sessions": 4,
            "oldest_seconds_in_state": 60,
        }
    ]


def test_sessions_spared_by_one_rule_for_two_reasons_are_two_groups() -> None:
    before = a_snapshot(a_session(), a_session())
    codes = (ReasonCode.ROLE_PROTECTED, ReasonCode.CLIENT_PROTECTED)
    verdicts = tuple(
        Verdict(session, Action.SPARE, "protect", Reason(code))
        for session, code in zip(before.sessions, codes, strict=True)
    )
    run = a_run(
        Kind.OBSERVATION,
        measurement=before.measurement,
        before=before,
        plan=Plan(verdicts, None, Reason(ReasonCode.TO_BE_TERMINATED, NO_FIGURES)),
    )
    spared = {(row["reason_code"], row["reason"]) for row in written(run)["spared"]}
    assert spared == {(code, worded(Reason(code))) for code in codes}


def test_limits_near_full_are_told_but_not_those_that_shut_everybody_out() -> None:
    limits = (
        ConnectionLimit(LimitOwner.ROLE, "roomy", 100, 74),
        ConnectionLimit(LimitOwner.ROLE, "app", 20, 15),
        ConnectionLimit(LimitOwner.DATABASE, "shop", 10, 10),
        ConnectionLimit(LimitOwner.DATABASE, "retired", 0, 0),
    )
    report = written(a_run(Kind.HEARTBEAT, measurement=a_measurement(limits=limits)))
    assert [
        (row["owner"], row["name"], row["utilisation"])
        for row in report["before"]["limits_near_full"]
    ] == [
        ("database", "shop", 100),
        ("role", "app", 75),
    ]


def test_a_heartbeat_is_small_and_tells_the_figures() -> None:
    run = a_run(
        Kind.HEARTBEAT,
        measurement=a_measurement(used=12),
        doors=(DoorAttempt(DoorName.PROXY, True, 0, 0.002, None),),
    )
    report = written(run)
    assert len(json.dumps(report)) < 4000
    assert report["before"]["used"] == 12
    assert report["evidence"] is None
    assert report["event"]["type"] == "heartbeat"


def full() -> Snapshot:
    return a_snapshot(*idle_sessions(97))


SHUT = (
    DoorAttempt(DoorName.PROXY, False, 1, 2.0, "timed out\nafter 2 s"),
    DoorAttempt(DoorName.DIRECT, False, 80, 8.0, "FATAL: too many clients"),
)


@pytest.mark.parametrize(
    ("run", "headline"),
    [
        (
            a_remediation(*idle_sessions(97), terminate=31, after=a_measurement(used=67)),
            "97 of 97 connections in use; terminated 31, now 67 of 97",
        ),
        (
            a_remediation(
                *idle_sessions(97), terminate=31, after=a_measurement(used=60), recovered=True
            ),
            "97 of 97 connections in use; terminated 31, now 60 of 97; back below target",
        ),
        (
            a_remediation(
                *idle_sessions(97),
                terminate=31,
                results=(Result.SURVIVED, Result.DENIED, Result.SURVIVED),
                after=a_measurement(used=69),
                escalation=Reason(ReasonCode.ATTEMPTS_USED, {"percent": 71.1, "attempts": 3}),
            ),
            (
                "97 of 97 connections in use; terminated 28, 2 survived, 1 denied, now 69 of 97; "
                "still at 71 % after 3 attempts"
            ),
        ),
        (
            a_remediation(
                *idle_sessions(97), terminate=2, results=(Result.TERMINATED, Result.UNKNOWN)
            ),
            "97 of 97 connections in use; terminated 1, 1 unknown, usage not measured since",
        ),
        (
            an_observation(*idle_sessions(97), restraint=Restraint.OBSERVING, would_terminate=31),
            "97 of 97 connections in use; nothing terminated (observing: 31 would have been)",
        ),
        (
            an_observation(
                *idle_sessions(10),
                restraint=Restraint.NOT_AN_ALARM,
                event=an_alarm(state=AlarmState.OK),
            ),
            "10 of 97 connections in use; alarm cleared; no action needed",
        ),
        (
            a_run(Kind.OBSERVATION, measurement=a_measurement(used=10), recovered=True),
            "10 of 97 connections in use; back below target",
        ),
        (a_run(Kind.HEARTBEAT, measurement=a_measurement(used=12)), "12 of 97 connections in use"),
        (
            an_observation(*idle_sessions(78), restraint=Restraint.OBSERVING, minutes_to_full=3.2),
            (
                "78 of 97 connections in use, full in about 4 min at this rate; nothing terminated "
                "(observing)"
            ),
        ),
        (
            a_remediation(
                *idle_sessions(97), terminate=31, after=a_measurement(used=67), minutes_to_full=3.2
            ),
            "97 of 97 connections in use; terminated 31, now 67 of 97",
        ),
        (
            a_run(
                Kind.PREFLIGHT_FAILED,
                measurement=a_measurement(used=97),
                escalation=Reason(ReasonCode.MISSING_PRIVILEGE, {"statements": "GRANT a TO b;"}),
            ),
            (
                "97 of 97 connections in use; cannot act; the guard's role lacks a privilege; run, "
                "as the master user: GRANT a TO b;"
            ),
        ),
        (
            a_run(Kind.LOCKED_OUT, doors=SHUT, escalation=Reason(ReasonCode.DATABASE_LOST)),
            (
                "locked out; proxy door: timed out after 2 s; direct door: FATAL: too many "
                "clients; the connection to the database was lost"
            ),
        ),
    ],
)
def test_the_headline_says_it_in_a_line(run: Run, headline: str) -> None:
    assert written(run)["headline"] == f"orders-prod: {headline}"


def test_there_is_a_valid_example_of_each_kind() -> None:
    examples = {
        path.stem: json.loads(path.read_text())
        for path in (DOCS / "examples").glob("report-*.json")
    }
    assert {f"report-{example['kind']}" for example in examples.values()} == {
        f"report-{kind}" for kind in Kind
    }
    for name, example in examples.items():
        assert name == f"report-{example['kind']}"
        Draft202012Validator(SCHEMA).validate(example)


def test_the_schema_describes_every_property() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    def undescribed(schema: Any, place: str) -> list[str]:
        if not isinstance(schema, dict):
            return []
        missing = [
            f"{place}.{name}"
            for name, property_ in schema.get("properties", {}).items()
            if not property_.get("description")
        ]
        return missing + [
            each for name, inner in schema.items() for each in undescribed(inner, f"{place}.{name}")
        ]

    assert undescribed(SCHEMA, "") == []


def test_no_sentence_holds_what_a_terminal_would_obey() -> None:
    """A name by itself stays as it is; a sentence that people read and copy shows it harmlessly."""
    hostile = "\x1b[2J\u202e\r\n"
    sessions = [
        a_session(
            role=f"app{hostile}",
            application=hostile,
            state=SessionState.IDLE_IN_TRANSACTION,
            idle_for=9 * MINUTE,
        )
        for _ in range(90)
    ]
    reason = Reason(ReasonCode.NOT_VERIFIED, {"error": hostile})
    run = a_remediation(*sessions, terminate=1, problems=(reason,), escalation=reason)
    run = replace(
        run, diagnoses=diagnose(a_snapshot(*sessions)), doors=(replace(SHUT[0], error=hostile),)
    )
    report = written(run)
    (diagnosis,) = [each for each in report["diagnoses"] if each["cause"] == "idle in transaction"]
    assert 'ALTER ROLE U&"app\\+00001B[2J\\+00202E\\+00000D\\+00000A" SET' in diagnosis["advice"]
    sentences = [
        *(
            report["headline"],
            report["escalation"],
            report["explanation"],
            report["doors"][0]["error"],
        ),
        *report["problems"],
        *(each[field] for each in report["diagnoses"] for field in ("summary", "advice")),
    ]
    assert all(sentence.isprintable() for sentence in sentences)
