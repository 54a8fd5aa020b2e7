"""A schedule: the rule by which a function runs every minute."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct


class EveryMinute(Construct):
    """An EventBridge rule that invokes the function every minute; `description` says what for."""

    def __init__(
        self, scope: Construct, identifier: str, function: lambda_.IFunction, description: str
    ) -> None:
        super().__init__(scope, identifier)
        events.Rule(
            self,
            "EveryMinute",
            description=f"Connection Guard: {description}",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            # What could not be delivered within its minute is replaced by the next one.
            targets=[
                targets.LambdaFunction(
                    function, retry_attempts=0, max_event_age=Duration.seconds(60)
                )
            ],
        )
