"""What is deployed for one database: who may do what to whom, and who may connect to whom."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from aws_cdk import CfnOutput, Stack, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    Database,
    Network,
    ProxyAuthentication,
)
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.alarm import MAXIMUM_EVENT_AGE, AlarmNotification, read_event
from connection_guard.core.deployment.responder_settings import ENVIRONMENT_VARIABLE, Settings
from connection_guard.core.policy import Tier
from connection_guard_cdk.database.network import ClosedSecurityGroup
from connection_guard_cdk.database.responder_function import Responder
from connection_guard_cdk.database.self_watch import SelfWatch
from connection_guard_cdk.shared.messaging import Messaging
from connection_guard_cdk.stack import bootstrap_command
from tests.cdk.template import (
    Properties,
    Statement,
    Template,
    plain,
    referred,
    synthesized,
    template_of,
)
from tests.support.builders import an_alarm_event
from tests.support.configurations import (
    ACCOUNT,
    REGION,
    SECRET,
    a_cluster,
    a_configuration,
    a_database,
    a_new_proxy,
    a_target,
    an_existing_proxy,
)

SECRET_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0e3c7d2e-4b5f-4c8e-9d3e-2f1a5b6c7d8e"
DATABASES = {
    "without proxy": a_database(),
    "existing proxy": a_database(proxy=an_existing_proxy()),
    "new proxy with iam": a_cluster(proxy=a_new_proxy()),
    "new proxy with secret": a_database(
        proxy=a_new_proxy(ProxyAuthentication.SECRETS, secret_key=SECRET_KEY)
    ),
}
NETWORK_INTERFACES = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}


@cache
def template(of: str) -> Template:
    return synthesized(a_configuration(DATABASES[of]))


def the(template: Template, resource_type: str) -> tuple[str, Properties]:
    """The one resource of the type."""
    [found] = template.of(resource_type).items()
    return found


def responder(template: Template, database: str = "orders") -> tuple[str, Properties]:
    [found] = [
        (name, properties)
        for name, properties in template.of("AWS::Lambda::Function").items()
        if properties["Handler"] == "responder.handler.lambda_handler"
        and database in properties["FunctionName"]
    ]
    return found


def settings(template: Template) -> Settings:
    """As the function reads them once its environment is deployed."""
    _, function = responder(template)
    return Settings.from_environment(function["Environment"]["Variables"])


def statements_of(template: Template, role: str) -> list[Statement]:
    return [each for each in template.statements() if each.holder == role]


def allowed(template: Template, role: str) -> set[tuple[str, str]]:
    """Each action with each resource that the role's own policies allow it on."""
    return {
        (action, resource)
        for each in statements_of(template, role)
        if each.effect == "Allow"
        for action in each.actions
        for resource in each.resources
    }


def user(resource_id: str, role: str) -> str:
    return f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{resource_id}/{role}"


def created_proxy_id(template: Template) -> str:
    """The last part of the proxy's ARN."""
    proxy, _ = the(template, "AWS::RDS::DBProxy")
    arn = {"Fn::GetAtt": [proxy, "DBProxyArn"]}
    return str(plain({"Fn::Select": [6, {"Fn::Split": [":", arn]}]}))


# What the responder may do


@pytest.mark.parametrize("of", DATABASES)
def test_the_responder_may_log_in_publish_and_log_and_nothing_else(of: str) -> None:
    deployed, database = template(of), DATABASES[of]
    name, function = responder(deployed)
    logins = {user(database.resource_id, "connection_guard")}
    match of:
        case "existing proxy":
            logins.add(user("prx-ORDERS", "connection_guard"))
        case "new proxy with iam":
            logins.add(user(created_proxy_id(deployed), "connection_guard"))
        case "new proxy with secret":
            logins.add(user(created_proxy_id(deployed), "connection_guard_proxy"))
    log_group = referred(function["LoggingConfig"]["LogGroup"])
    [topic_key] = {topic["KmsMasterKeyId"] for topic in deployed.of("AWS::SNS::Topic").values()}
    destinations = the_invocation(deployed)["DestinationConfig"]
    assert allowed(deployed, deployed.role_of(name)) == {
        *(("rds-db:connect", login) for login in logins),
        *(
            ("sns:Publish", destinations[outcome]["Destination"])
            for outcome in ("OnSuccess", "OnFailure")
        ),
        *((action, topic_key) for action in ("kms:Decrypt", "kms:GenerateDataKey")),
        *(
            (action, f"${{{log_group}.Arn}}")
            for action in ("logs:CreateLogStream", "logs:PutLogEvents")
        ),
        *((action, "*") for action in NETWORK_INTERFACES),
    }


