"""What becomes of a message that cannot be delivered, and where alarms go."""

import json

from tests.cdk.deployed import (
    SNS,
)
from tests.cdk.template import (
    Template,
    referred,
)
from tests.support.configurations import (
    ACCOUNT,
    REGION,
)


def test_what_a_topic_cannot_deliver_waits_in_a_queue_that_this_topic_may_write_to(
    template: Template,
) -> None:
    for subscription in template.of("AWS::SNS::Subscription").values():
        queue = referred(subscription["RedrivePolicy"]["deadLetterTargetArn"])
        assert queue in template.of("AWS::SQS::Queue")
        conditions = [
            each.condition
            for each in template.allowing("sqs:SendMessage", queue)
            if SNS in each.principals
        ]
        assert {"ArnEquals": {"aws:SourceArn": subscription["TopicArn"]}} in conditions


def test_what_the_reporter_cannot_handle_waits_in_a_queue(
    template: Template, reporter: str
) -> None:
    [config] = [
        each
        for each in template.of("AWS::Lambda::EventInvokeConfig").values()
        if referred(each["FunctionName"]) == reporter
    ]
    queue = referred(config["DestinationConfig"]["OnFailure"]["Destination"])
    assert template.role_of(reporter) in template.who_may("sqs:SendMessage", queue)
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (2, 6 * 60 * 60)


def test_only_topics_and_the_reporter_write_to_queues_and_only_people_read(
    template: Template, reporter: str
) -> None:
    for queue in template.of("AWS::SQS::Queue"):
        for statement in template.allowing("sqs:SendMessage", queue):
            assert statement.holder == template.role_of(reporter) or (
                statement.principals == {SNS}
                and statement.condition["ArnEquals"].keys() == {"aws:SourceArn"}
            )
        assert template.who_may("sqs:ReceiveMessage", queue) == set()


def test_every_queue_is_encrypted_keeps_for_14_days_and_is_watched(
    template: Template, incidents: str
) -> None:
    watched = {
        referred(dimension["Value"]): alarm
        for alarm in template.of("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
        for dimension in alarm["Dimensions"]
    }
    for queue, properties in template.of("AWS::SQS::Queue").items():
        assert properties["SqsManagedSseEnabled"]
        assert properties["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
        alarm = watched[queue]
        assert (alarm["Statistic"], alarm["Threshold"], alarm["EvaluationPeriods"]) == (
            "Maximum",
            1,
            1,
        )
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert alarm["AlarmActions"] == [f"${{{incidents}}}"]


def test_alarms_either_engage_the_responder_that_knows_them_or_notify_people(
    template: Template, responders: set[str], alarm_topics: set[str], incidents: str
) -> None:
    known = json.dumps(
        [template.resources[each]["Properties"]["Environment"] for each in responders]
    )
    used = set()
    for alarm in template.of("AWS::CloudWatch::Alarm").values():
        [action] = alarm["AlarmActions"]
        assert alarm["OKActions"] == [action]
        assert "InsufficientDataActions" not in alarm
        assert alarm["AlarmDescription"]
        topic = referred(action)
        used.add(topic)
        engages = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm.get('AlarmName')}" in known
        assert topic in alarm_topics if engages else topic == incidents
    assert used == alarm_topics | {incidents}
