"""Asks AWS about a database, its proxy, and the stack that guards it. Nothing is changed there.

Each question has its own answer: what one permission hides, the others still show.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import islice
from typing import Any, TypeVar, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.adapters.aws.database_parameters import database_parameters
from connection_guard.adapters.channels.pagerduty import parse_pagerduty_secret
from connection_guard.adapters.channels.slack_bot import bot_identity
from connection_guard.adapters.channels.slack_secret import SlackBot, parse_slack_secret
from connection_guard.adapters.channels.teams import parse_teams_secret
from connection_guard.cli.access.aws_session import aws_problem, problem_behind
from connection_guard.cli.access.deployed_stack import guard_in
from connection_guard.cli.doctor.deployed.alarm_checks import expected_alarms
from connection_guard.cli.doctor.facts.aws_facts import (
    AwsFacts,
    ChannelAnswer,
    DeadLetterCount,
    DeployedAlarm,
    DeployedFunction,
    DeployedTopic,
    DescribedStack,
    ProxyInRds,
    ServerInRds,
)
from connection_guard.cli.doctor.facts.check import Unknown
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    Database,
    ExistingProxy,
    Notifications,
)
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.deployment.stack_output import StackOutput
from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE, Metric
from connection_guard.errors import ConfigurationError, NotificationError, StoreError

QUICKLY = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})

HEARTBEATS_SINCE = timedelta(hours=3)
MOST_ALARMS_AT_ONCE = 100  # CloudWatch API Reference, DescribeAlarms

T = TypeVar("T")


def ask(
    facts: AwsFacts, session: boto3.Session, configuration: Configuration, database: Database
) -> None:
    """Fill in the facts, one after the other. The region is that of the session."""

    # The stubs know each service only by a literal of its name.
    client: Callable[[str], Any] = cache(partial(cast("Any", session).client, config=QUICKLY))

    def known(question: Callable[[], T]) -> T | Unknown:
        try:
            return question()
        except (BotoCoreError, ClientError) as error:
            return Unknown(aws_problem(error))
        except StoreError as error:
            return Unknown(problem_behind(error))
        except UserMistakeError as error:
            return Unknown(error.message)

    facts.account = known(lambda: str(client("sts").get_caller_identity()["Account"]))
    if facts.account != configuration.target.account:
        return
    facts.server = known(lambda: _server(client("rds"), database))
    facts.stack = stack = known(
        lambda: _stack(client("cloudformation"), configuration.target.stack_name)
    )
    deployed = stack if isinstance(stack, DescribedStack) else None
    if deployed is not None:
        facts.reporter = known(lambda: _reporter(client("lambda"), deployed))
        facts.responder = known(
            lambda: _responder(client("lambda"), session, facts.reporter, database)
        )
    facts.proxy = known(lambda: _proxy(client("rds"), database, facts.responder))
    if deployed is not None:
        facts.heartbeat = known(lambda: _heartbeat(client("cloudwatch"), database))
        expected = expected_alarms(deployed, facts.responder)
        facts.alarms = known(lambda: tuple(_alarms(client("cloudwatch"), iter(expected))))
        facts.topics = known(lambda: _topics(client("sns"), deployed))
        facts.queues = known(lambda: _dead_letter_queues(client("sqs"), deployed))
    facts.channels = _channels(client("secretsmanager"), configuration.notifications)


def _server(rds: Any, database: Database) -> ServerInRds | None:
    try:
        if database.is_cluster:
            answer = rds.describe_db_clusters(DBClusterIdentifier=database.identifier)
            [cluster] = answer["DBClusters"]
            return ServerInRds(
                cluster["DbClusterResourceId"],
                cluster["Status"],
                bool(cluster.get("IAMDatabaseAuthenticationEnabled")),
                (),
            )
        answer = rds.describe_db_instances(DBInstanceIdentifier=database.identifier)
        [instance] = answer["DBInstances"]
    except ClientError as error:
        if "NotFound" in error.response.get("Error", {}).get("Code", ""):
            return None
        raise
    return ServerInRds(
        # On Aurora, IAM knows an instance by its cluster.
        instance["DbiResourceId"],
        instance["DBInstanceStatus"],
        bool(instance.get("IAMDatabaseAuthenticationEnabled")),
        tuple(
            group["DBParameterGroupName"]
            for group in instance.get("DBParameterGroups", [])
            if group["ParameterApplyStatus"] == "pending-reboot"
        ),
    )


def _proxy(
    rds: Any, database: Database, responder: DeployedFunction | Unknown | None
) -> ProxyInRds | None:
    """Return the database's proxy; one that the stack made is known by the responder's settings."""
    if database.proxy is None:
        return None
    endpoint = proxy_endpoint(database, responder)
    for page in rds.get_paginator("describe_db_proxies").paginate():
        for proxy in page["DBProxies"]:
            if endpoint is not None and proxy["Endpoint"].lower() == endpoint.lower():
                groups = rds.describe_db_proxy_target_groups(DBProxyName=proxy["DBProxyName"])
                pool = groups["TargetGroups"][0]["ConnectionPoolConfig"]
                return ProxyInRds(
                    proxy["DBProxyName"],
                    proxy["Endpoint"],
                    proxy["Status"],
                    pool["ConnectionBorrowTimeout"],
                    pool["MaxConnectionsPercent"],
                )
    return None


def proxy_endpoint(database: Database, responder: DeployedFunction | Unknown | None) -> str | None:
    """Return the host of the database's proxy, None where there is none, or none yet."""
    if isinstance(database.proxy, ExistingProxy):
        return database.proxy.host
    settings = responder.settings if isinstance(responder, DeployedFunction) else None
    if isinstance(settings, ResponderSettings) and settings.proxy is not None:
        return settings.proxy.host
    return None


