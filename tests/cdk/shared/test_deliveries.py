"""Which messages a topic delivers, and to whom."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from connection_guard.core.notification.document import document_of
from connection_guard.core.notification.links import Links
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
from tests.support.builders import an_alarm_event
from tests.support.reporter.incidents import an_entry, an_incident
from tests.support.reporter.views import a_view


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
    template: Template, reporter: str, destinations: dict[str, str], kind: str
) -> None:
    [subscription] = subscriptions(template, destinations["OnSuccess"])
    assert referred(subscription["Endpoint"]) == reporter
    assert subscription["FilterPolicyScope"] == "MessageBody"
    report = json.loads((ROOT / "docs/examples/report-remediation.json").read_text()) | {
        "kind": kind
    }
    message = {"requestContext": {"condition": "Success"}, "responsePayload": report}
    assert lets_through(subscription["FilterPolicy"], message) is (kind != Kind.HEARTBEAT)


def test_every_failure_reaches_the_reporter(
    template: Template, reporter: str, destinations: dict[str, str]
) -> None:
    [subscription] = subscriptions(template, destinations["OnFailure"])
    assert referred(subscription["Endpoint"]) == reporter
    assert "FilterPolicy" not in subscription


def test_each_address_is_notified_of_incidents(
    template: Template, smallest: Template, incidents: str
) -> None:
    of_the_smallest = subscriptions(smallest, referred(smallest.outputs["IncidentsTopic"]["Value"]))
    for subscribed in (subscriptions(template, incidents), of_the_smallest):
        [email] = [each for each in subscribed if each["Protocol"] == "email"]
        assert email["Endpoint"] == "on-call@example.com"


def test_slack_is_notified_of_the_guards_own_alarms_and_not_of_the_reporters_messages(
    template: Template, smallest: Template, reporter: str, incidents: str
) -> None:
    [subscription] = [
        each for each in subscriptions(template, incidents) if each["Protocol"] == "lambda"
    ]
    assert referred(subscription["Endpoint"]) == reporter
    assert subscription["FilterPolicyScope"] == "MessageBody"
    alarm = json.loads(an_alarm_event()["Records"][0]["Sns"]["Message"])
    assert lets_through(subscription["FilterPolicy"], alarm)
    its_own = document_of(
        a_view(an_incident(an_entry(0)), Links(None, "", None, ""), datetime.now(UTC))
    )
    assert not lets_through(subscription["FilterPolicy"], its_own)
    incidents_of_smallest = referred(smallest.outputs["IncidentsTopic"]["Value"])
    assert [each["Protocol"] for each in subscriptions(smallest, incidents_of_smallest)] == [
        "email"
    ]


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
