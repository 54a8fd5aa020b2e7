"""`connection-guard replay`: a changed policy over evidence of real runs, of files and of S3."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import boto3
import psycopg2
import pytest

from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.builders import WARNING_ALARM, a_heartbeat_event, an_alarm_event
from tests.support.cli.emulated_aws import emulated_aws
from tests.support.cli.past_runs import a_month_of_runs, store_in, stored_objects
from tests.support.cli.running import (
    COMMAND,
    SECONDS,
    Ran,
    at_a_terminal,
    environment_of,
    in_a_pipe,
)
from tests.support.configurations import EXAMPLE_FILE
from tests.support.guarded import Guarded, fill

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
REGION = "eu-central-1"
LISTING = """<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>
<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>reports/a.json</Key><Size>1
</Size><LastModified>2026-11-20T03:00:00.000Z</LastModified></Contents></ListBucketResult>"""
TEMPLATE = {
    "Resources": {"Evidence": {"Type": "AWS::S3::Bucket"}},
    "Outputs": {
        "EvidenceBucket": {"Value": {"Ref": "Evidence"}},
        "ReporterName": {"Value": "ConnectionGuard-Reporter"},
    },
}


def policy(folder: Path, name: str, **ages: str) -> Path:
    """Write the shipped policy with other ages of its rules: `idle`, `transaction`."""
    text = SHIPPED_POLICY.read_text()
    for old, new in (("10m", ages.get("idle", "1s")), ("5m", ages.get("transaction", "1s"))):
        text = text.replace(f'older_than = "{old}"', f'older_than = "{new}"')
    file = folder / name
    file.write_text(text)
    return file


def is_one_line(ran: Ran) -> bool:
    return len(ran.errors.splitlines()) == 1 and "Traceback" not in ran.errors + ran.output


@pytest.fixture
def reports_of_a_full_server(
    database: PostgresServer, tmp_path: Path
) -> Iterator[list[dict[str, Any]]]:
    """Yield what a guard reports at warning, and then at critical."""
    text = policy(tmp_path, "then.toml").read_text()
    guarded = Guarded(database, parse_policy(text))
    guarded.deliver(a_heartbeat_event())
    at_work = psycopg2.connect(
        host=database.host,
        port=database.port,
        user="app",
        dbname="postgres",
        application_name="reports",
        async_=True,
    )
    wait_until(lambda: at_work.poll() == psycopg2.extensions.POLL_OK)
    at_work.cursor().execute("SELECT pg_sleep(60)")
    at_work.poll()
    in_transaction = database.connect("app", application_name="imports")
    in_transaction.autocommit = False
    in_transaction.cursor().execute("SELECT 1")
    fill(database, role="app", application_name="checkout")
    are_stale = (
        "SELECT min(clock_timestamp() - state_change) > '1.1 s' FROM pg_stat_activity "
        "WHERE usename = 'app'"
    )
    wait_until(lambda: database.execute(are_stale) == [(True,)])
    yield [guarded.deliver(an_alarm_event(WARNING_ALARM)), guarded.deliver()]
    at_work.close()


def test_a_real_run_is_replayed_as_it_was_and_as_another_policy_would_have_it(
    reports_of_a_full_server: list[dict[str, Any]], tmp_path: Path
) -> None:
    store_in(tmp_path / "copy", reports_of_a_full_server)
    terminated = len(reports_of_a_full_server[1]["terminated"])
    assert terminated > 5

    same = in_a_pipe("replay", "copy", "--policy", "then.toml", folder=tmp_path)

    assert (same.status, same.errors) == (0, "")
    totals = same.document["totals"]
    assert (totals["replayed"], totals["different"]) == (2, 0)
    assert totals["now"] == totals["then"]
    assert totals["now"]["terminate"] == totals["terminated"] == terminated
    [database] = same.document["databases"]
    assert (database["database"], database["looks"]) == ("orders-prod", 2)
    assert {each["role"] for each in database["timeouts"]} == {"app"}
    assert not any(each["statement"] for each in database["timeouts"])

    policy(tmp_path, "new.toml", idle="1h")
    active = (
        '[[rules]]\nname = "long"\naction = "terminate"\nstates = ["active"]\nolder_than = "1s"\n'
    )
    with (tmp_path / "new.toml").open("a") as new:
        new.write(active)
    changed = in_a_pipe("replay", "copy", "--policy", "new.toml", folder=tmp_path)

    assert changed.status == 0
    totals = changed.document["totals"]
    assert (totals["different"], totals["newly_ended"], totals["ending_work"]) == (2, 1, 1)
    assert totals["newly_spared"] == terminated - 1  # the transaction is ended by both
    of_critical = changed.document["runs"][1]["changes"]
    assert [(each["application"], each["now"], each["rule_now"]) for each in of_critical] == [
        ("reports", "terminate", "long"),
        ("checkout", "spare", "no rule"),
    ]


def test_a_person_sees_what_differs_and_the_totals(tmp_path: Path) -> None:
    policy(tmp_path, "new.toml", idle="1h")
    ran = at_a_terminal("replay", EXAMPLES, "--policy", "new.toml", folder=tmp_path, columns=100)

    assert ran.status == 0
    gone = "24 checkout (shop), idle for up to 7 s: terminate (stale idle) -> spare (no rule)"
    assert gone in ran.output
    assert "then: terminate 30; now: terminate 6" in ran.output
    assert "newly ended: 0, newly spared: 24" in ran.output
    assert "timeouts of orders-prod, from 2 looks on 1 day" in ran.output
    assert "{" not in ran.output


def test_two_policies_are_compared_at_another_tier(tmp_path: Path) -> None:
    policy(tmp_path, "new.toml", idle="1h")
    policy(tmp_path, "old.toml")
    arguments = ("--policy", "new.toml", "--against", "old.toml", "--tier", "critical")
    ran = in_a_pipe("replay", EXAMPLES, *arguments, folder=tmp_path)

    assert ran.status == 0
    assert {each["tier"] for each in ran.document["runs"]} == {"critical"}
    assert ran.document["totals"]["then"]["terminate"] == 60
    assert ran.document["totals"]["now"]["terminate"] == 12
    assert ran.document["totals"]["newly_spared"] == 48


def test_a_pipeline_fails_where_the_result_is_another_than_a_person_reviewed(
    tmp_path: Path,
) -> None:
    policy(tmp_path, "policy.toml")
    arguments = ("replay", EXAMPLES, "--policy", "policy.toml")
    assert in_a_pipe(*arguments, "--write-expect", "expect.toml", folder=tmp_path).status == 0
    assert "30 of 97 sessions" in (tmp_path / "expect.toml").read_text()

    passed = in_a_pipe(*arguments, "--expect", "expect.toml", folder=tmp_path)
    assert (passed.status, passed.errors, passed.document["mismatches"]) == (0, "", [])

    policy(tmp_path, "policy.toml", transaction="1h")
    failed = in_a_pipe(*arguments, "--expect", "expect.toml", folder=tmp_path)
    assert failed.status == 1
    assert failed.errors.splitlines() == [
        f"connection-guard: {line}" for line in failed.document["mismatches"]
    ]
    assert "spares pids that are expected" in failed.errors


def test_damaged_evidence_among_other_is_named_and_the_rest_is_replayed(tmp_path: Path) -> None:
    policy(tmp_path, "policy.toml")
    shutil.copytree(EXAMPLES, tmp_path / "evidence")
    whole = (EXAMPLES / "report-remediation.json").read_text()
    (tmp_path / "evidence" / "cut.json").write_text(whole[:5000])
    (tmp_path / "evidence" / "empty.json").touch()
    (tmp_path / "evidence" / "foreign.json").write_text('{"name": "something else"}')
    later = json.dumps(json.loads(whole) | {"schema_version": 2})
    (tmp_path / "evidence" / "later.json").write_text(later)
    ran = in_a_pipe("replay", "evidence", "--policy", "policy.toml", folder=tmp_path)

    assert ran.status == 1
    assert ran.document["totals"]["replayed"] == 2
    assert [line.split(": ", 2)[1:] for line in ran.errors.splitlines()] == [
        [each["evidence"], each["problem"]] for each in ran.document["unread"]
    ]
    problems = " ".join(each["problem"] for each in ran.document["unread"])
    for words in ("was cut off", "is empty", "not a report", "version 2"):
        assert words in problems

    alone = in_a_pipe("replay", "evidence/cut.json", "--policy", "policy.toml", folder=tmp_path)
    assert alone.status == 2
    assert "Traceback" not in alone.errors


def test_a_timeout_is_proposed_from_a_month_of_looks(tmp_path: Path) -> None:
    store_in(tmp_path / "copy", a_month_of_runs())
    arguments = ("replay", "copy", "--policy", SHIPPED_POLICY)
    ran = in_a_pipe(*arguments, folder=tmp_path)

    assert (ran.status, ran.document["totals"]["different"]) == (0, 0)
    [database] = ran.document["databases"]
    assert (database["looks"], database["days"]) == (30, 6)
    by_setting = {
        each["setting"]: each for each in database["timeouts"] if each["role"] == "orders"
    }
    proposed = by_setting["idle_in_transaction_session_timeout"]
    assert proposed["statement"] == (
        "ALTER ROLE \"orders\" SET idle_in_transaction_session_timeout = '2min';"
    )
    assert proposed["summary"] == (
        "idle_in_transaction_session_timeout = 2 min for role orders would have ended 14 sessions "
        "in 26 days, all of them leaks; the longest legitimate gap was 41 s (95 s at most)"
    )
    assert (proposed["would_have_ended"], proposed["endings"]) == (14, {"terminated": 14})
    # The next look, a minute later, sees that it went on by then.
    assert proposed["longest_legitimate_seconds"] == 41.0
    assert proposed["longest_legitimate_at_most_seconds"] == 95.0
    assert by_setting["idle_session_timeout"]["statement"] is None

    shown = at_a_terminal(*arguments, folder=tmp_path, columns=100)
    assert proposed["statement"] in shown.output
    assert proposed["summary"] in " ".join(shown.output.split())
    assert "leaks: 14 terminated by the guard; 216 gaps went on to work" in shown.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no-such.json", "--policy", "policy.toml"), "no-such.json does not exist"),
        (("--policy", "policy.toml"), "no evidence is named"),
        ((EXAMPLES, "--policy", "no-such.toml"), "no-such.toml does not exist"),
        ((EXAMPLES, "--policy", "wrong.toml"), 'wrong.toml: unknown key "limit"'),
        ((EXAMPLES, "--policy", "policy.toml", "--since", "yesterday"), "is no time"),
        ((EXAMPLES, "--policy", "policy.toml", "--expect", "wrong.toml"), "expect: is missing"),
        (("--database", "ordres", "--policy", "policy.toml"), 'did you mean "orders"?'),
        (("s3://", "--policy", "policy.toml"), "names no bucket"),
    ],
)
def test_a_mistake_is_a_line_and_status_2(
    arguments: tuple[str | Path, ...], words: str, tmp_path: Path, aws: str
) -> None:
    policy(tmp_path, "policy.toml")
    shutil.copy(EXAMPLE_FILE, tmp_path / "guard.toml")
    (tmp_path / "wrong.toml").write_text("limit = 3\n")
    ran = in_a_pipe("replay", *arguments, folder=tmp_path, environment=environment(aws))

    assert ran.status == 2
    assert words in ran.errors
    assert "Traceback" not in ran.errors
    assert ran.output == ""


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """Yield the address of an AWS with a deployed stack, as far as it concerns evidence."""
    with emulated_aws() as url:
        client(url, "cloudformation").create_stack(
            StackName="ConnectionGuard", TemplateBody=json.dumps(TEMPLATE)
        )
        yield url


def client(url: str, service: str) -> Any:
    session: Any = boto3.Session("AKIAIOSFODNN7EXAMPLE", "of nobody", region_name=REGION)
    return session.client(service, endpoint_url=url)


def environment(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "of nobody",
    }


@pytest.fixture
def bucket(aws: str) -> Iterator[str]:
    """Yield the stack's bucket, which is empty again afterwards."""
    [stack] = client(aws, "cloudformation").describe_stacks(StackName="ConnectionGuard")["Stacks"]
    [output] = [each for each in stack["Outputs"] if each["OutputKey"] == "EvidenceBucket"]
    name = output["OutputValue"]
    yield name
    s3 = client(aws, "s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for each in page.get("Contents", []):
            s3.delete_object(Bucket=name, Key=each["Key"])


def put(url: str, bucket: str, objects: dict[str, bytes]) -> None:
    s3 = client(url, "s3")
    for key, body in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def test_a_date_range_of_the_deployed_guard_is_replayed_although_an_object_is_damaged(
    tmp_path: Path, aws: str, bucket: str
) -> None:
    report = json.loads((EXAMPLES / "report-remediation.json").read_text())
    for day in range(10, 22):
        report |= {"database": "orders", "received_at": f"2026-11-{day}T19:37:54+00:00"}
        put(aws, bucket, stored_objects(report, f"of-day-{day}"))
    put(aws, bucket, stored_objects(report | {"database": "orders-2"}))
    damaged = "reports/database=orders/date=2026-11-12/193755.000000-damaged.json"
    put(aws, bucket, {damaged: b"{", "failures/x/2026/11/12/x.json": b"{}"})
    policy(tmp_path, "policy.toml")
    shutil.copy(EXAMPLE_FILE, tmp_path / "guard.toml")
    arguments = ("--policy", "policy.toml", "--since", "2026-11-11T12:00", "--until", "2026-11-15")
    ran = in_a_pipe(
        *("replay", "--database", "orders", *arguments),
        folder=tmp_path,
        environment=environment(aws),
    )

    assert ran.status == 1
    assert [each["evidence"][-13:-5] for each in ran.document["runs"]] == [
        f"f-day-{day}" for day in range(11, 15)
    ]
    assert ran.document["totals"]["newly_ended"] == 0
    assert [each["evidence"] for each in ran.document["unread"]] == [f"s3://{bucket}/{damaged}"]
    assert is_one_line(ran)

    by_address = in_a_pipe(
        *("replay", f"s3://{bucket}/evidence/database=orders-2", "--policy", "policy.toml"),
        folder=tmp_path,
        environment=environment(aws),
    )
    assert by_address.status == 0
    assert by_address.document["totals"]["replayed"] == 1


@pytest.mark.parametrize(
    ("place", "words"),
    [("s3://no-such-bucket/reports", "NoSuchBucket"), ("s3://{bucket}/x", "holds no evidence")],
)
def test_a_bucket_without_evidence_is_a_line(
    place: str, words: str, tmp_path: Path, aws: str, bucket: str
) -> None:
    policy(tmp_path, "policy.toml")
    ran = in_a_pipe(
        *("replay", place.format(bucket=bucket), "--policy", "policy.toml"),
        folder=tmp_path,
        environment=environment(aws),
    )

    assert ran.status == 2
    assert words in ran.errors
    assert is_one_line(ran)


def test_an_interrupted_download_ends_at_once_and_in_one_line(tmp_path: Path) -> None:
    policy(tmp_path, "policy.toml")
    with HangingBucket() as bucket:
        process = subprocess.Popen(
            [*COMMAND, "replay", "s3://bucket/reports", "--policy", "policy.toml"],
            env=environment_of(environment(bucket.url)),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert bucket.is_asked.wait(SECONDS)
        process.send_signal(signal.SIGINT)
        # The object would be waited for longer than that.
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (130, "")
    assert errors.strip() == "connection-guard: interrupted"


class HangingBucket:
    """A server that lists one object, and does not give it."""

    def __init__(self) -> None:
        is_asked, is_over = Event(), Event()
        self.is_asked, self._is_over = is_asked, is_over

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "list-type" not in self.path:
                    is_asked.set()
                    is_over.wait(SECONDS)
                    return
                body = LISTING.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HangingBucket":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._server.shutdown()
        self._server.server_close()


def test_missing_credentials_are_a_line(tmp_path: Path) -> None:
    policy(tmp_path, "policy.toml")
    ran = in_a_pipe("replay", "s3://bucket/x", "--policy", "policy.toml", folder=tmp_path)

    assert ran.status == 2
    assert "credentials are missing" in ran.errors
    assert is_one_line(ran)