@pytest.mark.parametrize("of", DATABASES)
def test_what_lambda_may_do_to_network_interfaces_the_code_may_not(of: str) -> None:
    name, function = responder(template(of))
    denied = [
        each
        for each in statements_of(template(of), template(of).role_of(name))
        if each.effect == "Deny"
    ]
    [only] = denied
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function['FunctionName']}"
    assert only.actions == NETWORK_INTERFACES | {"ec2:DetachNetworkInterface"}
    assert only.resources == {"*"}
    assert only.condition == {"ArnEquals": {"lambda:SourceFunctionArn": arn}}


@pytest.mark.parametrize("of", DATABASES)
def test_roles_have_no_permissions_but_their_own_and_serve_one_service(of: str) -> None:
    deployed = template(of)
    name, _ = responder(deployed)
    serving = {deployed.role_of(name): "lambda.amazonaws.com"}
    if "AWS::RDS::DBProxy" in {each["Type"] for each in deployed.resources.values()}:
        serving[referred(the(deployed, "AWS::RDS::DBProxy")[1]["RoleArn"])] = "rds.amazonaws.com"
    for role, service in serving.items():
        properties = deployed.of("AWS::IAM::Role")[role]
        [trusts] = properties["AssumeRolePolicyDocument"]["Statement"]
        assert trusts == {
            "Action": "sts:AssumeRole",
            "Effect": "Allow",
            "Principal": {"Service": service},
        }
        assert "ManagedPolicyArns" not in properties


def test_the_responder_of_one_database_cannot_log_in_to_another() -> None:
    deployed = synthesized(
        a_configuration(
            a_database(identifier="orders", resource_id="db-ORDERS"),
            a_database(identifier="billing", resource_id="db-BILLING"),
        )
    )
    for database, resource_id in (("orders", "db-ORDERS"), ("billing", "db-BILLING")):
        name, _ = responder(deployed, database)
        actions = allowed(deployed, deployed.role_of(name))
        assert {resource for action, resource in actions if action == "rds-db:connect"} == {
            user(resource_id, "connection_guard")
        }


# How it runs


def the_invocation(deployed: Template) -> Properties:
    name, _ = responder(deployed)
    [found] = [
        each
        for each in deployed.of("AWS::Lambda::EventInvokeConfig").values()
        if referred(each["FunctionName"]) == name
    ]
    return found


def test_a_run_is_never_repeated_and_its_outcome_is_told_either_way() -> None:
    deployed = template("without proxy")
    invocation = the_invocation(deployed)
    assert invocation["MaximumRetryAttempts"] == 0
    assert invocation["MaximumEventAgeInSeconds"] == MAXIMUM_EVENT_AGE.total_seconds()
    destinations = {
        outcome: each["Destination"] for outcome, each in invocation["DestinationConfig"].items()
    }
    reporter = {
        each["TopicArn"]: "FilterPolicy" in each
        for each in deployed.of("AWS::SNS::Subscription").values()
        if "eporter" in each["Endpoint"]
    }
    # Reports are filtered by their kind, failures never are.
    assert reporter == {destinations["OnSuccess"]: True, destinations["OnFailure"]: False}


def test_it_is_over_before_the_next_minute_in_private_subnets() -> None:
    _, function = responder(template("without proxy"))
    assert function["Timeout"] < 60
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["arm64"]
    assert tuple(function["VpcConfig"]["SubnetIds"]) == a_database().network.subnets


def test_concurrency_is_reserved_only_where_that_is_asked_for() -> None:
    """A new account has none to reserve."""
    assert "ReservedConcurrentExecutions" not in responder(template("without proxy"))[1]
    _, function = responder(synthesized(a_configuration(a_database(reserve_concurrency=True))))
    assert function["ReservedConcurrentExecutions"] == 1


def test_the_local_machine_runs_it_too() -> None:
    _, function = responder(
        synthesized(a_configuration(target=a_target(architecture=Architecture.X86_64)))
    )
    assert function["Architectures"] == ["x86_64"]


