"""The heartbeat: the rule by which the responder looks at its database every minute."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct


class HeartbeatRule(Construct):
    """An EventBridge rule that invokes the responder every minute."""

    def __init__(self, scope: Construct, identifier: str, responder: lambda_.IFunction) -> None:
        super().__init__(scope, identifier)
        events.Rule(
            self,
            "EveryMinute",
            description="Connection Guard: measures, and continues while the shortage lasts",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            # A heartbeat that could not be delivered within its minute is replaced by the next one.
            targets=[
                targets.LambdaFunction(
                    responder, retry_attempts=0, max_event_age=Duration.seconds(60)
                )
            ],
        )
