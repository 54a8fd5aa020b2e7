"""What the verbs that ask AWS show: of accounts that moto emulates, and the reporter's own code."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connection_guard.adapters.channels.slack_secret import SlackBot
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from doubles.slack_double import SlackDouble
from reporter.notify_test import test_channels as answers_of_channels
from tests.pictures.shot import picture_of_call, picture_of_dialogue
from tests.support.cli.aws_account import AwsAccount, an_aurora_cluster, aws_account
from tests.support.cli.deployed_account import STACK, DeployedAccount, deployed_account
from tests.support.cli.invoked_reporter import CREDENTIALS, invoked_reporter
from tests.support.cli.live_terminal import LiveTerminal
from tests.support.cli.running import in_a_pipe
from tests.support.configurations import EXAMPLE_FILE
from tests.support.emulated_account import emulated_account
from tests.support.reporter.deliveries import a_report, a_success
from tests.support.reporter.outside import Outside, in_queue, stores_in_memory, stores_of_aws

ORDERS = WatchedDatabase("orders-prod", is_cluster=False, function_name="guards-orders")
USERS = WatchedDatabase("users-prod", is_cluster=True, function_name="guards-users")
RUNS = (
    "0b5ffb3e-5c1e-4f0c-9a3e-2f6f8d1c7a90",
    "9d2c7b1e-5a0f-4f51-b7a6-0c1e2d3f4a5b",
    "6fb81a4e-90f1-4e34-8c0c-1a5d8f6a1f1e",
    "c40d6f92-3b7a-4d8e-a1f5-7e9b2c8d0613",
)

CHANNEL = '[notifications]\nemails = ["platform@example.com"]\n'


def discover(folder: Path) -> str:
    """Show an account's databases, of which one is in guard.toml and was made larger since."""
    (folder / "guard.toml").write_text(CHANNEL)
    with aws_account() as account:
        account.instance("orders", DBInstanceClass="db.m6g.large")
        in_a_pipe("discover", "orders", folder=folder, environment=account.environment)
        account.state.databases["orders"].db_instance_class = "db.m7g.large"
        _other_databases(account)
        return picture_of_call("discover", "--all", folder=folder, environment=account.environment)


def _other_databases(account: AwsAccount) -> None:
    account.instance("cms", EngineVersion="13.18", EnableIAMDatabaseAuthentication=False)
    account.instance("wiki", Engine="mysql", EngineVersion="8.0.35")
    an_aurora_cluster(account)


def incidents(folder: Path) -> str:
    """Show what a week's incidents were, as the reporter stored them."""
    with _deployed(folder) as (account, outside):
        now = datetime.now(UTC)
        first, second, third = (now - timedelta(days=days, hours=3) for days in (5, 2, 0))
        _deliver(outside, first, USERS, "observation", RUNS[0], alarm="ALARM", used=90)
        cleared = first + timedelta(minutes=24)
        _deliver(outside, cleared, USERS, "observation", "cleared-1", alarm="OK", used=40)
        _deliver(outside, second, USERS, "locked_out", RUNS[1])
        _deliver(outside, third, ORDERS, "remediation", RUNS[2], alarm="ALARM")
        cleared = third + timedelta(minutes=9)
        _deliver(outside, cleared, ORDERS, "observation", "cleared-2", alarm="OK", used=31)
        return picture_of_call("incidents", folder=folder, environment=account.environment)


def redrive(folder: Path) -> str:
    """Show three messages of a dead-letter queue, of which one is foreign."""
    with _deployed(folder) as (account, _):
        account.put_aside(
            in_queue(a_success(a_report("remediation"), RUNS[2], ORDERS.function_name)),
            in_queue(a_success(a_report("locked_out"), RUNS[3], ORDERS.function_name)),
            "Is this queue still used? Jo",
        )
        return picture_of_dialogue(
            "redrive", folder=folder, environment=account.environment, person=_agree
        )


def _agree(terminal: LiveTerminal) -> None:
    terminal.wait_for("[y/N]")
    terminal.type("y\n")
    terminal.status()


def notify_test(folder: Path) -> str:
    """Show what the reporter's channels answer, of which Slack's has left a channel."""
    _name_the_stack(folder)
    with pytest.MonkeyPatch.context() as monkeypatch, SlackDouble() as slack:
        _without_proxy(monkeypatch)
        outside = Outside(slack, stores_in_memory())
        outside.secret = SlackBot(slack.token, "C0ARCHIVED", slack.base_url)
        answer = answers_of_channels(outside.notifier, datetime.now(UTC))
    with invoked_reporter() as aws:
        aws.answer = answer
        environment = {"AWS_ENDPOINT_URL": aws.url, **CREDENTIALS}
        return picture_of_call("notify-test", folder=folder, environment=environment)


@contextmanager
def _deployed(folder: Path) -> Iterator[tuple[DeployedAccount, Outside]]:
    """Yield an account with the stack that the folder's guard.toml names, and its reporter."""
    _name_the_stack(folder)
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        emulated_account(monkeypatch),
        SlackDouble() as slack,
    ):
        _without_proxy(monkeypatch)
        outside = Outside(slack, stores_of_aws(), ORDERS, USERS)
        responders = {each.identifier: each.function_name for each in (ORDERS, USERS)}
        with deployed_account(responders) as account:
            yield account, outside


def _name_the_stack(folder: Path) -> None:
    text = EXAMPLE_FILE.read_text()
    named = text.replace('# stack_name = "ConnectionGuard"', f'stack_name = "{STACK}"')
    (folder / "guard.toml").write_text(named)


def _without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """slack_sdk would ask a proxy also for this machine."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def _deliver(
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