def test_its_log_is_its_own_and_bounded() -> None:
    deployed = template("without proxy")
    _, function = responder(deployed)
    log_group = deployed.resources[referred(function["LoggingConfig"]["LogGroup"])]["Properties"]
    assert log_group["LogGroupName"] == f"/aws/lambda/{function['FunctionName']}"
    assert log_group["RetentionInDays"] <= 90


def test_the_longest_identifier_fits_into_the_names_of_the_function_and_of_the_proxy() -> None:
    longest = "o" * 63
    deployed = synthesized(a_configuration(a_database(identifier=longest, proxy=a_new_proxy())))
    functions = [each["FunctionName"] for each in deployed.of("AWS::Lambda::Function").values()]
    assert max(map(len, functions)) <= 64
    proxy = the(deployed, "AWS::RDS::DBProxy")[1]["DBProxyName"]
    assert len(proxy) <= 60
    assert re.fullmatch("[a-z](-?[a-z0-9])*", proxy)


def test_a_proxy_in_other_subnets_has_another_name() -> None:
    """CloudFormation makes it anew, and the old one is still there then."""

    def name_in(network: Network) -> str:
        deployed = synthesized(a_configuration(a_database(network=network, proxy=a_new_proxy())))
        return str(the(deployed, "AWS::RDS::DBProxy")[1]["DBProxyName"])

    network = a_database().network
    assert name_in(network) != name_in(
        replace(network, subnets=("subnet-0000000a", "subnet-0000000b"))
    )


def test_the_heartbeat_begins_when_the_way_in_is_open_and_ends_before_it_is_closed() -> None:
    deployed = synthesized(a_configuration(a_database(proxy=a_new_proxy())))
    [rule] = [each for each in deployed.resources.values() if each["Type"] == "AWS::Events::Rule"]
    for way_in in ("AWS::EC2::SecurityGroupIngress", "AWS::RDS::DBProxyTargetGroup"):
        assert set(deployed.of(way_in)) <= set(rule["DependsOn"])


@pytest.mark.parametrize("of", DATABASES)
def test_it_is_told_its_doors_and_its_alarms(of: str) -> None:
    deployed, database = template(of), DATABASES[of]
    told = settings(deployed)
    proxy: Door | None = None
    match of:
        case "existing proxy":
            host = "orders.proxy-c0ffee.eu-central-1.rds.amazonaws.com"
            proxy = Door(DoorName.PROXY, host, 5432, "connection_guard")
        case "new proxy with iam" | "new proxy with secret":
            host = f"${{{the(deployed, 'AWS::RDS::DBProxy')[0]}.Endpoint}}"
            role = "connection_guard" if of == "new proxy with iam" else "connection_guard_proxy"
            proxy = Door(DoorName.PROXY, host, 5432, role)
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:connection-guard-orders"
    assert told == Settings(
        database="orders",
        database_name="postgres",
        region=REGION,
        proxy=proxy,
        direct=Door(DoorName.DIRECT, database.host, 5432, "connection_guard"),
        warning_percent=75,
        critical_percent=90,
        alarms={
            f"{alarm}-warning": Tier.WARNING,
            f"{alarm}-critical": Tier.CRITICAL,
            f"{alarm}-critical-measured": Tier.CRITICAL,
        },
    )


def test_an_alarm_of_the_stack_is_no_stranger_to_the_responder() -> None:
    deployed = template("without proxy")
    [topic] = {each["TopicArn"] for each in invoked_by_topics(deployed)}
    told = settings(deployed)
    fires = [
        each
        for each in deployed.of("AWS::CloudWatch::Alarm").values()
        if each["AlarmActions"] == [topic]
    ]
    assert len(fires) == len(told.alarms)
    for alarm in fires:
        arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm['AlarmName']}"
        event = read_event(an_alarm_event(arn, database="orders"), told)
        assert isinstance(event, AlarmNotification)
        assert event.tier == (Tier.WARNING if alarm["Threshold"] == 75 else Tier.CRITICAL)


# Who makes it run


def invoked_by_topics(deployed: Template) -> list[Properties]:
    name, _ = responder(deployed)
    subscriptions = deployed.of("AWS::SNS::Subscription").values()
    return [each for each in subscriptions if each["Endpoint"] == f"${{{name}.Arn}}"]


