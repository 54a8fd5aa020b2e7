"""What a run saw is stored so that DuckDB reads it as it is, and nothing of a Report is lost on
the way.
"""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given

from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.core.database.session import SessionState
from connection_guard.core.decision.outcome import Result
from connection_guard.core.incident.delivery import ReportDelivery
from connection_guard.core.incident.evidence_lines import (
    evidence_key,
    evidence_lines,
    report_document,
    report_key,
)
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.report import write_report
from connection_guard.core.report.run import Run
from tests.support.builders import NOW, a_session
from tests.support.runs import a_crowd, a_remediation, a_run, any_runs

DOCUMENT = (Path(__file__).parents[3] / "docs" / "evidence.md").read_text()
STATEMENTS = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
AS_IT_STANDS, WITH_TYPES, CREATE_TABLE, _ = STATEMENTS
ATHENA_TYPES = {
    "string": (str,),
    "int": (int,),
    "bigint": (int,),
    "boolean": (bool,),
    "array<int>": (list,),
}

Query = Callable[[str], list[tuple[Any, ...]]]


def a_delivery(run: Run, request_id: str = "6fb81a4e") -> ReportDelivery:
    report = json.loads(json.dumps(write_report(run, statement)))
    return ReportDelivery(
        request_id=request_id,
        function_arn="arn:aws:lambda:eu-central-1:123456789012:function:responder",
        database=run.database,
        kind=run.kind,
        headline=report["headline"],
        event_key=report["event"]["key"],
        received_at=run.received_at,
        report=report,
    )


def lines_of(delivery: ReportDelivery) -> list[dict[str, Any]]:
    packed = evidence_lines(delivery)
    assert packed is not None
    return [json.loads(line) for line in gzip.decompress(packed).decode().split("\n")[:-1]]


@pytest.fixture
def bucket(tmp_path: Path) -> Callable[[ReportDelivery], None]:
    """Stores what is to be stored of a delivery under its keys."""

    def store(delivery: ReportDelivery) -> None:
        lines = evidence_lines(delivery)
        document = report_document(delivery, evidence=evidence_key(delivery))
        for key, body in ((evidence_key(delivery), lines), (report_key(delivery), document)):
            assert body is not None
            path = tmp_path / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    return store


@pytest.fixture
def query(tmp_path: Path) -> Query:
    """Runs a statement of docs/evidence.md, or of the test's own, on the bucket."""
    connection = duckdb.connect()
    return lambda statement: connection.execute(
        statement.replace("s3://BUCKET", str(tmp_path))
    ).fetchall()


READ = "read_json_auto('s3://BUCKET/evidence/*/*/*.jsonl.gz')"


def two_runs() -> tuple[ReportDelivery, ReportDelivery]:
    """An attempt and the next, a day later, as midnight passes."""
    first = a_remediation(
        a_session(idle_for=timedelta(hours=2), blocked_by=(7, 8)),
        a_session(state=SessionState.IDLE_IN_TRANSACTION, application="batch"),
        a_session(state=None, client="", wait_event_type=None, wait_event=None, application="psql"),
        terminate=2,
        results=(Result.TERMINATED, Result.MOVED_ON),
        attempt=1,
    )
    second = a_remediation(a_session(), terminate=1, attempt=2, received_at=NOW + timedelta(days=1))
    return a_delivery(first, "first"), a_delivery(second, "second")


def test_duckdb_reads_every_attempt_with_the_right_types(
    bucket: Callable[..., None], query: Query
) -> None:
    for delivery in two_runs():
        bucket(delivery)

    types = {name: kind for name, kind, *_ in query(f"DESCRIBE FROM {READ}")}
    rows = query(
        "SELECT request_id, attempt, date::VARCHAR, count(*), count(*) FILTER (result = "
        f"'terminated'), count(*) FILTER (action = 'terminate'), count(client_addr) FROM {READ} "
        "GROUP BY ALL ORDER BY attempt"
    )

    assert rows == [("first", 1, "2026-11-20", 3, 1, 2, 2), ("second", 2, "2026-11-21", 1, 1, 1, 1)]
    texts = (
        "database request_id kind event_key usename datname application_name client_addr state "
        "query action rule"
    )
    assert {types[name] for name in f"{texts} reason result wait_event".split()} == {"VARCHAR"}
    assert {types[name] for name in ("attempt", "pid", "usesysid")} == {"BIGINT"}
    assert {types[name] for name in ("is_superuser", "is_listening", "is_owned_by_proxy")} == {
        "BOOLEAN"
    }
    times = ("taken_at", "backend_start", "xact_start", "query_start", "state_change")
    assert {types[name] for name in times} == {"TIMESTAMP WITH TIME ZONE"}
    assert types["blocked_by"] == "BIGINT[]"


def test_the_documented_queries_give_what_they_promise(
    bucket: Callable[..., None], query: Query
) -> None:
    for delivery in two_runs():
        bucket(delivery)

    assert query(AS_IT_STANDS) == [("app", "checkout", 2, timedelta(hours=2))]
    runs = query(f"SELECT request_id, sessions, terminated FROM ({WITH_TYPES}) ORDER BY request_id")
    assert runs == [("first", 1, 1), ("second", 1, 1)]


