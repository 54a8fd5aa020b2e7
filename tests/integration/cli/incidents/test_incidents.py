"""`connection-guard incidents`: what the reporter stored is what people read, in a real process."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from doubles.slack_double import SlackDouble
from tests.support.cli.deployed_account import STACK, DeployedAccount, deployed_account
from tests.support.cli.running import Ran, at_a_terminal, in_a_pipe
from tests.support.emulated_account import BUCKET, TABLE, emulated_account
from tests.support.reporter.deliveries import a_report, a_success
from tests.support.reporter.outside import Outside, stores_of_aws

ORDERS = WatchedDatabase("orders-prod", is_cluster=False, function_name="guards-orders")
USERS = WatchedDatabase("users-prod", is_cluster=True, function_name="guards-users")
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)


@pytest.fixture(scope="module")
def account() -> Iterator[DeployedAccount]:
    """An account with a night's work of the reporter's: nothing in it is changed by a test."""
    with pytest.MonkeyPatch.context() as monkeypatch, emulated_account(monkeypatch):
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            monkeypatch.delenv(name, raising=False)
        with SlackDouble() as slack:
            a_night(Outside(slack, stores_of_aws(), ORDERS, USERS))
        responders = {each.identifier: each.function_name for each in (ORDERS, USERS)}
        with deployed_account(responders) as account:
            yield account


def a_night(outside: Outside) -> None:
    """Deliver what the responders reported, and let the reporter do its work."""
    month_ago, weeks_ago = START - timedelta(days=30), START - timedelta(days=20)
    deliver(outside, month_ago, USERS, "observation", "still-open", alarm="ALARM", used=90)
    deliver(outside, weeks_ago, ORDERS, "remediation", "weeks-ago", recovered=True)
    deliver(outside, weeks_ago, ORDERS, "observation", "weeks-ago-ok", alarm="OK", used=20)
    gone = WatchedDatabase("gone-prod", is_cluster=False, function_name="guarded-gone")
    deliver(outside, START, gone, "remediation", "of-gone")
    deliver(outside, START, ORDERS, "remediation", "run-1", alarm="ALARM")
    outside.sns.is_down = True
    later = START + timedelta(minutes=9)
    deliver(outside, later, ORDERS, "observation", "run-2", alarm="OK", used=31)


def deliver(
    outside: Outside,
    at: datetime,
    database: WatchedDatabase,
    kind: str,
    run: str,
    **changes: Any,
) -> None:
    outside.now = at
    report = {**a_report(kind, at, **changes), "database": database.identifier}
    outside.deliver(a_success(report, run, database.function_name))


def incidents(account: DeployedAccount, *arguments: str | Path) -> Ran:
    return in_a_pipe("incidents", "--stack", STACK, *arguments, environment=account.environment)


def at_terminal(account: DeployedAccount, *arguments: str | Path) -> Ran:
    return at_a_terminal(
        "incidents", "--stack", STACK, *arguments, environment=account.environment, columns=160
    )


def ids(ran: Ran) -> list[str]:
    return [each["id"].partition("-")[2] for each in ran.document["incidents"]]


def test_the_list_has_the_week_and_all_that_is_still_open(account: DeployedAccount) -> None:
    ran = incidents(account)

    assert (ran.status, ran.errors) == (0, "")
    assert ids(ran) == ["run-1", "still-open"], "newest first"
    newest, oldest = ran.document["incidents"]
    assert newest["database"] == "orders-prod"
    assert (newest["status"], newest["seconds"], newest["beginnings"]) == ("resolved", 540, 1)
    assert newest["headline"].startswith("orders-prod recovered after 9 min")
    assert newest["pending"] == ["incidents"], "the topic was down"
    assert (oldest["status"], oldest["closed_at"]) == ("critical", None)
    assert oldest["pending"] == []
    assert any(key["pk"].startswith("channel#") for key in stored_keys())


def stored_keys() -> list[dict[str, Any]]:
    return list(boto3.resource("dynamodb").Table(TABLE).scan()["Items"])


def test_the_list_goes_back_as_far_as_it_is_asked_to(account: DeployedAccount) -> None:
    assert ids(incidents(account, "--since", "4w")) == ["run-1", "weeks-ago", "still-open"]
    date = (START - timedelta(days=21)).date().isoformat()
    assert ids(incidents(account, "--since", date, "--database", "orders-prod")) == [
        "run-1",
        "weeks-ago",
    ]


def test_a_database_that_is_no_longer_guarded_has_its_incidents(account: DeployedAccount) -> None:
    assert ids(incidents(account, "--database", "gone-prod")) == ["of-gone"]

    unknown = incidents(account, "--database", "order-prod")
    assert (unknown.status, unknown.output) == (2, "")
    assert unknown.errors == (
        'connection-guard: "order-prod" is not guarded, and has no incident: did you mean '
        '"orders-prod"?\n'
    )


def test_a_person_sees_the_list_in_lines(account: DeployedAccount) -> None:
    ran = at_terminal(account)

    assert ran.status == 0
    assert f"{START:%Y-%m-%d %H:%M} UTC, 3 h ago" in ran.output
    first, headline, name, pending, *_ = ran.output.splitlines()
    assert first.endswith("lasted 9 min      resolved")
    assert headline.startswith("  orders-prod recovered after 9 min")
    assert name == f"  {START:%Y%m%dT%H%M%S}-run-1"
    assert pending == "  yet to be notified: incidents"


@pytest.mark.parametrize("name", ["run-1", "run-2", "orders-prod", f"{START:%Y%m%dT%H%M%S}-run"])
def test_a_story_is_found_by_what_messages_show_of_it(account: DeployedAccount, name: str) -> None:
    ran = incidents(account, name)

    assert (ran.status, ran.errors) == (0, "")
    document = ran.document
    assert document["id"] == f"{START:%Y%m%dT%H%M%S}-run-1"
    assert document["progress"] == "closed"
    assert document["timeline"][0]["text"].startswith("critical alarm")
    topic, slack = document["channels"]
    assert (topic["channel"], topic["knows"]) == ("incidents", "an earlier state")
    assert topic["due_at"] is not None
    assert (slack["channel"], slack["knows"], slack["due_at"]) == (
        "slack",
        "the present state",
        None,
    )


def test_a_person_reads_the_story_in_the_words_of_the_email(account: DeployedAccount) -> None:
    ran = at_terminal(account, "run-1", "--evidence")

    assert ran.status == 0
    assert "What was done\n-------------\n" in ran.output
    assert "Timeline (UTC)\n" in ran.output
    assert "\n  Log        https://eu-central-1.console.aws.amazon.com/cloudwatch/" in ran.output
    assert "incidents  an earlier state" in ran.output
    assert "evidence/database=orders-prod/" in ran.output
    assert "terminate: " in ran.output


def test_evidence_is_shown_and_saved_for_its_owner_only(
    account: DeployedAccount, tmp_path: Path
) -> None:
    ran = incidents(account, "run-1", "--evidence", "--save", tmp_path / "night")

    assert (ran.status, ran.errors) == (0, "")
    sessions = [each for lines in ran.document["sessions"].values() for each in lines]
    assert {"pid", "usename", "state", "action", "result"} <= sessions[0].keys()
    saved = [Path(each) for each in ran.document["saved"]]
    assert {stat.S_IMODE(each.stat().st_mode) for each in saved} == {0o600}
    s3 = boto3.client("s3")
    for each in saved:
        key = each.relative_to(tmp_path / "night").as_posix()
        assert each.read_bytes() == s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert any(each.name.endswith(".jsonl.gz") for each in saved)

    replayed = in_a_pipe("replay", tmp_path / "night", "--policy", SHIPPED_POLICY)

    # Of these invented reports, some have more sessions than connections in use.
    assert "missing" not in replayed.errors
    assert "run-1" in replayed.output + replayed.errors
    assert {each.name.partition(".json")[0] for each in saved if "reports" in each.parts} == {
        each.name.partition(".json")[0] for each in saved
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            (f"{START:%Y%m%dT%H%M%S}-run-7",),
            f'did you mean "{START:%Y%m%dT%H%M%S}-run-1"?',
        ),
        (("zzz",), "`connection-guard incidents --since 52w` lists them"),
        (("--since", "yesterday"), "'yesterday' is no time; write how long ago, such as 30d"),
        (("--since", "99999999999w"), "is no time"),
        (("--evidence",), "--evidence and --save need an incident: name one of the list"),
        (("run-1", "--save", "/dev/null/here"), "name another folder with --save"),
    ],
)
def test_a_mistake_is_a_line_and_status_2(
    account: DeployedAccount, arguments: tuple[str, ...], problem: str
) -> None:
    ran = incidents(account, *arguments)

    assert (ran.status, ran.output) == (2, "")
    [line] = ran.errors.splitlines()
    assert problem in line


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("Lambda.GetFunctionConfiguration", "lambda:GetFunctionConfiguration"),
        (
            "DynamoDB.Query",
            "table incidents: your AWS credentials lack the permission dynamodb:Query",
        ),
        ("S3.GET", "bucket evidence: your AWS credentials lack the permission s3:GetObject"),
    ],
)
def test_a_missing_permission_is_named(
    account: DeployedAccount, monkeypatch: pytest.MonkeyPatch, action: str, permission: str
) -> None:
    code = "AccessDenied" if action == "S3.GET" else "AccessDeniedException"
    monkeypatch.setattr(account, "refused", {action: code})

    ran = incidents(account, "run-1", "--evidence")

    assert (ran.status, ran.output) == (2, "")
    [line] = ran.errors.splitlines()
    assert permission in line


def test_without_the_parameters_a_database_that_is_named_is_shown(
    account: DeployedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "refused", {"SSM.GetParametersByPath": "AccessDeniedException"})

    ran = incidents(account, "--database", "orders-prod")

    assert ran.status == 1
    assert ran.document["incidents"]
    [line] = ran.errors.splitlines()
    assert "lack the permission ssm:GetParametersByPath" in line