def test_only_its_alarms_and_its_heartbeat_may_invoke_it() -> None:
    deployed = template("without proxy")
    name, _ = responder(deployed)
    [subscription] = invoked_by_topics(deployed)
    rule, _ = the(deployed, "AWS::Events::Rule")
    permissions = [
        each
        for each in deployed.of("AWS::Lambda::Permission").values()
        if referred(each["FunctionName"]) == name
    ]
    assert {(each["Action"], each["Principal"], each["SourceArn"]) for each in permissions} == {
        ("lambda:InvokeFunction", "sns.amazonaws.com", subscription["TopicArn"]),
        ("lambda:InvokeFunction", "events.amazonaws.com", f"${{{rule}.Arn}}"),
    }


def test_an_alarm_that_cannot_be_delivered_is_kept_and_told() -> None:
    deployed = template("without proxy")
    [subscription] = invoked_by_topics(deployed)
    queue = referred(subscription["RedrivePolicy"]["deadLetterTargetArn"])
    assert deployed.who_may("sqs:SendMessage", queue) == {"sns.amazonaws.com"}
    watching = [
        each
        for each in deployed.of("AWS::CloudWatch::Alarm").values()
        if f"${{{queue}.QueueName}}"
        in [dimension["Value"] for dimension in each.get("Dimensions", ())]
    ]
    assert [each["AlarmActions"] for each in watching] == [
        [deployed.outputs["IncidentsTopic"]["Value"]]
    ]


def test_it_looks_at_its_database_every_minute_and_never_catches_up() -> None:
    deployed = template("without proxy")
    name, _ = responder(deployed)
    _, rule = the(deployed, "AWS::Events::Rule")
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
    [target] = rule["Targets"]
    assert target["Arn"] == f"${{{name}.Arn}}"
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    assert "Input" not in target  # the responder reads the time from the event itself


# Who may connect to whom

Way = tuple[str, int | str]


def ways_out(deployed: Template, group: str) -> set[Way]:
    """The groups and ports that members of the group may connect to."""
    assert not [
        each
        for each in deployed.of("AWS::EC2::SecurityGroupEgress").values()
        if referred(each["GroupId"]) == group
    ]
    return {
        _way(rule, "DestinationSecurityGroupId")
        for rule in deployed.of("AWS::EC2::SecurityGroup")[group]["SecurityGroupEgress"]
    }


def ways_in(deployed: Template, group: str) -> set[Way]:
    """The groups that may connect to its members, and where. `group` is an ID or a reference."""
    rules = deployed.of("AWS::EC2::SecurityGroupIngress").values()
    return {_way(rule, "SourceSecurityGroupId") for rule in rules if rule["GroupId"] == group}


def _way(rule: Mapping[str, Any], peer: str) -> Way:
    assert rule["IpProtocol"] == "tcp"
    assert rule["FromPort"] == rule["ToPort"]
    assert not {"CidrIp", "CidrIpv6", "SourcePrefixListId", "DestinationPrefixListId"} & set(rule)
    return rule[peer], rule["FromPort"]


def group_of_responder(deployed: Template) -> str:
    [group] = responder(deployed)[1]["VpcConfig"]["SecurityGroupIds"]
    return str(group)


@pytest.mark.parametrize("of", DATABASES)
def test_the_responder_reaches_its_doors_and_nothing_else_and_nothing_reaches_it(of: str) -> None:
    deployed, database = template(of), DATABASES[of]
    group = group_of_responder(deployed)
    doors: set[Way] = {(each, database.port) for each in database.security_groups}
    if of == "existing proxy":
        doors.add(("sg-000000000000000fa", 5432))
    if of.startswith("new proxy"):
        doors.add((group_of_proxy(deployed), 5432))
    assert ways_out(deployed, referred(group)) == doors
    assert ways_in(deployed, group) == set()
    assert "SecurityGroupIngress" not in deployed.resources[referred(group)]["Properties"]
    for door, port in doors:
        assert (group, port) in ways_in(deployed, door)


def test_a_group_that_proxy_and_database_share_has_each_rule_once() -> None:
    shared = ("sg-00000000000000001", "sg-00000000000000002")
    deployed = synthesized(
        a_configuration(
            a_database(security_groups=shared, proxy=an_existing_proxy(security_groups=shared[:1])),
        )
    )
    group = group_of_responder(deployed)
    ingress = deployed.of("AWS::EC2::SecurityGroupIngress")
    rules = [
        *((each["GroupId"], *_way(each, "SourceSecurityGroupId")) for each in ingress.values()),
        *(
            _way(each, "DestinationSecurityGroupId")
            for each in deployed.resources[referred(group)]["Properties"]["SecurityGroupEgress"]
        ),
    ]
    assert len(rules) == len(set(rules)) == 4