def test_times_are_those_that_the_database_gave_in_any_zone(
    bucket: Callable[..., None], query: Query
) -> None:
    run = a_remediation(a_session(idle_for=timedelta(milliseconds=1500)), terminate=0)
    assert run.round is not None
    before = run.round.before
    in_berlin = replace(before, taken_at=before.taken_at.astimezone(timezone(timedelta(hours=1))))
    delivery = a_delivery(replace(run, round=replace(run.round, before=in_berlin)))
    bucket(delivery)

    (times,) = query(f"SELECT epoch_ms(taken_at), epoch_ms(state_change), xact_start FROM {READ}")

    milliseconds = int(NOW.timestamp() * 1000)
    assert times == (milliseconds, milliseconds - 1500, None)
    assert lines_of(delivery)[0]["taken_at"] == "2026-11-20T03:00:00.000Z"


def test_five_thousand_sessions_are_five_thousand_rows(
    bucket: Callable[..., None], query: Query
) -> None:
    sessions = a_crowd(5000)
    bucket(a_delivery(a_remediation(*sessions, terminate=50, usable=5000)))

    counted = query(f"SELECT count(*), count(DISTINCT pid), count(DISTINCT query) FROM {READ}")

    assert counted == [(5000, 5000, len({session.query for session in sessions}))]


def test_a_run_that_saw_a_database_without_sessions_adds_no_row_and_spoils_none(
    bucket: Callable[..., None], query: Query
) -> None:
    bucket(a_delivery(a_remediation(terminate=0), "empty"))
    bucket(a_delivery(a_remediation(a_session(), terminate=0), "one"))

    assert query(f"SELECT request_id FROM {READ}") == [("one",)]


HOSTILE_NAMES = [
    "'); DROP TABLE evidence; --",
    '"quoted" \\ back\\slash',
    "line\nbreak\r\u2028\u0085tab\t\x01\x7f",
    "{'json': [1, 2]}",
    "null",
    "2026-11-20",
    "NaN",
    "日本語 😀 é",
    "",
    " ",
]


def test_names_come_out_as_postgresql_gave_them(bucket: Callable[..., None], query: Query) -> None:
    bucket(
        a_delivery(
            a_remediation(*[a_session(application=name) for name in HOSTILE_NAMES], terminate=0)
        )
    )

    assert query(f"SELECT application_name FROM {READ} ORDER BY pid") == [
        (name,) for name in HOSTILE_NAMES
    ]


def test_half_a_character_costs_itself_and_not_the_object(
    bucket: Callable[..., None], query: Query
) -> None:
    bucket(
        a_delivery(a_remediation(a_session(role="caf\udce9"), a_session(role="café"), terminate=0))
    )

    assert query(f"SELECT usename FROM {READ} ORDER BY pid") == [("caf?",), ("café",)]


def test_the_same_run_is_the_same_bytes_whenever_it_is_delivered() -> None:
    first, _ = two_runs()
    lines = evidence_lines(first)

    assert lines is not None
    assert lines == evidence_lines(replace(first))
    assert lines[4:8] == bytes(4), (
        "gzip's time of compression (RFC 1952, MTIME) would make deliveries differ"
    )


@given(any_runs())
def test_every_line_has_the_columns_of_athena_s_table_and_their_types(run: Run) -> None:
    delivery = a_delivery(run)
    types = dict(re.findall(r"^  `(\w+)` ([\w<>]+),?$", CREATE_TABLE, re.MULTILINE))
    if delivery.report["evidence"] is None:
        assert evidence_lines(delivery) is None
        return
    lines = lines_of(delivery)

    assert len(lines) == delivery.report["evidence"]["sessions"]
    for line in lines:
        assert list(line) == ["database", *types]
        for name, kind in types.items():
            assert line[name] is None or isinstance(line[name], ATHENA_TYPES[kind]), name


def test_the_keys_are_partitions_and_the_same_for_the_same_run() -> None:
    first, second = two_runs()

    assert (
        evidence_key(first)
        == "evidence/database=orders-prod/date=2026-11-20/030000.000000-first.jsonl.gz"
    )
    assert (
        report_key(second)
        == "reports/database=orders-prod/date=2026-11-21/030000.000000-second.json"
    )
    template = "database=${database}/date=${date}"
    assert template in CREATE_TABLE
    assert "database=orders-prod/date=2026-11-20/" in evidence_key(first)


def test_the_report_is_kept_beside_its_lines_and_says_where_they_are() -> None:
    delivery, _ = two_runs()

    kept = json.loads(report_document(delivery, evidence="some/key"))

    assert kept.pop("evidence") == {"key": "some/key", "sessions": 3, "omitted": 0}
    assert kept == {name: value for name, value in delivery.report.items() if name != "evidence"}


def test_a_run_that_saw_nothing_has_a_report_and_no_lines() -> None:
    delivery = a_delivery(a_run(Kind.LOCKED_OUT))

    assert evidence_lines(delivery) is None
    assert json.loads(report_document(delivery, evidence=None)) == delivery.report


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"data": "!"}, {"data": "AAAA"}, {"data": None}], ids=str
)
def test_evidence_that_cannot_be_read_is_one_clear_error_and_stays_in_the_report(
    change: dict[str, Any],
) -> None:
    delivery, _ = two_runs()
    report = json.loads(json.dumps(delivery.report))
    report["evidence"] |= change
    unreadable = replace(delivery, report=report)

    with pytest.raises(ValueError, match="the evidence of run first cannot be read"):
        evidence_lines(unreadable)
    assert json.loads(report_document(unreadable, evidence=None)) == report
