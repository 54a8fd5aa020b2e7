"""The application, deployed as it is by the CDK's own command, on a database that is really full.

AWS is LocalEmu with IAM enforced. Functions run from their deployment packages, each in a process
under Lambda's real runtime client. PostgreSQL is real and uses TLS; PgBouncer serves as RDS Proxy;
in front of both, a gate accepts only IAM tokens. Of what is deployed, only guard.toml (see there)
and the certificate authorities (see `deployment`) differ from production. The test evaluates the
alarms on expressions: LocalEmu stores them, but does not evaluate them.

The tests are one story, in this order.
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
from doubles.postgresql.postgres_server import PostgresServer
from doubles.slack_double import SlackDouble
from doubles.waiting import wait_until
from tests.e2e.conftest import POOL, SETTINGS, USERS
from tests.e2e.deployed_guard import CRITICAL_ALARM, DeployedGuard
from tests.e2e.deployment import STACK, Deployment
from tests.e2e.emulator import REGION, Emulator, FunctionProcess
from tests.e2e.environments import ROOT
from tests.e2e.filling_clients import Applications
from tests.e2e.iam_gate import IamGate
from tests.support.guarded import GUARD

USABLE = (
    SETTINGS["max_connections"]
    - SETTINGS["superuser_reserved_connections"]
    - SETTINGS["reserved_connections"]
)
ARE_STALE = (
    "SELECT bool_and(clock_timestamp() - state_change > '1 minute') FROM pg_stat_activity WHERE "
    "state = 'idle in transaction (aborted)'"
)


def test_a_full_database_is_freed_and_what_was_done_is_stored(
    guard: DeployedGuard, server: PostgresServer, applications: Applications, slack: SlackDouble
) -> None:
    # A leak, but no emergency yet. No alarm has started the guard: its own heartbeat makes it look.
    applications.leak(USABLE * 6 // 10)
    assert wait_until(lambda: guard.published("Heartbeat"))
    assert set(guard.published("Usable").values()) == {USABLE}
    assert guard.evaluate_critical_alarm() == "OK"

    # The leak becomes stale, and then more clients come than there are connections: neither the
    # proxy nor the server has any left. No heartbeat comes in between, and the guard has lost its
    # seat: only the second door is left.
    wait_until(
        lambda: server.execute(ARE_STALE) == [(True,)] and guard.seconds_since_heartbeat() < 30
    )
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (GUARD,)
    )
    applications.hold_pool(POOL)
    applications.fill()
    assert not applications.are_served()

    assert guard.evaluate_critical_alarm() == "ALARM"
    wait_until(applications.are_served)

    (remediation,) = wait_until(lambda: guard.reports_of_kind("remediation"))
    assert remediation["event"]["alarm"]["name"] == CRITICAL_ALARM
    assert remediation["before"]["used"] >= USABLE
    assert remediation["after"]["utilisation"] < 70
    assert remediation["recovered"]
    assert {each["rule"] for each in remediation["terminated"]} == {"aborted transactions"}
    assert [(door["door"], door["error"] is None) for door in remediation["doors"]][-2:] == [
        (DoorName.PROXY, False),
        (DoorName.DIRECT, True),
    ]

    assert guard.evaluate_critical_alarm() == "OK"
    ends = wait_until(
        lambda: [
            each for each in guard.reports() if each["received_at"] > remediation["received_at"]
        ]
    )
    assert [(each["kind"], each["event"]["alarm"]["state"]) for each in ends] == [
        ("observation", "OK")
    ]

    # It is one incident, which is resolved, and one message in Slack, edited and with the attempt
    # in its thread.
    wait_until(lambda: (incident := guard.incident()) and incident.progress is Progress.CLOSED)
    (message,) = slack.channel_view
    wait_until(lambda: message.edits and message.text.startswith(MARKS[Status.RESOLVED]))
    assert f"freed {len(remediation['terminated'])}." in message.text
    attempts = wait_until(
        lambda: [reply for reply in slack.thread_of(message) if "Attempt 1" in reply.text]
    )
    assert len(attempts) == 1
    seen = [
        each
        for each in guard.sessions_in_evidence()
        if each["event_key"] == remediation["event"]["key"]
    ]
    assert [each["result"] for each in seen].count("terminated") == len(remediation["terminated"])

    # The reporter gets what was done, but not every heartbeat.
    wait_until(lambda: ends[0]["headline"] in messages(guard.log("reporter")))
    assert remediation["headline"] in messages(guard.log("reporter"))
    assert "heartbeat" not in {line.get("kind") for line in guard.log("reporter")}
    assert not guard.reports_of_kind("heartbeat")


def messages(log: list[dict[str, Any]]) -> list[str]:
    return [line["message"] for line in log if "message" in line]


def test_a_token_opens_only_the_door_that_it_was_signed_for(
    guard: DeployedGuard,
    gates: Mapping[DoorName, IamGate],
    authorities: Mapping[DoorName, Authority],
) -> None:
    responder = guard.responder_process()
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
    assert refusals[-1] == f"{responder.role} may not connect as {USERS[DoorName.DIRECT]}/postgres"


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
    guard: DeployedGuard, gates: Mapping[DoorName, IamGate], slack: SlackDouble
) -> None:
    with (
        gates[DoorName.PROXY].closed() as proxy_is_tried,
        gates[DoorName.DIRECT].closed() as direct_is_tried,
    ):
        guard.set_critical_alarm("ALARM")
        wait_until(lambda: proxy_is_tried.is_set() or direct_is_tried.is_set())
        killed = guard.responder_process()
        os.kill(killed.pid, signal.SIGKILL)
        (failure,) = wait_until(guard.failures)

    assert failure["responsePayload"]["errorType"] == "Runtime.ExitError"
    wait_until(lambda: (incident := guard.incident()) and incident.progress is Progress.ESCALATED)
    # It is the incident that ended a moment ago.
    (message,) = slack.channel_view
    wait_until(lambda: message.text.startswith(MARKS[Status.ACTION_REQUIRED]))

    reports_before = len(guard.reports())
    guard.set_critical_alarm("OK")
    wait_until(lambda: len(guard.reports()) > reports_before)
    assert guard.responder_process().pid != killed.pid


def test_an_alarm_on_the_guard_itself_joins_the_incident(
    guard: DeployedGuard, slack: SlackDouble
) -> None:
    (message,) = slack.channel_view

    def is_shown() -> bool:
        thread = [reply.content for reply in slack.thread_of(message)]
        return "could not log in through any door" in json.dumps([message.content, *thread])

    assert not is_shown()
    guard.set_alarm("locked-out", "ALARM")

    wait_until(is_shown)
    assert slack.channel_view == [message]
    guard.set_alarm("locked-out", "OK")


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
    assert guard.incident_of("TEST-nothing-is-wrong") is None


def test_the_responder_has_no_permission_in_aws_but_to_hand_over_its_report(
    guard: DeployedGuard, emulator: Emulator
) -> None:
    responder = guard.responder_process()
    assert (
        responder.role.rpartition("/")[2]
        in emulator.client("sts", responder).get_caller_identity()["Arn"]
    )

    for service, call, arguments in (
        ("dynamodb", "scan", {"TableName": guard.table}),
        ("s3", "list_objects_v2", {"Bucket": guard.bucket}),
        ("sns", "publish", {"TopicArn": guard.incidents_topic, "Message": "all is well"}),
        ("lambda", "get_function", {"FunctionName": guard.responder}),
        ("iam", "list_roles", {}),
    ):
        with pytest.raises(ClientError, match="is not authorized to perform"):
            getattr(emulator.client(service, responder), call)(**arguments)


def test_destroying_the_stack_keeps_what_was_stored(
    guard: DeployedGuard, deployment: Deployment, emulator: Emulator
) -> None:
    reports, failures = guard.reports(), guard.failures()
    deployment.destroy()

    assert emulator.client("lambda").list_functions()["Functions"] == []
    with pytest.raises(ClientError, match=f"{STACK} does not exist"):
        emulator.client("cloudformation").describe_stacks(StackName=STACK)
    assert (guard.reports(), guard.failures()) == (reports, failures)
