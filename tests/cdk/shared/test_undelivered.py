"""What becomes of a message that cannot be delivered, and where alarms go."""

import json

from tests.cdk.deployed import (
    SNS,
)
from tests.cdk.template import (
    Properties,
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


def test_what_the_reporter_cannot_read_goes_to_a_queue_from_which_it_can_be_sent_again(
    template: Template, reporter: str, reporter_queue: str, unreadable: str
) -> None:
    assert template.role_of(reporter) in template.who_may("sqs:SendMessage", unreadable)
    [alarm] = [
        each
        for each in template.of("AWS::CloudWatch::Alarm").values()
        if each["AlarmName"].endswith("-undelivered-reports")
    ]
    assert "`connection-guard redrive --stack connection-guard`" in alarm["AlarmDescription"]
    main = template.of("AWS::SQS::Queue")[reporter_queue]
    assert referred(main["RedrivePolicy"]["deadLetterTargetArn"]) == unreadable, "how it is found"


def test_a_store_may_be_down_for_a_day_before_a_message_is_put_aside(
    template: Template, reporter: str, reporter_queue: str
) -> None:
    """A message that could not be stored comes back after the visibility timeout."""
    queue = template.of("AWS::SQS::Queue")[reporter_queue]
    timeout = template.of("AWS::Lambda::Function")[reporter]["Timeout"]
    assert queue["VisibilityTimeout"] == 120 > timeout, "nobody else gets it meanwhile"
    assert queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"] > 24 * 60 * 60


def test_only_topics_and_the_reporter_write_to_queues_and_only_the_reporter_reads_its_own(
    template: Template, reporter: str, reporter_queue: str, unreadable: str
) -> None:
    role = template.role_of(reporter)
    for queue in template.of("AWS::SQS::Queue"):
        for statement in template.allowing("sqs:SendMessage", queue):
            assert (statement.holder == role and queue == unreadable) or (
                statement.principals == {SNS}
                and statement.condition["ArnEquals"].keys() == {"aws:SourceArn"}
            )
        readers = {role} if queue == reporter_queue else set()
        assert template.who_may("sqs:ReceiveMessage", queue) == readers


def watched_by(template: Template, metric: str) -> dict[str, Properties]:
    """Return the alarm on the metric of each queue that has one."""
    return {
        referred(dimension["Value"]): alarm
        for alarm in template.of("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == metric
        for dimension in alarm["Dimensions"]
    }


def test_every_queue_is_encrypted_and_keeps_for_14_days(template: Template) -> None:
    for properties in template.of("AWS::SQS::Queue").values():
        assert properties["SqsManagedSseEnabled"]
        assert properties["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


def test_a_message_that_waits_for_the_reporter_for_15_minutes_is_an_alarm_to_people(
    template: Template, reporter_queue: str, reporter_alarms: str
) -> None:
    watched = watched_by(template, "ApproximateAgeOfOldestMessage")
    assert watched.keys() == {reporter_queue}
    alarm = watched[reporter_queue]
    assert (alarm["Statistic"], alarm["Period"], alarm["EvaluationPeriods"]) == ("Maximum", 60, 1)
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (15 * 60, "GreaterThanThreshold")
    assert alarm["AlarmActions"] == [f"${{{reporter_alarms}}}"]


def test_a_message_in_a_dead_letter_queue_is_an_alarm(
    template: Template, reporter_queue: str, guard_alarms: str
) -> None:
    watched = watched_by(template, "ApproximateNumberOfMessagesVisible")
    assert watched.keys() == set(template.of("AWS::SQS::Queue")) - {reporter_queue}
    for alarm in watched.values():
        assert (alarm["Statistic"], alarm["Threshold"], alarm["EvaluationPeriods"]) == (
            "Maximum",
            1,
            1,
        )
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert alarm["AlarmActions"] == [f"${{{guard_alarms}}}"]


def test_each_alarm_engages_the_responder_that_knows_it_or_is_reported_in_one_way(
    template: Template,
    responders: set[str],
    alarm_topics: set[str],
    guard_alarms: str,
    reporter_alarms: str,
) -> None:
    known = json.dumps(
        [template.resources[each]["Properties"]["Environment"] for each in responders]
    )
    used = set()
    to_people = set()
    for alarm in template.of("AWS::CloudWatch::Alarm").values():
        [action] = alarm["AlarmActions"]
        assert alarm["OKActions"] == [action]
        assert "InsufficientDataActions" not in alarm
        assert alarm["AlarmDescription"]
        topic = referred(action)
        used.add(topic)
        engages = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm.get('AlarmName')}" in known
        assert (topic in alarm_topics) is engages
        if topic == reporter_alarms:
            to_people.add(alarm["AlarmName"])
    assert used == alarm_topics | {guard_alarms, reporter_alarms}
    assert to_people == {
        "connection-guard-reporter-failed",
        "connection-guard-reporter-not-reading",
    }