def test_every_group_is_reached_at_its_own_port() -> None:
    deployed = synthesized(
        a_configuration(
            a_database(
                port=5433,
                security_groups=("sg-00000000000000001", "sg-00000000000000002"),
                proxy=an_existing_proxy(port=5432, security_groups=("sg-00000000000000001",)),
            )
        )
    )
    assert ways_out(deployed, referred(group_of_responder(deployed))) == {
        ("sg-00000000000000001", 5433),
        ("sg-00000000000000002", 5433),
        ("sg-00000000000000001", 5432),
    }


def a_new_database(stack: Stack) -> Database:
    """A database that the same stack creates: its host, port and groups are known when it is
    deployed.
    """
    created = rds.CfnDBInstance(stack, "Created", db_instance_class="db.t4g.micro")
    groups = [
        ec2.CfnSecurityGroup(stack, f"Group{number}", group_description="its own")
        for number in (1, 2)
    ]
    return a_database(
        host=created.attr_endpoint_address,
        port=Token.as_number(created.get_att("Endpoint.Port")),
        security_groups=tuple(group.attr_group_id for group in groups),
    )


@pytest.fixture(scope="module")
def beside_its_database() -> Template:
    def with_a_new_database(stack: Stack) -> None:
        database = a_new_database(stack)
        vpc = ec2.Vpc.from_vpc_attributes(
            stack,
            "Vpc",
            vpc_id=a_database().network.vpc,
            availability_zones=["eu-central-1a"],
            private_subnet_ids=["subnet-0123abcd"],
        )
        messaging = Messaging(stack, "Messaging")
        responder = Responder(stack, "orders", database, None, a_target(), vpc, None, messaging)
        SelfWatch(stack, "SelfWatch", database, responder.function, messaging)
        CfnOutput(stack, "BootstrapCommand", value=bootstrap_command(database))

    return template_of(with_a_new_database)


PORT = "${Created.Endpoint.Port}"


def test_the_groups_and_the_port_of_a_database_may_be_known_only_when_it_is_deployed(
    beside_its_database: Template,
) -> None:
    group = group_of_responder(beside_its_database)
    doors = {("${Group1.GroupId}", PORT), ("${Group2.GroupId}", PORT)}
    assert ways_out(beside_its_database, referred(group)) == doors
    for door, port in doors:
        assert (group, port) in ways_in(beside_its_database, door)


def test_the_same_group_by_two_tokens_has_each_rule_once() -> None:
    def reached_twice(stack: Stack) -> None:
        vpc = ec2.Vpc.from_vpc_attributes(
            stack, "Vpc", vpc_id=a_database().network.vpc, availability_zones=["eu-central-1a"]
        )
        created = ec2.CfnSecurityGroup(stack, "Created", group_description="its own")
        tokens = [Token.as_string(created.get_att("GroupId")) for _ in range(2)]
        ClosedSecurityGroup(stack, "Closed", vpc=vpc, description="closed").let_reach(tokens, 5432)

    deployed = template_of(reached_twice)
    assert len(deployed.of("AWS::EC2::SecurityGroupIngress")) == 1


def test_a_port_that_is_known_only_when_it_is_deployed_is_told_as_it_is(
    beside_its_database: Template,
) -> None:
    text = json.dumps(beside_its_database.resources) + json.dumps(beside_its_database.outputs)
    assert "e+289" not in text
    assert f"port={PORT} " in beside_its_database.outputs["BootstrapCommand"]["Value"]
    _, function = responder(beside_its_database)
    [written] = function["Environment"]["Variables"].values()
    deployed = {ENVIRONMENT_VARIABLE: written.replace(PORT, "6432")}
    assert Settings.from_environment(deployed).direct.port == 6432


@pytest.mark.parametrize("of", DATABASES)
def test_it_needs_nothing_else_of_the_network(of: str) -> None:
    types = {each["Type"] for each in template(of).resources.values()}
    network = {each for each in types if each.startswith("AWS::EC2::")}
    assert network == {"AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress"}


