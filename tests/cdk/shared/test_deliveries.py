"""Which messages a topic delivers, and to whom."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from connection_guard.core.report.kind import Kind
from tests.cdk.deployed import (
    SNS,
    subscriptions,
)
from tests.cdk.template import (
    ROOT,
    Template,
    referred,
)


def lets_through(filter_policy: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
    """Apply the rules of SNS for a message body, as far as the stack uses them.

    https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
    """
    for key, expected in filter_policy.items():
        if isinstance(expected, dict):
            if not lets_through(expected, message.get(key, {})):
                return False
        elif not any(is_met(condition, key, message) for condition in expected):
            return False
    return True


def is_met(condition: Mapping[str, Any], key: str, message: Mapping[str, Any]) -> bool:
    match condition:
        case {"exists": bool(exists)}:
            return (key in message) is exists
        case {"anything-but": [*others]}:
            return key in message and message[key] not in others
    raise AssertionError(f"the stack uses another condition: {condition}")


def test_a_report_that_does_not_say_its_kind_is_not_lost(
    template: Template, destinations: dict[str, str]
) -> None:
    [subscription] = subscriptions(template, destinations["OnSuccess"])
    messages: list[dict[str, Any]] = [{}, {"responsePayload": {}}]
    for malformed in messages:
        assert lets_through(subscription["FilterPolicy"], malformed)


@pytest.mark.parametrize("kind", [*Kind, "a_kind_of_the_future"])
def test_reports_of_every_kind_but_heartbeat_reach_the_reporter(
    template: Template, reporter_queue: str, destinations: dict[str, str], kind: str
) -> None:
    [subscription] = subscriptions(template, destinations["OnSuccess"])
    assert subscription["Endpoint"] == f"${{{reporter_queue}.Arn}}"
    assert subscription["FilterPolicyScope"] == "MessageBody"
    report = json.loads((ROOT / "docs/examples/report-remediation.json").read_text()) | {
        "kind": kind
    }
    message = {"requestContext": {"condition": "Success"}, "responsePayload": report}
    assert lets_through(subscription["FilterPolicy"], message) is (kind != Kind.HEARTBEAT)


def test_every_failure_and_every_alarm_of_the_guard_reaches_the_reporter(
    template: Template, reporter_queue: str, guard_alarms: str, destinations: dict[str, str]
) -> None:
    for topic in (destinations["OnFailure"], guard_alarms):
        [subscription] = subscriptions(template, topic)
        assert subscription["Endpoint"] == f"${{{reporter_queue}.Arn}}"
        assert "FilterPolicy" not in subscription


def test_messages_keep_the_envelope_that_names_their_topic(
    template: Template, reporter_queue: str
) -> None:
    subscribed = [
        each
        for each in template.of("AWS::SNS::Subscription").values()
        if each["Endpoint"] == f"${{{reporter_queue}.Arn}}"
    ]
    assert len(subscribed) == 3
    for each in subscribed:
        assert each["Protocol"] == "sqs"
        assert not each.get("RawMessageDelivery")


def test_an_update_loses_nothing_that_was_delivered_without_the_queue_before(
    template: Template, reporter: str, reporter_queue: str
) -> None:
    subscribed = {
        name
        for name, each in template.of("AWS::SNS::Subscription").items()
        if each["Endpoint"] == f"${{{reporter_queue}.Arn}}"
    }
    assert subscribed <= set(template.resources[reporter]["DependsOn"])


def test_a_message_that_fails_takes_no_other_with_it(template: Template) -> None:
    [mapping] = template.of("AWS::Lambda::EventSourceMapping").values()
    assert mapping["BatchSize"] == 1
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 5}
    assert mapping.get("Enabled", True)


def test_the_reporter_runs_every_minute_and_a_run_that_fails_is_left_to_the_next_one(
    template: Template, reporter: str
) -> None:
    [(rule, schedule)] = [
        (name, each)
        for name, each in template.of("AWS::Events::Rule").items()
        if reporter in {referred(target["Arn"]) for target in each["Targets"]}
    ]
    assert (schedule["ScheduleExpression"], schedule["State"]) == ("rate(1 minute)", "ENABLED")
    [target] = schedule["Targets"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    assert "Input" not in target
    [permission] = [
        each
        for each in template.of("AWS::Lambda::Permission").values()
        if referred(each["FunctionName"]) == reporter
    ]
    assert (permission["Principal"], referred(permission["SourceArn"])) == (
        "events.amazonaws.com",
        rule,
    )
    [asynchronous] = [
        each
        for each in template.of("AWS::Lambda::EventInvokeConfig").values()
        if referred(each["FunctionName"]) == reporter
    ]
    assert (asynchronous["MaximumRetryAttempts"], asynchronous["MaximumEventAgeInSeconds"]) == (
        0,
        60,
    )


def test_each_address_is_notified_of_incidents_and_of_a_reporter_that_fails(
    template: Template, smallest: Template
) -> None:
    for deployed in (template, smallest):
        for output in ("IncidentsTopic", "ReporterAlarmsTopic"):
            [email] = subscriptions(deployed, referred(deployed.outputs[output]["Value"]))
            assert (email["Protocol"], email["Endpoint"]) == ("email", "on-call@example.com")


def test_a_topic_may_invoke_the_function_that_is_subscribed_to_it_and_nothing_else_may(
    template: Template,
) -> None:
    invocations = {
        (referred(each["FunctionName"]), each["Principal"], referred(each["SourceArn"]))
        for each in template.of("AWS::Lambda::Permission").values()
        if each["Principal"] != "events.amazonaws.com"
    }
    assert invocations == {
        (referred(each["Endpoint"]), SNS, referred(each["TopicArn"]))
        for each in template.of("AWS::SNS::Subscription").values()
        if each["Protocol"] == "lambda"
    }
