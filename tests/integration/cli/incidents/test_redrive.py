"""`connection-guard redrive`: what the reporter could not read is explained, and sent again."""

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.support.cli.deployed_account import STACK, DeployedAccount, deployed_account
from tests.support.cli.running import COMMAND, ROOT, SECONDS, Ran, at_a_terminal, in_a_pipe
from tests.support.emulated_account import emulated_account
from tests.support.reporter.deliveries import a_crash, a_report, a_success
from tests.support.reporter.outside import in_queue

REPORT = in_queue(a_success(a_report("remediation"), "run-1", "guards-orders"))
FAILURE = in_queue(a_crash("\x1b[2JRuntime exited [bold]with error: signal: killed"))
ALARM = in_queue(
    {
        "AlarmName": "Guard-undelivered-reports",
        "AlarmArn": "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:Guard-undelivered-reports",
        "AlarmDescription": "The reporter could not read a message. The message stays.",
        "NewStateValue": "ALARM",
        "OldStateValue": "OK",
        "StateChangeTime": "2026-11-20T03:00:00.000+0000",
    }
)
NO_REPORT = in_queue({"requestContext": {"condition": "Success"}})
NO_JSON = "\x07 no JSON \u202e[link=http://example.com]at all"
DEEP = "[" * 20_000
READABLE, UNREADABLE = (REPORT, FAILURE, ALARM), (NO_REPORT, NO_JSON, DEEP)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployedAccount]:
    with (
        emulated_account(monkeypatch),
        deployed_account({"orders-prod": "guards-orders", "users-prod": "responder"}) as account,
    ):
        yield account


def redrive(account: DeployedAccount, *arguments: str | Path) -> Ran:
    return in_a_pipe("redrive", "--stack", STACK, *arguments, environment=account.environment)


def at_terminal(account: DeployedAccount, *arguments: str | Path, answers: str = "") -> Ran:
    return at_a_terminal(
        "redrive",
        "--stack",
        STACK,
        *arguments,
        environment=account.environment,
        answers=answers,
        columns=140,
    )


def fates(ran: Ran) -> list[str]:
    return [each["fate"] for each in ran.document["messages"]]


def test_an_empty_queue_is_well(account: DeployedAccount) -> None:
    ran = redrive(account, "--yes")
    assert (ran.status, ran.errors, ran.document["messages"]) == (0, "", [])


def test_a_pipe_only_lists_and_the_messages_can_be_received_at_once(
    account: DeployedAccount,
) -> None:
    account.put_aside(*READABLE, *UNREADABLE)

    ran = redrive(account, "--delete-unreadable")

    assert (ran.status, ran.errors) == (1, "")
    what = {each["what"]: each for each in ran.document["messages"]}
    assert what["report"]["database"] == "orders-prod"
    assert what["report"]["run"] == "run-1"
    assert what["report"]["headline"].startswith("orders-prod: 97 of 97 connections in use")
    assert what["report"]["receives"] == 1
    assert what["failure"]["database"] == "users-prod", "whose responder it was"
    assert what["guard alarm"]["database"] == STACK
    assert what["guard alarm"]["headline"] == "The reporter could not read a message"
    problems = [
        each["problem"] for each in ran.document["messages"] if each["what"] == "unreadable"
    ]
    assert len(problems) == 3
    assert any("expected Lambda's record of a Report" in each for each in problems)
    assert any(
        "expected a message of SNS; found none (JSONDecodeError" in each for each in problems
    )
    assert any("RecursionError" in each for each in problems)
    assert account.bodies_in(account.main) == []
    assert account.bodies_in(account.unreadable) == sorted((*READABLE, *UNREADABLE))


def test_what_the_reporter_can_read_is_sent_again_with_its_duplicates_and_the_rest_is_left(
    account: DeployedAccount,
) -> None:
    account.put_aside(*READABLE, REPORT, *UNREADABLE)

    ran = redrive(account, "--yes")

    assert (ran.status, ran.errors) == (1, "")
    assert sorted(fates(ran)) == ["left"] * 3 + ["sent again"] * 4
    assert account.bodies_in(account.main) == sorted((*READABLE, REPORT))
    assert account.bodies_in(account.unreadable) == sorted(UNREADABLE)


def test_more_messages_than_a_request_returns_are_all_sent_again(account: DeployedAccount) -> None:
    reports = [
        in_queue(a_success(a_report("remediation"), f"run-{number}")) for number in range(35)
    ]
    account.put_aside(*reports)

    ran = redrive(account, "--yes")

    assert (ran.status, fates(ran)) == (0, ["sent again"] * 35)
    assert account.bodies_in(account.main) == sorted(reports)
    assert account.bodies_in(account.unreadable) == []


