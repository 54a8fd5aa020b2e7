"""A database moves to another stack, which is renamed; then a whole stack is removed.

The tests continue the story of `test_end_to_end.py`, in this order, as docs/moving.md says it.
"""

from collections.abc import Mapping

import pytest
from botocore.exceptions import ClientError

from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.slack.slack_blocks import MARKS
from connection_guard.core.notification.status import Status
from doubles.slack_double import Posted, SlackDouble
from doubles.waiting import wait_until
from tests.e2e.account.emulator import Emulator
from tests.e2e.conftest import STACK
from tests.e2e.databases import BILLING, ORDERS, PAYMENTS, RunningDatabase
from tests.e2e.deployed_database import DeployedDatabase
from tests.e2e.deployed_guard import DeployedGuard
from tests.e2e.deployment import Deployment

SECOND, RENAMED = "Second", "Renamed"


@pytest.fixture(scope="module")
def second(
    guard: DeployedGuard,  # noqa: ARG001 - the stack that the database moves from is there first
    deployment: Deployment,
    emulator: Emulator,
    databases: Mapping[str, RunningDatabase],
) -> DeployedGuard:
    outputs = deployment.deploy(SECOND, [BILLING])
    return DeployedGuard(emulator, SECOND, outputs, [databases[BILLING]])


def test_a_database_that_moves_is_guarded_by_both_stacks_meanwhile(
    billing: DeployedDatabase, second: DeployedGuard, slack: SlackDouble
) -> None:
    both = (billing, second.databases[BILLING])
    for each in both:
        each.play_heartbeat()
    applications = billing.running.applications
    applications.fill()
    assert not applications.are_served()

    # CloudWatch measures once for both alarms.
    for each in both:
        each.set_critical_alarm("ALARM")
    wait_until(applications.are_served)

    # Their runs exclude each other: the second one finds the work done.
    wait_until(lambda: all(serves_the_alarm(each) for each in both))
    ended = [
        session["pid"]
        for each in both
        for report in each.reports_of_kind("remediation")
        for session in report["terminated"]
    ]
    assert ended
    assert len(set(ended)) == len(ended)
    assert [each.evaluate_critical_alarm() for each in both] == ["OK", "OK"]
    wait_until(lambda: not any(is_open(each) for each in both))
    # People are notified by both.
    wait_until(lambda: [is_resolved(each) for each in messages_about_it(slack)] == [True, True])


def serves_the_alarm(database: DeployedDatabase) -> bool:
    """Return whether a run of the database's responder has answered to its critical alarm."""
    events = [report["event"] for report in database.reports()]
    alarms = [event["alarm"] for event in events if event["alarm"] is not None]
    return any(
        (alarm["name"], alarm["state"]) == (database.alarm("critical"), "ALARM") for alarm in alarms
    )


def messages_about_it(slack: SlackDouble) -> list[Posted]:
    """Return each message in the channel about the database that moves."""
    return [message for message in slack.channel_view if BILLING in message.text]


def is_resolved(message: Posted) -> bool:
    return message.text.startswith(MARKS[Status.RESOLVED])


def is_open(database: DeployedDatabase) -> bool:
    incident = database.incident()
    return incident is not None and incident.progress is not Progress.CLOSED


def test_a_database_that_has_moved_leaves_nothing_in_its_old_stack(
    guard: DeployedGuard,
    second: DeployedGuard,
    billing: DeployedDatabase,
    deployment: Deployment,
    emulator: Emulator,
    slack: SlackDouble,
) -> None:
    assert parts_of(BILLING, STACK, emulator)
    others = (guard.reporter, *(guard.databases[name].responder for name in (ORDERS, PAYMENTS)))
    versions = [version_of(function, emulator) for function in others]
    shown = messages_about_it(slack)
    deployment.deploy(STACK, [ORDERS, PAYMENTS])
    lines = len(guard.reporter_log())

    assert parts_of(BILLING, STACK, emulator) == []
    assert [version_of(function, emulator) for function in others] == versions
    # The other stack continues, and the reporter of this one says nothing of it; what it stored
    # stays there.
    second.databases[BILLING].play_heartbeat()
    assert messages_about_it(slack) == shown
    assert all(line.get("database") != BILLING for line in guard.reporter_log()[lines:])
    assert billing.reports()


def parts_of(database: str, stack: str, emulator: Emulator) -> list[str]:
    """Return the names of everything in the account that a stack has only for the database."""
    cloudwatch, sns = emulator.client("cloudwatch"), emulator.client("sns")
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=f"{stack}-{database}-")["MetricAlarms"]
    functions = emulator.client("lambda").list_functions()["Functions"]
    rules = emulator.client("events").list_rules()["Rules"]
    parameters = emulator.client("ssm").describe_parameters()["Parameters"]
    roles = emulator.client("iam").list_roles()["Roles"]
    names = [
        *(alarm["AlarmName"] for alarm in alarms),
        *(function["FunctionName"] for function in functions),
        *(each["Endpoint"] for each in sns.list_subscriptions()["Subscriptions"]),
        *(rule["Name"] for rule in rules),
        *(parameter["Name"] for parameter in parameters),
        *(role["RoleName"] for role in roles),
    ]
    return [name for name in names if stack in name and database in name]


def version_of(function: str, emulator: Emulator) -> str:
    """Return what changes whenever the function does."""
    configuration = emulator.client("lambda").get_function_configuration(FunctionName=function)
    return str(configuration["RevisionId"])


def test_a_renamed_stack_guards_on_and_the_old_one_leaves_its_records(
    second: DeployedGuard,
    deployment: Deployment,
    emulator: Emulator,
    databases: Mapping[str, RunningDatabase],
) -> None:
    outputs = deployment.deploy(RENAMED, [BILLING])
    renamed = DeployedGuard(emulator, RENAMED, outputs, [databases[BILLING]])
    renamed.databases[BILLING].play_heartbeat()
    stored = second.databases[BILLING].reports()
    deployment.destroy(SECOND)

    assert parts_of(BILLING, SECOND, emulator) == []
    assert parts_of(BILLING, RENAMED, emulator)
    renamed.databases[BILLING].play_heartbeat()
    kept = second.databases[BILLING].reports()
    assert kept[: len(stored)] == stored  # its last runs may have been stored meanwhile
    assert second.databases[BILLING].incident()
    assert not any(report in kept for report in renamed.databases[BILLING].reports())


def test_destroying_a_stack_keeps_what_was_stored(
    orders: DeployedDatabase, deployment: Deployment, emulator: Emulator
) -> None:
    reports, failures = orders.reports(), orders.failures()
    deployment.destroy(STACK)

    functions = emulator.client("lambda").list_functions()["Functions"]
    assert [each for each in functions if each["FunctionName"].startswith(STACK)] == []
    with pytest.raises(ClientError, match=f"{STACK} does not exist"):
        emulator.client("cloudformation").describe_stacks(StackName=STACK)
    assert (orders.reports(), orders.failures()) == (reports, failures)
