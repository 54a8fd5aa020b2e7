"""An AWS on this machine with a deployed guard of "orders", for the command's own process."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3

from connection_guard.core.deployment.alarm_names import alarms_on_same_database
from connection_guard.core.deployment.reporter_settings import (
    ReporterSettings,
    WatchedDatabase,
    write_watched_database,
)
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.deployment.stack_output import StackOutput
from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE, Metric
from tests.support.cli.emulated_aws import emulated_aws, forget_everything

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
REGION = "eu-central-1"
STACK = "ConnectionGuard"
ALARM_PREFIX = "connection-guard"
TOPICS = ("Incidents", "ReporterAlarms", "Reports")


@dataclass(frozen=True)
class DoctoredAws:
    """The address of its services, and clients of them."""

    url: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What the command's process needs to find it."""
        return {"AWS_ENDPOINT_URL": self.url, **CREDENTIALS}

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        session: Any = boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        return session.client(service, endpoint_url=self.url)

    def forget(self) -> None:
        """Be as at the start again."""
        forget_everything(self.url)

    def create_instance(self, *, with_iam: bool = True) -> str:
        """Create the DB instance, and return its resource ID."""
        answer = self.client("rds").create_db_instance(
            DBInstanceIdentifier="orders",
            DBInstanceClass="db.m7g.large",
            Engine="postgres",
            EnableIAMDatabaseAuthentication=with_iam,
            MasterUsername="master",
            MasterUserPassword="not a secret",
            AllocatedStorage=20,
        )
        return str(answer["DBInstance"]["DbiResourceId"])

    def create_proxy(self, **pool: int) -> str:
        """Create an RDS Proxy with that pool, and return its endpoint."""
        ec2, rds = self.client("ec2"), self.client("rds")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["SubnetId"]
            for number in range(2)
        ]
        proxy = rds.create_db_proxy(
            DBProxyName="orders-proxy",
            EngineFamily="POSTGRESQL",
            Auth=[],
            RoleArn="arn:aws:iam::123456789012:role/proxy",
            VpcSubnetIds=subnets,
        )["DBProxy"]
        rds.modify_db_proxy_target_group(
            DBProxyName="orders-proxy", TargetGroupName="default", ConnectionPoolConfig=pool
        )
        return str(proxy["Endpoint"])

    def deploy(self, settings: ResponderSettings) -> None:
        """Deploy a guard with these settings, whose alarms exist and whose heart beats."""
        sqs = f"https://sqs.{REGION}.amazonaws.com/123456789012"
        reporter = ReporterSettings("t", "b", "a", f"{sqs}/Unreadable", "d", "/d", "/l")
        self.client("cloudformation").create_stack(
            StackName=STACK, TemplateBody=json.dumps(_template(settings, reporter))
        )
        cloudwatch = self.client("cloudwatch")
        names = [name for each in settings.alarm_tiers for name in alarms_on_same_database(each)]
        thresholds = {
            **dict.fromkeys(settings.alarm_tiers, 90),
            f"{ALARM_PREFIX}-orders-warning": 75,
        }
        for name in dict.fromkeys(names):
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                MetricName="Utilisation",
                Namespace=NAMESPACE,
                Period=60,
                Statistic="Maximum",
                Threshold=thresholds.get(name, 1),
                EvaluationPeriods=1,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
            )
            cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="quiet")
        self.beat()

    def beat(self) -> None:
        """Publish a heartbeat."""
        dimensions = [{"Name": DIMENSION, "Value": "orders"}]
        datum = {
            "MetricName": Metric.USABLE.value,
            "Dimensions": dimensions,
            "Value": 1,
            "Timestamp": datetime.now(UTC),
        }
        self.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=[datum])

    def output(self, name: str) -> str:
        """Return an output of the stack."""
        [stack] = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return next(
            str(each["OutputValue"]) for each in stack["Outputs"] if each["OutputKey"] == name
        )

    def subscribe(self, topic: str, endpoint: str, protocol: str = "email") -> None:
        """Subscribe somebody to a topic of the stack. The double confirms at once."""
        self.client("sns").subscribe(
            TopicArn=self.output(topic), Protocol=protocol, Endpoint=endpoint
        )


@contextmanager
def doctored_aws() -> Iterator[DoctoredAws]:
    """Yield an AWS without anything in it."""
    with emulated_aws() as url:
        yield DoctoredAws(url)


def functions(settings: ResponderSettings, reporter: ReporterSettings) -> dict[str, Any]:
    """Return the resources of the responder, the reporter, and what this one knows."""

    def function(name: str, environment: Mapping[str, str]) -> dict[str, Any]:
        return {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": name,
                "Runtime": "python3.13",
                "Handler": "handler.handle",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": "pass"},
                "Environment": {"Variables": dict(environment)},
            },
        }

    trust = {"Version": "2012-10-17", "Statement": []}
    watched = WatchedDatabase(settings.database, False, "guard-orders")
    return {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}},
        "Responder": function("guard-orders", settings.to_environment()),
        "Reporter": function("guard-reporter", reporter.to_environment()),
        "Watched": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {
                "Name": f"{reporter.databases_path}/first",
                "Type": "String",
                "Value": json.dumps(write_watched_database(watched)),
            },
        },
    }


def _template(settings: ResponderSettings, reporter: ReporterSettings) -> dict[str, Any]:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "Unreadable"}}
    return {
        "Resources": {
            **{name: {"Type": "AWS::SNS::Topic", "Properties": {}} for name in TOPICS},
            "Unreadable": queue,
            **functions(settings, reporter),
        },
        "Outputs": {
            StackOutput.INCIDENTS_TOPIC: {"Value": {"Ref": "Incidents"}},
            StackOutput.REPORTER_ALARMS_TOPIC: {"Value": {"Ref": "ReporterAlarms"}},
            "ReportsTopic": {"Value": {"Ref": "Reports"}},
            StackOutput.REPORTER: {"Value": {"Ref": "Reporter"}},
        },
    }
