"""How the responder runs, and what invokes it."""

import re

import pytest

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
)
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.events import MAXIMUM_EVENT_AGE, AlarmNotification, read_event
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.policy import Tier
from tests.cdk.database.stacks_of_one import (
    DATABASES,
    invoked_by_topics,
    responder,
    settings,
    stack_with,
    the,
    the_invocation,
    the_schedule,
    topics_to_reporter,
)
from tests.cdk.template import (
    referred,
    synthesized,
)
from tests.support.builders import an_alarm_event
from tests.support.configurations import (
    ACCOUNT,
    REGION,
    a_configuration,
    a_database,
    a_new_proxy,
    a_target,
)


def test_a_run_is_never_repeated_and_its_outcome_is_published_in_any_case() -> None:
    deployed = stack_with("without proxy")
    invocation = the_invocation(deployed)
    assert invocation["MaximumRetryAttempts"] == 0
    assert invocation["MaximumEventAgeInSeconds"] == MAXIMUM_EVENT_AGE.total_seconds()
    destinations = {
        outcome: each["Destination"] for outcome, each in invocation["DestinationConfig"].items()
    }
    reporter = topics_to_reporter(deployed)
    # Reports are filtered by their kind, failures never are.
    assert "FilterPolicy" in reporter[destinations["OnSuccess"]]
    assert "FilterPolicy" not in reporter[destinations["OnFailure"]]


def test_it_is_over_before_the_next_minute_in_private_subnets() -> None:
    _, function = responder(stack_with("without proxy"))
    assert function["Timeout"] < 60
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["arm64"]
    assert tuple(function["VpcConfig"]["SubnetIds"]) == a_database().network.subnets


def test_no_concurrency_is_reserved() -> None:
    """A new account has none to reserve, and an alarm must not wait until a watch ends."""
    assert "ReservedConcurrentExecutions" not in responder(stack_with("without proxy"))[1]


def test_the_local_machine_runs_it_too() -> None:
    _, function = responder(
        synthesized(a_configuration(target=a_target(architecture=Architecture.X86_64)))
    )
    assert function["Architectures"] == ["x86_64"]


def test_all_responders_write_to_one_log_that_is_bounded() -> None:
    names = ("orders", "ledger")
    deployed = synthesized(a_configuration(*(a_database(identifier=each) for each in names)))
    [log] = {referred(responder(deployed, each)[1]["LoggingConfig"]["LogGroup"]) for each in names}
    log_group = deployed.resources[log]["Properties"]
    assert log_group["LogGroupName"] == "/connection-guard/connection-guard"
    assert log_group["RetentionInDays"] <= 90


def test_the_longest_identifier_fits_into_the_names_of_the_function_and_of_the_proxy() -> None:
    longest = "o" * 63
    deployed = synthesized(a_configuration(a_database(identifier=longest, proxy=a_new_proxy())))
    functions = [each["FunctionName"] for each in deployed.of("AWS::Lambda::Function").values()]
    assert max(map(len, functions)) <= 64
    proxy = the(deployed, "AWS::RDS::DBProxy")[1]["DBProxyName"]
    assert len(proxy) <= 60
    assert re.fullmatch("[a-z](-?[a-z0-9])*", proxy)


def test_the_heartbeat_begins_when_the_way_in_is_open_and_ends_before_it_is_closed() -> None:
    deployed = synthesized(a_configuration(a_database(proxy=a_new_proxy())))
    name, _ = the_schedule(deployed)
    for way_in in ("AWS::EC2::SecurityGroupIngress", "AWS::RDS::DBProxyTargetGroup"):
        assert set(deployed.of(way_in)) <= set(deployed.resources[name]["DependsOn"])


@pytest.mark.parametrize("of", DATABASES)
def test_its_settings_name_its_doors_and_its_alarms(of: str) -> None:
    deployed, database = stack_with(of), DATABASES[of]
    known = settings(deployed)
    proxy: Door | None = None
    match of:
        case "existing proxy":
            host = "orders.proxy-c0ffee.eu-central-1.rds.amazonaws.com"
            proxy = Door(DoorName.PROXY, host, 5432, "connection_guard")
        case "new proxy with iam" | "new proxy with secret":
            host = f"${{{the(deployed, 'AWS::RDS::DBProxy')[0]}.Endpoint}}"
            role = "connection_guard" if of == "new proxy with iam" else "connection_guard_proxy"
            proxy = Door(DoorName.PROXY, host, 5432, role)
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:connection-guard-orders"
    assert known == ResponderSettings(
        database="orders",
        database_name="postgres",
        region=REGION,
        proxy=proxy,
        direct=Door(DoorName.DIRECT, database.host, 5432, "connection_guard"),
        warning_percent=75,
        critical_percent=90,
        watch_from_percent=75,
        alarms={
            f"{alarm}-warning": Tier.WARNING,
            f"{alarm}-critical": Tier.CRITICAL,
            f"{alarm}-critical-measured": Tier.CRITICAL,
        },
    )


def test_the_responder_knows_every_alarm_that_invokes_it() -> None:
    deployed = stack_with("without proxy")
    [topic] = {each["TopicArn"] for each in invoked_by_topics(deployed)}
    known = settings(deployed)
    fires = [
        each
        for each in deployed.of("AWS::CloudWatch::Alarm").values()
        if each["AlarmActions"] == [topic]
    ]
    assert len(fires) == len(known.alarms)
    for alarm in fires:
        arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm['AlarmName']}"
        event = read_event(an_alarm_event(arn, database="orders"), known)
        assert isinstance(event, AlarmNotification)
        assert event.tier == (Tier.WARNING if alarm["Threshold"] == 75 else Tier.CRITICAL)


def test_only_its_alarms_and_its_heartbeat_may_invoke_it() -> None:
    deployed = stack_with("without proxy")
    name, _ = responder(deployed)
    [subscription] = invoked_by_topics(deployed)
    rule, _ = the_schedule(deployed)
    permissions = [
        each
        for each in deployed.of("AWS::Lambda::Permission").values()
        if referred(each["FunctionName"]) == name
    ]
    assert {(each["Action"], each["Principal"], each["SourceArn"]) for each in permissions} == {
        ("lambda:InvokeFunction", "sns.amazonaws.com", subscription["TopicArn"]),
        ("lambda:InvokeFunction", "events.amazonaws.com", f"${{{rule}.Arn}}"),
    }


def test_an_alarm_that_cannot_be_delivered_is_kept_and_the_reporter_is_notified() -> None:
    deployed = stack_with("without proxy")
    [subscription] = invoked_by_topics(deployed)
    queue = referred(subscription["RedrivePolicy"]["deadLetterTargetArn"])
    assert deployed.who_may("sqs:SendMessage", queue) == {"sns.amazonaws.com"}
    watching = [
        each
        for each in deployed.of("AWS::CloudWatch::Alarm").values()
        if f"${{{queue}.QueueName}}"
        in [dimension["Value"] for dimension in each.get("Dimensions", ())]
    ]
    [alarm] = watching
    [topic] = alarm["AlarmActions"]
    assert "FilterPolicy" not in topics_to_reporter(deployed)[topic]


def test_it_looks_at_its_database_every_minute_and_never_catches_up() -> None:
    deployed = stack_with("without proxy")
    name, _ = responder(deployed)
    _, rule = the_schedule(deployed)
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
    [target] = rule["Targets"]
    assert target["Arn"] == f"${{{name}.Arn}}"
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    assert "Input" not in target  # the responder reads the time from the event itself