# The proxy that the stack creates


def group_of_proxy(deployed: Template) -> str:
    [group] = the(deployed, "AWS::RDS::DBProxy")[1]["VpcSecurityGroupIds"]
    return str(group)


@pytest.mark.parametrize("of", ["without proxy", "existing proxy"])
def test_no_proxy_is_created_that_nobody_asked_for(of: str) -> None:
    assert not template(of).of("AWS::RDS::DBProxy")


@pytest.mark.parametrize("of", ["new proxy with iam", "new proxy with secret"])
def test_a_new_proxy_reaches_the_database_and_the_responder_alone_reaches_the_proxy(
    of: str,
) -> None:
    deployed, database = template(of), DATABASES[of]
    group = group_of_proxy(deployed)
    ways = {(each, database.port) for each in database.security_groups}
    assert ways_out(deployed, referred(group)) == ways
    for door, port in ways:
        assert (group, port) in ways_in(deployed, door)
    assert ways_in(deployed, group) == {(group_of_responder(deployed), 5432)}
    assert "SecurityGroupIngress" not in deployed.resources[referred(group)]["Properties"]


@pytest.mark.parametrize(
    ("of", "authentication"),
    [
        ("new proxy with iam", {"DefaultAuthScheme": "IAM_AUTH"}),
        (
            "new proxy with secret",
            {"Auth": [{"AuthScheme": "SECRETS", "SecretArn": SECRET, "IAMAuth": "REQUIRED"}]},
        ),
    ],
)
def test_its_clients_come_with_tokens_over_tls(of: str, authentication: dict[str, Any]) -> None:
    _, proxy = the(template(of), "AWS::RDS::DBProxy")
    assert proxy["EngineFamily"] == "POSTGRESQL"
    assert proxy["RequireTLS"] is True
    assert {
        name: proxy[name] for name in ("Auth", "DefaultAuthScheme") if name in proxy
    } == authentication


def test_a_proxy_with_iam_may_log_in_as_the_guard_and_nothing_else() -> None:
    deployed = template("new proxy with iam")
    role = referred(the(deployed, "AWS::RDS::DBProxy")[1]["RoleArn"])
    assert allowed(deployed, role) == {
        ("rds-db:connect", user("cluster-ORDERS", "connection_guard"))
    }


def test_a_proxy_with_a_secret_may_read_that_one_and_nothing_else() -> None:
    deployed = template("new proxy with secret")
    role = referred(the(deployed, "AWS::RDS::DBProxy")[1]["RoleArn"])
    assert allowed(deployed, role) == {
        ("secretsmanager:GetSecretValue", SECRET),
        ("kms:Decrypt", SECRET_KEY),
    }
    [decrypt] = [each for each in statements_of(deployed, role) if each.names("kms:Decrypt")]
    assert decrypt.condition == {
        "StringEquals": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}
    }


def test_a_secret_under_the_key_of_aws_needs_no_permission_on_a_key() -> None:
    deployed = synthesized(
        a_configuration(a_database(proxy=a_new_proxy(ProxyAuthentication.SECRETS)))
    )
    role = referred(the(deployed, "AWS::RDS::DBProxy")[1]["RoleArn"])
    assert allowed(deployed, role) == {("secretsmanager:GetSecretValue", SECRET)}


@pytest.mark.parametrize(
    ("of", "targets"),
    [
        ("new proxy with iam", {"DBClusterIdentifiers": ["orders"]}),
        ("new proxy with secret", {"DBInstanceIdentifiers": ["orders"]}),
    ],
)
def test_it_stands_before_the_database_and_cannot_fill_it(
    of: str, targets: dict[str, list[str]]
) -> None:
    deployed = template(of)
    proxy, _ = the(deployed, "AWS::RDS::DBProxy")
    _, group = the(deployed, "AWS::RDS::DBProxyTargetGroup")
    assert referred(group["DBProxyName"]) == proxy
    assert {name: group[name] for name in group if name.endswith("Identifiers")} == targets
    pool = group["ConnectionPoolConfigurationInfo"]
    # Its clients are told in time that there is no connection, and what it owns the guard spares.
    assert pool["ConnectionBorrowTimeout"] <= 10
    assert (
        pool["MaxIdleConnectionsPercent"]
        < pool["MaxConnectionsPercent"]
        < a_database().warning_percent
    )
