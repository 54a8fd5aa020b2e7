"""The application, deployed as it is by the CDK's own command, on databases that are really full.

AWS is LocalEmu with IAM enforced. Functions run from their deployment packages, each in a process
under Lambda's real runtime client. PostgreSQL is real and uses TLS; PgBouncer serves as the RDS
Proxy of one database; in front of each, a gate accepts only IAM tokens. Of what is deployed, only
guard.toml (see there) and the certificate authorities (see `deployment`) differ from production.
The test evaluates the alarms on expressions: LocalEmu stores them, but does not evaluate them.

The tests are one story, in this order; `test_moving.py` continues it.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from botocore.exceptions import ClientError

from connection_guard.adapters.postgresql.login import sign_token
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.slack.slack_blocks import MARKS
from connection_guard.core.notification.status import Status
from doubles.certificates import Authority
from doubles.slack_double import Posted, SlackDouble
from doubles.waiting import wait_until
from tests.e2e.account.emulator import REGION, Emulator, FunctionProcess
from tests.e2e.account.environments import ROOT
from tests.e2e.conftest import STACK
from tests.e2e.databases import POOL, USABLE, users_behind
from tests.e2e.deployed_database import DeployedDatabase, latest_incident
from tests.e2e.deployed_guard import DeployedGuard
from tests.support.guarded import GUARD


def test_two_full_databases_are_freed_at_once_and_what_was_done_is_stored(
    guard: DeployedGuard,
    orders: DeployedDatabase,
    payments: DeployedDatabase,
    billing: DeployedDatabase,
    slack: SlackDouble,
) -> None:
    # Leaks, but no emergency yet. No alarm has started the guard: its own heartbeats make it look.
    for database in guard.databases.values():
        database.running.applications.leak(USABLE * 6 // 10)
    wait_until(lambda: all(each.published("Usable") for each in guard.databases.values()))
    for database in guard.databases.values():
        assert set(database.published("Usable").values()) == {USABLE}
        assert database.evaluate_critical_alarm() == "OK"

    # The leaks become stale, and then more clients come to two databases than there are
    # connections: neither the proxy nor a server has any left. No heartbeat comes in between, and
    # the guard has lost its seats: only the direct door is left.
    full = (orders, payments)
    wait_until(lambda: all(each.running.leak_is_stale() for each in full))
    wait_until(lambda: all(each.seconds_since_heartbeat() < 30 for each in full))
    for database in full:
        database.running.end_seat()
    orders.running.applications.hold_pool(POOL)
    for database in full:
        database.running.applications.fill()
    assert not any(database.running.applications.are_served() for database in full)
    untouched = billing.running.sessions()

    assert [database.evaluate_critical_alarm() for database in full] == ["ALARM", "ALARM"]
    wait_until(lambda: all(database.running.applications.are_served() for database in full))

    for database in full:
        assert_it_was_freed(database, guard, slack)
    doors = orders.reports_of_kind("remediation")[0]["doors"]
    assert [(door["door"], door["error"] is None) for door in doors][-2:] == [
        (DoorName.PROXY, False),
        (DoorName.DIRECT, True),
    ]

    # Nothing became of the third database, and the reporter gets what was done, but not every
    # heartbeat.
    assert len(slack.channel_view) == len(full)
    assert billing.running.sessions() == untouched
    assert {report["kind"] for report in billing.reports()} <= {"observation"}
    assert (incident := billing.incident()) is None or incident.progress is Progress.CLOSED
    assert "heartbeat" not in {line.get("kind") for line in guard.reporter_log()}


def assert_it_was_freed(
    database: DeployedDatabase, guard: DeployedGuard, slack: SlackDouble
) -> None:
    (remediation,) = wait_until(lambda: database.reports_of_kind("remediation"))
    assert remediation["event"]["alarm"]["name"] == database.alarm("critical")
    assert remediation["server"]["port"] == database.running.server.port
    assert remediation["before"]["used"] >= USABLE
    assert remediation["after"]["utilisation"] < 70
    assert remediation["recovered"]
    assert {each["rule"] for each in remediation["terminated"]} == {"aborted transactions"}

    assert database.evaluate_critical_alarm() == "OK"
    ends = wait_until(
        lambda: [
            each for each in database.reports() if each["received_at"] > remediation["received_at"]
        ]
    )
    assert [(each["kind"], each["event"]["alarm"]["state"]) for each in ends] == [
        ("observation", "OK")
    ]

    # It is one incident, which is resolved, and one message in Slack, edited and with the attempt
    # in its thread.
    wait_until(lambda: (incident := database.incident()) and incident.progress is Progress.CLOSED)
    message = message_about(database, slack)
    wait_until(lambda: message.edits and message.text.startswith(MARKS[Status.RESOLVED]))
    assert f"freed {len(remediation['terminated'])}." in message.text
    attempts = wait_until(
        lambda: [reply for reply in slack.thread_of(message) if "Attempt 1" in reply.text]
    )
    assert len(attempts) == 1
    seen = [
        each
        for each in database.sessions_in_evidence()
        if each["event_key"] == remediation["event"]["key"]
    ]
    assert [each["result"] for each in seen].count("terminated") == len(remediation["terminated"])

    wait_until(lambda: ends[0]["headline"] in messages(guard.reporter_log()))
    assert remediation["headline"] in messages(guard.reporter_log())
    assert not database.reports_of_kind("heartbeat")


def message_about(database: DeployedDatabase, slack: SlackDouble) -> Posted:
    """Return the only message in the channel that is about the database."""
    (message,) = [each for each in slack.channel_view if database.name in each.text]
    return message


def messages(log: list[dict[str, Any]]) -> list[str]:
    return [line["message"] for line in log if "message" in line]


def test_a_token_opens_only_the_door_that_it_was_signed_for(
    orders: DeployedDatabase,
    payments: DeployedDatabase,
    authorities: Mapping[DoorName, Authority],
) -> None:
    responder, gates = orders.process(), orders.running.gates
    proxy, direct = (
        Door(name, "localhost", gates[name].port, GUARD)
        for name in (DoorName.PROXY, DoorName.DIRECT)
    )

    def log_in(door: Door, token: str, user: str = GUARD) -> None:
        start_login_and_wait(door, token, user, authorities[door.name].certificate)

    for door in (proxy, direct):
        log_in(door, token_of(responder, door))
    refusals = gates[DoorName.DIRECT].refusals
    with pytest.raises(psycopg2.OperationalError, match="IAM authentication failed"):
        log_in(direct, token_of(responder, proxy))
    assert (
        refusals[-1] == f"the token is for localhost:{proxy.port}, not for localhost:{direct.port}"
    )

    with pytest.raises(psycopg2.OperationalError, match="IAM authentication failed"):
        log_in(direct, token_of(replace(responder, secret_key="guessed"), direct))
    assert refusals[-1] == "the signature is wrong"

    with pytest.raises(psycopg2.OperationalError, match="IAM authentication failed"):
        log_in(direct, token_of(responder, replace(direct, role="postgres")), user="postgres")
    users = users_behind(orders.name, DoorName.DIRECT)
    assert refusals[-1] == f"{responder.role} may not connect as {users}/postgres"

    another = payments.process()
    with pytest.raises(psycopg2.OperationalError, match="IAM authentication failed"):
        log_in(direct, token_of(another, direct))
    assert refusals[-1] == f"{another.role} may not connect as {users}/{GUARD}"


def token_of(process: FunctionProcess, door: Door) -> str:
    """Return the token that the function would sign."""
    credentials = {
        "AWS_ACCESS_KEY_ID": process.access_key,
        "AWS_SECRET_ACCESS_KEY": process.secret_key,
        "AWS_SESSION_TOKEN": process.session_token,
    }
    return sign_token(door, REGION, credentials)


def start_login_and_wait(door: Door, token: str, user: str, authority: Path) -> None:
    psycopg2.connect(
        host=door.host,
        port=door.port,
        user=user,
        password=token,
        dbname="postgres",
        sslmode="verify-full",
        sslrootcert=str(authority),
    ).close()


def test_a_responder_that_is_killed_at_work_is_reported_as_a_failure_and_replaced(
    orders: DeployedDatabase, slack: SlackDouble
) -> None:
    gates = orders.running.gates
    with (
        gates[DoorName.PROXY].closed() as proxy_is_tried,
        gates[DoorName.DIRECT].closed() as direct_is_tried,
    ):
        orders.set_critical_alarm("ALARM")
        wait_until(lambda: proxy_is_tried.is_set() or direct_is_tried.is_set())
        killed = orders.process()
        os.kill(killed.pid, signal.SIGKILL)
        (failure,) = wait_until(orders.failures)

    assert failure["responsePayload"]["errorType"] == "Runtime.ExitError"
    wait_until(lambda: (incident := orders.incident()) and incident.progress is Progress.ESCALATED)
    # It is the incident that ended a moment ago.
    message = message_about(orders, slack)
    wait_until(lambda: message.text.startswith(MARKS[Status.ACTION_REQUIRED]))

    reports_before = len(orders.reports())
    orders.set_critical_alarm("OK")
    wait_until(lambda: len(orders.reports()) > reports_before)
    assert orders.process().pid != killed.pid


def test_an_alarm_on_the_guard_itself_joins_the_incident(
    orders: DeployedDatabase, slack: SlackDouble
) -> None:
    message = message_about(orders, slack)

    def is_shown() -> bool:
        thread = [reply.content for reply in slack.thread_of(message)]
        return "could not do all of its work" in json.dumps([message.content, *thread])

    assert not is_shown()
    shown_before = slack.channel_view
    orders.set_alarm("unguarded", "ALARM")

    wait_until(is_shown)
    assert slack.channel_view == shown_before
    orders.set_alarm("unguarded", "OK")


def test_what_the_reporter_cannot_read_waits_in_the_dead_letter_queue(
    guard: DeployedGuard, emulator: Emulator
) -> None:
    body = json.dumps({"TopicArn": guard.incidents_topic, "Message": "not what a responder sends"})
    emulator.client("sqs").send_message(QueueUrl=guard.queue, MessageBody=body)

    assert wait_until(guard.take_unreadable) == body


def test_every_channel_answers_to_a_test(
    guard: DeployedGuard, emulator: Emulator, slack: SlackDouble
) -> None:
    shown_before = len(slack.channel_view)

    run = subprocess.run(
        [
            *(sys.executable, "-m", "connection_guard.cli.command_line", "notify-test"),
            *("--stack", STACK, "--region", REGION),
        ],
        env=emulator.root_environment | {"PATH": os.defpath, "PYTHONPATH": str(ROOT / "lambdas")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    answers = {each["channel"]: each["answer"] for each in json.loads(run.stdout)["channels"]}
    assert answers == {"incidents": "delivered", "slack": "delivered"}
    assert len(slack.channel_view) > shown_before
    assert latest_incident(emulator, guard.table, "TEST-nothing-is-wrong") is None


def test_the_responder_has_no_permission_in_aws_but_to_hand_over_its_report(
    guard: DeployedGuard, orders: DeployedDatabase, emulator: Emulator
) -> None:
    responder = orders.process()
    assert (
        responder.role.rpartition("/")[2]
        in emulator.client("sts", responder).get_caller_identity()["Arn"]
    )

    for service, call, arguments in (
        ("dynamodb", "scan", {"TableName": guard.table}),
        ("s3", "list_objects_v2", {"Bucket": guard.bucket}),
        ("sns", "publish", {"TopicArn": guard.incidents_topic, "Message": "all is well"}),
        ("lambda", "get_function", {"FunctionName": orders.responder}),
        ("iam", "list_roles", {}),
    ):
        with pytest.raises(ClientError, match="is not authorized to perform"):
            getattr(emulator.client(service, responder), call)(**arguments)
