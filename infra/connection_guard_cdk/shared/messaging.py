"""How the functions notify each other and people: SNS topics under one key, and queues for messages
that could not be delivered.
"""

from collections.abc import Sequence

from aws_cdk import (
    Acknowledgment,
    ArnFormat,
    Duration,
    RemovalPolicy,
    Stack,
    Token,
    Validations,
)
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from connection_guard.errors import ConfigurationError
from connection_guard_cdk.described.cloudformation_properties import free_name
from connection_guard_cdk.shared.topic import EncryptedTopic

LONGEST_RETENTION = Duration.days(14)  # that SQS keeps a message


class Messaging(Construct):
    """The topics that all databases share, their key, and a method that makes further queues.

    `alarms` brings each responder the alarms that engage it; what it could not deliver waits in
    `undelivered_alarms`. `reports` and `failures` are the destinations of the responders'
    asynchronous invocations, and `guard_alarms` carries the guard's own alarms: all three lead to
    the reporter. People and machines subscribe to `incidents`, where only the reporter publishes.
    `reporter_alarms` says that the reporter itself fails.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        alarm_prefix: str,
        incidents: sns.ITopic | None = None,
    ) -> None:
        super().__init__(scope, identifier)
        self._alarm_prefix = alarm_prefix
        # Alarms cannot publish under alias/aws/sns, whose policy does not admit CloudWatch. This
        # key is deleted with the stack, and encrypts nothing that outlives it.
        self.key = kms.Key(
            self,
            "Key",
            description=f"{Stack.of(self).stack_name}: the SNS topics of Connection Guard",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfTheGuardPublish",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key policy that is the key
                conditions=self._from_alarms_of_the_guard(),
            )
        )
        self.reports = EncryptedTopic(self, "Reports", self.key)
        self.failures = EncryptedTopic(self, "Failures", self.key)
        self.alarms = self._topic_for_alarms("Alarms")
        self.guard_alarms = self._topic_for_alarms("GuardAlarms")
        self.reporter_alarms = self._topic_for_alarms("ReporterAlarms")
        if incidents is not None and incidents.fifo:
            raise ConfigurationError(
                f"{incidents.node.path}: is a FIFO topic, which notifies nobody by e-mail; pass a "
                "standard topic as incidents_topic"
            )
        self.incidents: sns.ITopic = incidents or EncryptedTopic(self, "Incidents", self.key)
        self.undelivered_alarms = self.dead_letter_queue(
            self,
            "UndeliveredAlarms",
            alarm_name=f"{alarm_prefix}-undelivered-alarms",
            problem="An alarm did not reach the responder of its database, which may not have "
            "engaged.",
            what_to_do="read it, remove the cause, then purge the queue.",
        )

    def _topic_for_alarms(self, identifier: str) -> sns.Topic:
        """Return a new topic that the guard's CloudWatch alarms may publish to."""
        topic = EncryptedTopic(self, identifier, self.key)
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfTheGuardPublish",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions=self._from_alarms_of_the_guard(),
            )
        )
        return topic

    def dead_letter_queue(
        self, scope: Construct, identifier: str, *, alarm_name: str, problem: str, what_to_do: str
    ) -> sqs.Queue:
        """Return a new queue for messages that could not be delivered, with an alarm as soon as it
        holds any. `problem` says what that means, `what_to_do` continues a sentence that says where
        the message is.

        The construct that uses the queue grants the permission to write to it.
        """
        queue = sqs.Queue(
            scope,
            identifier,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=LONGEST_RETENTION,
        )
        Validations.of(queue).acknowledge(
            Acknowledgment(
                id="AwsSolutions-SQS3", reason="It is a dead-letter queue itself: people read it."
            )
        )
        alarm = cloudwatch.Alarm(
            queue,
            "NotEmpty",
            alarm_name=alarm_name,
            alarm_description=f"{problem} The message stays in the queue {queue.queue_name} for "
            f"14 days: {what_to_do}",
            metric=queue.metric_approximate_number_of_messages_visible(statistic="Maximum"),
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            # An idle queue has no metrics.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self.notify_reporter_of(alarm)
        return queue

    def notify_reporter_of(self, *alarms: cloudwatch.Alarm) -> None:
        """Send the alarms and their recoveries to the reporter, which notifies people of them."""
        for alarm in alarms:
            _send(alarm, self.guard_alarms)

    def notify_people_of(self, *alarms: cloudwatch.Alarm) -> None:
        """Send the alarms and their recoveries to people directly: the reporter cannot report that
        it fails.
        """
        for alarm in alarms:
            _send(alarm, self.reporter_alarms)

    def notify_by_email(self, addresses: Sequence[str]) -> None:
        """Subscribe the addresses to `incidents` and `reporter_alarms`; Amazon SNS asks each to
        confirm both first.
        """
        if not addresses:
            return
        undelivered = self.dead_letter_queue(
            self,
            "UndeliveredEmails",
            alarm_name=f"{self._alarm_prefix}-undelivered-emails",
            problem="An e-mail could not be delivered: people may not have been notified of an "
            "incident.",
            what_to_do="read it, correct the address or its subscription, then purge the queue.",
        )
        topics: tuple[sns.ITopic, ...] = (self.incidents, self.reporter_alarms)
        for topic in topics:
            for address in addresses:
                # Not beside a topic of somebody's own, which may be in a stack on which the queue's
                # depends. Beside the guard's topics the names must stay what they were: a
                # subscription of another name would be the same one to SNS, and deleting the former
                # name would end it.
                scope: Construct = self
                name = free_name(self, topic.node.id, address)
                if isinstance(topic, EncryptedTopic) and not Token.is_unresolved(address):
                    scope, name = topic, address
                sns.Subscription(
                    scope,
                    name,
                    topic=topic,
                    protocol=sns.SubscriptionProtocol.EMAIL,
                    endpoint=address,
                    dead_letter_queue=undelivered,
                )

    def let_subscribe(self, accounts: Sequence[str]) -> None:
        """Allow other accounts to subscribe to `incidents`.

        They need no permission on the key: SNS decrypts what it delivers
        (https://docs.aws.amazon.com/sns/latest/dg/sns-server-side-encryption.html).
        """
        if accounts:
            self.incidents.add_to_resource_policy(
                iam.PolicyStatement(
                    sid="IncidentAccountsSubscribe",
                    principals=[iam.AccountPrincipal(each) for each in accounts],
                    actions=["sns:Subscribe"],
                    resources=[self.incidents.topic_arn],
                )
            )

    def _from_alarms_of_the_guard(self) -> dict[str, dict[str, str]]:
        stack = Stack.of(self)
        alarms = stack.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=f"{self._alarm_prefix}-*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return {
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {"aws:SourceArn": alarms},
        }


def _send(alarm: cloudwatch.Alarm, topic: sns.Topic) -> None:
    alarm.add_alarm_action(actions.SnsAction(topic))
    alarm.add_ok_action(actions.SnsAction(topic))
