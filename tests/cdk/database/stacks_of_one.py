"""Stacks of one database each, and what their tests read from the template."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from connection_guard.configuration.guard.guard_configuration import (
    ProxyAuthentication,
)
from connection_guard.core.deployment.responder_settings import ResponderSettings
from tests.cdk.template import (
    Properties,
    Statement,
    Template,
    plain,
    referred,
    synthesized,
)
from tests.support.configurations import (
    ACCOUNT,
    REGION,
    a_cluster,
    a_configuration,
    a_database,
    a_new_proxy,
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
def stack_with(of: str) -> Template:
    return synthesized(a_configuration(DATABASES[of]))


def the(template: Template, resource_type: str) -> tuple[str, Properties]:
    """Return the only resource of the type."""
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


def settings(template: Template) -> ResponderSettings:
    """Return its settings as the function reads them from its environment."""
    _, function = responder(template)
    return ResponderSettings.from_environment(function["Environment"]["Variables"])


def statements_of(template: Template, role: str) -> list[Statement]:
    return [each for each in template.statements() if each.holder == role]


def allowed(template: Template, role: str) -> set[tuple[str, str]]:
    """Return each action with each resource on which the role's own policies allow it."""
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
    """Return the last part of the proxy's ARN."""
    proxy, _ = the(template, "AWS::RDS::DBProxy")
    arn = {"Fn::GetAtt": [proxy, "DBProxyArn"]}
    return str(plain({"Fn::Select": [6, {"Fn::Split": [":", arn]}]}))


def the_invocation(deployed: Template) -> Properties:
    name, _ = responder(deployed)
    [found] = [
        each
        for each in deployed.of("AWS::Lambda::EventInvokeConfig").values()
        if referred(each["FunctionName"]) == name
    ]
    return found


def the_schedule(deployed: Template) -> tuple[str, Properties]:
    """Return the rule that invokes the responder."""
    name, _ = responder(deployed)
    [found] = [
        (rule, each)
        for rule, each in deployed.of("AWS::Events::Rule").items()
        if [referred(target["Arn"]) for target in each["Targets"]] == [name]
    ]
    return found


def topics_to_reporter(deployed: Template) -> dict[str, Properties]:
    """Return each subscription of the reporter's queue by its topic."""
    [mapping] = deployed.of("AWS::Lambda::EventSourceMapping").values()
    return {
        each["TopicArn"]: each
        for each in deployed.of("AWS::SNS::Subscription").values()
        if each["Endpoint"] == mapping["EventSourceArn"]
    }


def invoked_by_topics(deployed: Template) -> list[Properties]:
    name, _ = responder(deployed)
    subscriptions = deployed.of("AWS::SNS::Subscription").values()
    return [each for each in subscriptions if each["Endpoint"] == f"${{{name}.Arn}}"]


Way = tuple[str, int | str]


def ways_out(deployed: Template, group: str) -> set[Way]:
    """Return the groups and ports that members of the group may connect to."""
    assert not [
        each
        for each in deployed.of("AWS::EC2::SecurityGroupEgress").values()
        if referred(each["GroupId"]) == group
    ]
    return {
        way_of(rule, "DestinationSecurityGroupId")
        for rule in deployed.of("AWS::EC2::SecurityGroup")[group]["SecurityGroupEgress"]
    }


def ways_in(deployed: Template, group: str) -> set[Way]:
    """Return the groups and ports from which its members accept connections; `group` is an ID or a
    reference.
    """
    rules = deployed.of("AWS::EC2::SecurityGroupIngress").values()
    return {way_of(rule, "SourceSecurityGroupId") for rule in rules if rule["GroupId"] == group}


def way_of(rule: Mapping[str, Any], peer: str) -> Way:
    assert rule["IpProtocol"] == "tcp"
    assert rule["FromPort"] == rule["ToPort"]
    assert not {"CidrIp", "CidrIpv6", "SourcePrefixListId", "DestinationPrefixListId"} & set(rule)
    return rule[peer], rule["FromPort"]


def group_of_responder(deployed: Template) -> str:
    [group] = responder(deployed)[1]["VpcConfig"]["SecurityGroupIds"]
    return str(group)


def group_of_proxy(deployed: Template) -> str:
    [group] = the(deployed, "AWS::RDS::DBProxy")[1]["VpcSecurityGroupIds"]
    return str(group)
