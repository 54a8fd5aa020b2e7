"""The parts of the stack that several tests look for."""

from tests.cdk.template import (
    Properties,
    Template,
    referred,
)
from tests.support.configurations import (
    ACCOUNT,
    REGION,
)

CLOUDWATCH, SNS = "cloudwatch.amazonaws.com", "sns.amazonaws.com"


ALARMS_OF_THE_GUARD = {
    "StringEquals": {"aws:SourceAccount": ACCOUNT},
    "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:connection-guard-*"},
}


NOT_OVER_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def subscriptions(template: Template, topic: str) -> list[Properties]:
    return [
        each
        for each in template.of("AWS::SNS::Subscription").values()
        if referred(each["TopicArn"]) == topic
    ]


def records(template: Template) -> tuple[str, str]:
    return referred(template.outputs["IncidentsTable"]["Value"]), referred(
        template.outputs["EvidenceBucket"]["Value"]
    )
