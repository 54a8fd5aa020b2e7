"""How the parts tell each other and people: SNS topics under one key, and queues for what could not
be delivered.
"""

from collections.abc import Sequence

from aws_cdk import Acknowledgment, ArnFormat, Duration, RemovalPolicy, Stack, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct


class Messaging(Construct):
    """The topics that every database shares, their key, and what else a database needs to be heard.

    `reports` and `failures` are the destinations of the responders' asynchronous invocations;
    people subscribe to `incidents`, and the guard's own alarms publish there.
    """

    def __init__(self, scope: Construct, identifier: str) -> None:
        super().__init__(scope, identifier)
        # Alarms cannot publish under alias/aws/sns, whose policy knows nothing of CloudWatch.
        # Nothing that is kept is encrypted with this key: it goes with the stack.
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
                sid="AlarmsOfThisAccountPublish",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key policy that is the key
                conditions=self._from_alarms_of_this_account(),
            )
        )
        self.reports = self._topic(self, "Reports")
        self.failures = self._topic(self, "Failures")
        self.incidents = self.topic_for_alarms(self, "Incidents")

    def topic_for_alarms(self, scope: Construct, identifier: str) -> sns.Topic:
        """A topic that CloudWatch alarms of this account may publish to."""
        topic = self._topic(scope, identifier)
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccountPublish",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions=self._from_alarms_of_this_account(),
            )
        )
        return topic

    def dead_letter_queue(self, scope: Construct, identifier: str) -> sqs.Queue:
        """A queue for what could not be delivered, with an alarm to people as soon as anything is
        in it.

        Whoever writes to it is granted that by the construct that uses the queue.
        """
        queue = sqs.Queue(
            scope,
            identifier,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),  # the longest that SQS keeps a message
        )
        Validations.of(queue).acknowledge(
            Acknowledgment(
                id="AwsSolutions-SQS3", reason="It is a dead-letter queue itself: people read it."
            )
        )
        alarm = cloudwatch.Alarm(
            queue,
            "NotEmpty",
            alarm_description=f"What could not be delivered is in {queue.queue_name}: read it, "
            "then purge the queue.",
            metric=queue.metric_approximate_number_of_messages_visible(statistic="Maximum"),
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            # An idle queue has no metrics.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self.tell_people(alarm)
        return queue

    def tell_people(self, *alarms: cloudwatch.Alarm) -> None:
        """The alarms, and their recoveries, go to `incidents`."""
        for alarm in alarms:
            alarm.add_alarm_action(actions.SnsAction(self.incidents))
            alarm.add_ok_action(actions.SnsAction(self.incidents))

    def tell_by_email(self, addresses: Sequence[str]) -> None:
        """Each address is asked by Amazon SNS to confirm first."""
        if not addresses:
            return
        undelivered = self.dead_letter_queue(self, "UndeliveredEmails")
        for address in addresses:
            self.incidents.add_subscription(
                subscriptions.EmailSubscription(address, dead_letter_queue=undelivered)
            )

    def _topic(self, scope: Construct, identifier: str) -> sns.Topic:
        return _Topic(scope, identifier, master_key=self.key, enforce_ssl=True)

    def _from_alarms_of_this_account(self) -> dict[str, dict[str, str]]:
        stack = Stack.of(self)
        alarms = stack.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name="*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return {
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {"aws:SourceArn": alarms},
        }


class _Topic(sns.Topic):
    """A topic whose grant to publish names the two actions on the key that it takes, without CDK's
    wildcard.
    """

    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        assert self.master_key is not None
        on_key = self.master_key.grant(grantee, "kms:Decrypt", "kms:GenerateDataKey")
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["sns:Publish"], resource_arns=[self.topic_arn]
        ).combine(on_key)
