"""The reporter's queue: everything that it is to handle waits there until it has done so."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from connection_guard.core.report.kind import Kind
from connection_guard_cdk.shared.messaging import LONGEST_RETENTION
from connection_guard_cdk.shared.shared_parts import SharedParts

# `responsePayload` is Lambda's name in the message to a destination, `kind` the report's own.
EVERY_KIND_BUT_HEARTBEAT = {
    "responsePayload": sns.FilterOrPolicy.policy(
        {
            "kind": sns.FilterOrPolicy.filter(
                sns.SubscriptionFilter([{"anything-but": [Kind.HEARTBEAT]}, {"exists": False}])
            )
        }
    )
}

# A message that was not handled comes back after this: at least as long as a run may take.
COMES_BACK_AFTER = Duration.minutes(2)
# The most that SQS takes: a table that is down for a day refuses a message 720 times.
MOST_RECEIVES = 1000
LONG_WAIT = Duration.minutes(15)


class ReporterQueue(Construct):
    """The responders' reports, except heartbeats, their failures, and the guard's own alarms in one
    `main` queue, each in the envelope of SNS, which names its topic.

    What the reporter cannot read is sent on to `unreadable`, and so is what SNS could not deliver.
    """

    def __init__(self, scope: Construct, identifier: str, shared: SharedParts) -> None:
        super().__init__(scope, identifier)
        stack, messaging = Stack.of(self).stack_name, shared.messaging
        self._alarm_prefix = shared.alarm_prefix
        self.main = sqs.Queue(
            self,
            "Queue",
            # SQS's own keys: SNS decrypts what it delivers, and needs no permission on them.
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=LONGEST_RETENTION,
            visibility_timeout=COMES_BACK_AFTER,
        )
        # The scope is that of the first version: another would be another queue to CloudFormation,
        # and the old one would be deleted with what it holds.
        self.unreadable = messaging.dead_letter_queue(
            scope,
            "Undelivered",
            alarm_name=f"{shared.alarm_prefix}-undelivered-reports",
            problem="The reporter could not read a message, or the message did not reach it: an "
            "incident may be incomplete, and people may not have been notified of it.",
            what_to_do=f"`connection-guard redrive --stack {stack}` shows what it is and why it "
            "cannot be read, and sends it again where it can be. Where an update of the guard can "
            "read it, deploy that first.",
        )
        resource = self.main.node.default_child
        assert isinstance(resource, sqs.CfnQueue)
        resource.redrive_policy = {
            "deadLetterTargetArn": self.unreadable.queue_arn,
            "maxReceiveCount": MOST_RECEIVES,
        }
        for topic, content in (
            (messaging.reports, EVERY_KIND_BUT_HEARTBEAT),
            (messaging.failures, None),
            (messaging.guard_alarms, None),
        ):
            topic.add_subscription(
                subscriptions.SqsSubscription(
                    self.main,
                    dead_letter_queue=self.unreadable,
                    filter_policy_with_message_body=content,
                )
            )
        messaging.notify_people_of(self._waiting())

    def _waiting(self) -> cloudwatch.Alarm:
        """Return the alarm on messages that nobody takes.

        A message that the reporter took three times is no longer counted, so that a store that is
        down is only an alarm on the reporter's errors.
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        """
        return cloudwatch.Alarm(
            self,
            "Waiting",
            alarm_name=f"{self._alarm_prefix}-reporter-not-reading",
            alarm_description="A message has waited for the reporter for 15 minutes: people are "
            "not notified of incidents. Nothing is lost: the messages wait for 14 days in the "
            f"queue {self.main.queue_name}. Check that the queue's trigger on the reporter is "
            "enabled, that the reporter's role may read the queue, and that the account has "
            "concurrency left for the reporter.",
            metric=self.main.metric_approximate_age_of_oldest_message(
                statistic="Maximum", period=Duration.minutes(1)
            ),
            threshold=LONG_WAIT.to_seconds(),
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=1,
            # An idle queue has no metrics.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