def _stack(cloudformation: Any, name: str) -> DescribedStack | None:
    try:
        [described] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationError":
            return None  # CloudFormation's word for a stack that does not exist
        raise
    guard, outputs = guard_in(name, described.get("Outputs", []), None)
    resources: dict[str, list[str]] = {}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name):
        for each in page["StackResourceSummaries"]:
            is_of_guard = each["LogicalResourceId"].startswith(guard)
            if is_of_guard and each.get("PhysicalResourceId", "").strip():
                resources.setdefault(each["ResourceType"], []).append(each["PhysicalResourceId"])
    return DescribedStack(
        described["StackStatus"],
        outputs,
        {kind: tuple(ids) for kind, ids in resources.items()},
    )


def _responder(
    lambda_: Any,
    session: boto3.Session,
    reporter: DeployedFunction | Unknown | None,
    database: Database,
) -> DeployedFunction | Unknown | None:
    settings = reporter.settings if isinstance(reporter, DeployedFunction) else None
    if not isinstance(settings, ReporterSettings):
        return Unknown("the reporter's settings, which say where its name is, are not known")
    for each in database_parameters(settings.databases_path, session):
        if isinstance(each, WatchedDatabase) and each.identifier == database.identifier:
            return _function(lambda_, each.function_name, ResponderSettings.from_environment)
    return None


def _reporter(lambda_: Any, stack: DescribedStack) -> DeployedFunction | None:
    name = stack.outputs.get(StackOutput.REPORTER)
    return None if name is None else _function(lambda_, name, ReporterSettings.from_environment)


def _function(
    lambda_: Any, name: str, read: Callable[[Any], ResponderSettings | ReporterSettings]
) -> DeployedFunction:
    answer = lambda_.get_function_configuration(FunctionName=name)
    try:
        settings = read(answer.get("Environment", {}).get("Variables", {}))
    except ConfigurationError:
        settings = None
    return DeployedFunction(
        name,
        answer.get("State", ""),
        answer.get("LastUpdateStatus", ""),
        answer.get("StateReason") or answer.get("LastUpdateStatusReason") or "",
        settings,
        answer.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}"),
    )


def _heartbeat(cloudwatch: Any, database: Database) -> datetime | None:
    now = datetime.now(UTC)
    answer = cloudwatch.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=Metric.USABLE.value,
        Dimensions=[{"Name": DIMENSION, "Value": database.identifier}],
        StartTime=now - HEARTBEATS_SINCE,
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Minimum"],
    )
    return max((each["Timestamp"] for each in answer["Datapoints"]), default=None)


def _alarms(cloudwatch: Any, names: Iterator[str]) -> Iterator[DeployedAlarm]:
    while some := list(islice(names, MOST_ALARMS_AT_ONCE)):
        answer = cloudwatch.describe_alarms(AlarmNames=some, MaxRecords=MOST_ALARMS_AT_ONCE)
        for alarm in answer["MetricAlarms"]:
            yield DeployedAlarm(
                alarm["AlarmName"],
                alarm["StateValue"],
                bool(alarm["ActionsEnabled"]),
                alarm.get("Threshold"),
            )


def _topics(sns: Any, stack: DescribedStack) -> tuple[DeployedTopic, ...]:
    topics = []
    for arn in stack.resources.get("AWS::SNS::Topic", ()):
        confirmed: list[str] = []
        pending: list[str] = []
        for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn):
            for each in page["Subscriptions"]:
                if each["SubscriptionArn"].startswith("arn:"):
                    confirmed.append(each["Endpoint"])
                elif each["SubscriptionArn"] == "PendingConfirmation":
                    pending.append(each["Endpoint"])
        topics.append(DeployedTopic(arn, tuple(confirmed), tuple(pending)))
    return tuple(topics)


def _dead_letter_queues(sqs: Any, stack: DescribedStack) -> tuple[DeadLetterCount, ...]:
    """Return the queues that send nothing on to another."""
    queues = []
    for url in stack.resources.get("AWS::SQS::Queue", ()):
        answer = sqs.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "RedrivePolicy"]
        )
        attributes = answer.get("Attributes", {})
        if "RedrivePolicy" not in attributes:
            queues.append(DeadLetterCount(url, int(attributes["ApproximateNumberOfMessages"])))
    return tuple(queues)


def _channels(secrets: Any, notifications: Notifications) -> tuple[ChannelAnswer, ...]:
    parsers: tuple[tuple[str, str | None, Callable[[str | bytes], object]], ...] = (
        ("Slack", notifications.slack_secret, parse_slack_secret),
        ("PagerDuty", notifications.pagerduty_secret, parse_pagerduty_secret),
        ("Teams", notifications.teams_secret, parse_teams_secret),
    )
    return tuple(
        _channel(secrets, channel, secret, parse) for channel, secret, parse in parsers if secret
    )


def _channel(
    secrets: Any, channel: str, secret: str, parse: Callable[[str | bytes], object]
) -> ChannelAnswer:
    try:
        answer = secrets.get_secret_value(SecretId=secret)
        held = parse(answer.get("SecretString") or answer.get("SecretBinary") or "")
        said = bot_identity(held) if isinstance(held, SlackBot) else None
    except ClientError as error:
        is_missing = error.response.get("Error", {}).get("Code") == "ResourceNotFoundException"
        if is_missing:
            return ChannelAnswer(channel, secret, problem="there is no such secret")
        return ChannelAnswer(channel, secret, unknown=aws_problem(error))
    except BotoCoreError as error:
        return ChannelAnswer(channel, secret, unknown=aws_problem(error))
    except NotificationError as error:
        return ChannelAnswer(channel, secret, problem=str(error))
    return ChannelAnswer(channel, secret, said)