def test_a_person_is_asked_and_reads_no_escapes(account: DeployedAccount) -> None:
    account.put_aside(*READABLE, NO_JSON)

    ran = at_terminal(account, answers="n\n")

    assert ran.status == 1
    assert "Send 3 messages to the reporter again? [y/N]: " in ran.output
    assert ran.output.endswith("Of 4 messages: 4 left.")
    assert "orders-prod" in ran.output
    assert account.bodies_in(account.unreadable) == sorted((*READABLE, NO_JSON))

    ran = at_terminal(account, answers="y\n")

    assert ran.status == 1
    assert ran.output.endswith("Of 4 messages: 1 left, 3 sent again.")
    assert account.bodies_in(account.unreadable) == [NO_JSON]


def test_one_who_leaves_at_the_question_leaves_the_messages_to_others(
    account: DeployedAccount,
) -> None:
    account.put_aside(REPORT)

    ran = at_terminal(account, answers="\x04")

    assert ran.status == 130
    assert ran.output.endswith("connection-guard: interrupted")
    assert account.bodies_in(account.unreadable) == [REPORT]


def test_one_who_interrupts_it_while_it_sends_loses_nothing(account: DeployedAccount) -> None:
    account.put_aside(REPORT, NO_JSON)
    began = Event()
    account.meanwhile["SQS.SendMessage"] = began.set
    process = subprocess.Popen(
        [*COMMAND, "redrive", "--stack", STACK, "--yes"],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'lambdas'}", **account.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert began.wait(SECONDS)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=SECONDS)

    assert (process.returncode, errors.strip()) == (130, "connection-guard: interrupted")
    assert {each["fate"] for each in json.loads(output)["messages"]} == {"left"}
    assert account.bodies_in(account.unreadable) == sorted((REPORT, NO_JSON))


def test_what_is_deleted_was_saved_before_for_its_owner_only(
    account: DeployedAccount, tmp_path: Path
) -> None:
    account.put_aside(REPORT, *UNREADABLE)

    ran = redrive(account, "--yes", "--delete-unreadable", "--save", tmp_path / "messages")

    assert (ran.status, sorted(fates(ran))) == (0, ["deleted"] * 3 + ["sent again"])
    saved = list((tmp_path / "messages").iterdir())
    assert sorted(each.read_text() for each in saved) == sorted((REPORT, *UNREADABLE))
    assert {stat.S_IMODE(each.stat().st_mode) for each in saved} == {0o600}
    assert account.bodies_in(account.unreadable) == []


def test_nothing_is_sent_or_deleted_where_it_cannot_be_saved(account: DeployedAccount) -> None:
    account.put_aside(REPORT, NO_JSON)

    ran = redrive(account, "--yes", "--delete-unreadable", "--save", "/dev/null/messages")

    assert ran.status == 2
    assert "name another folder with --save" in ran.errors
    assert account.bodies_in(account.unreadable) == sorted((REPORT, NO_JSON))
    assert account.bodies_in(account.main) == []


def test_a_failure_between_sending_and_deleting_loses_nothing(account: DeployedAccount) -> None:
    others = [in_queue(a_success(a_report("remediation"), f"run-{each}")) for each in (2, 3)]
    account.put_aside(REPORT, *others)
    account.refused["SQS.DeleteMessage"] = "AccessDenied"
    account.allowed_before["SQS.DeleteMessage"] = 1

    ran = redrive(account, "--yes")

    assert ran.status == 2
    [line] = ran.errors.splitlines()
    assert "your AWS credentials lack the permission sqs:DeleteMessage" in line
    assert sorted(fates(ran)) == ["left", "sent again", "sent again, but not deleted"]
    assert len(account.bodies_in(account.main)) == 2
    assert len(account.bodies_in(account.unreadable)) == 2
    everywhere = account.bodies_in(account.main) + account.bodies_in(account.unreadable)
    assert set(everywhere) == {REPORT, *others}

    account.refused.clear()
    again = redrive(account, "--yes")

    assert again.status == 0
    assert set(account.bodies_in(account.main)) == {REPORT, *others}
    assert account.bodies_in(account.unreadable) == []


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("SQS.ReceiveMessage", "sqs:ReceiveMessage"),
        ("SQS.ListDeadLetterSourceQueues", "sqs:ListDeadLetterSourceQueues"),
        ("SQS.SendMessage", "sqs:SendMessage"),
    ],
)
def test_a_missing_permission_is_named_and_nothing_is_lost(
    account: DeployedAccount, action: str, permission: str
) -> None:
    account.put_aside(REPORT)
    account.refused[action] = "AccessDenied"

    ran = redrive(account, "--yes")

    assert ran.status == 2
    [line] = ran.errors.splitlines()
    assert f"your AWS credentials lack the permission {permission}" in line
    account.refused.clear()
    assert account.bodies_in(account.unreadable) == [REPORT]
    assert account.bodies_in(account.main) == []


def test_who_may_not_release_messages_is_shown_when_they_are_back(account: DeployedAccount) -> None:
    account.put_aside(NO_JSON)
    account.refused["SQS.ChangeMessageVisibilityBatch"] = "AccessDenied"

    ran = redrive(account)

    assert ran.status == 1
    assert (
        "can be seen again only in 10 min: your AWS credentials lack the permission" in ran.errors
    )
    assert json.loads(ran.output)["messages"][0]["fate"] == "left"
