"""What a guard in somebody's app is named after, and what is refused of its own arguments."""

import re
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import CfnParameter, Environment, Fn, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_sns as sns

from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from connection_guard_cdk import ConfigurationError
from tests.cdk.construct.apps import (
    POSTGRES,
    a_guard,
    an_app,
    an_instance,
    responders,
    template_of,
)
from tests.cdk.template import Template, referred

ISOLATED = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)


def a_shop(folder: Path, names: list[str], *, nested_stacks: bool = False) -> Stack:
    """Return a stack with instances in one VPC, of which CloudFormation chooses the ports."""
    stack = Stack(an_app(folder), "Shop")
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0)
    guard = a_guard(stack, nested_stacks=nested_stacks)
    for name in names:
        restored = rds.DatabaseInstanceFromSnapshot(
            stack,
            name,
            engine=POSTGRES,
            snapshot_identifier=name.lower(),
            iam_authentication=True,
            instance_type=ec2.InstanceType("m7g.large"),
            vpc=vpc,
            vpc_subnets=ISOLATED,
        )
        guard.watch(restored)
    return stack


def network_of(template: Template, database: str) -> list[str]:
    """Return the logical ids of what lets the responder in to the database."""
    return sorted(
        name
        for kind in ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress")
        for name in template.of(kind)
        if name.startswith("GuardNetwork") and database in name
    )


def test_a_database_keeps_its_groups_and_rules_when_another_is_removed(tmp_path: Path) -> None:
    both = template_of(a_shop(tmp_path / "both", ["Old", "New"]))
    one = template_of(a_shop(tmp_path / "one", ["New"]))

    assert len(network_of(one, "New")) == 2
    assert network_of(both, "New") == network_of(one, "New")


def test_databases_of_one_vpc_may_be_in_nested_stacks(tmp_path: Path) -> None:
    stack = a_shop(tmp_path, [f"Orders{number}" for number in range(4)], nested_stacks=True)

    template_of(stack)

    nested = [Template.read(each) for each in tmp_path.glob("*.nested.template.json")]
    assert len(nested) > 1
    assert sum(len(responders(each)) for each in nested) == 4


def test_instances_of_one_vpc_share_a_group(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0)
    guard = a_guard(stack)
    for name in ("Orders", "Payments"):
        guard.watch(an_instance(stack, name, vpc=vpc, vpc_subnets=ISOLATED))

    template = template_of(stack)

    groups = [each["VpcConfig"]["SecurityGroupIds"] for each in responders(template).values()]
    assert groups[0] == groups[1]


def test_a_vpc_may_be_known_only_at_deployment(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id=Fn.select(0, Fn.split(",", CfnParameter(stack, "Ids").value_as_string)),
        availability_zones=["eu-central-1a", "eu-central-1b"],
        isolated_subnet_ids=["subnet-000000000000000aa", "subnet-000000000000000bb"],
    )
    a_guard(stack).watch(an_instance(stack, vpc=vpc, vpc_subnets=ISOLATED))

    assert len(responders(template_of(stack))) == 1


def test_a_construct_may_have_any_name(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    a_guard(stack).watch(an_instance(stack, "Our Orders (EU)"))

    [parameter] = template_of(stack).of("AWS::SSM::Parameter").values()

    assert parameter["Name"].endswith("/Shop-Our-Orders-EU-")


def test_a_policy_may_be_a_path(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")

    watched = a_guard(stack).watch(an_instance(stack), policy=SHIPPED_POLICY)

    assert watched.database.policy_file == SHIPPED_POLICY


def test_a_topic_of_another_stack_can_be_brought_along(tmp_path: Path) -> None:
    app = an_app(tmp_path)
    theirs, stack = Stack(app, "Theirs"), Stack(app, "Shop")
    topic = sns.Topic(theirs, "Topic", master_key=kms.Key(theirs, "Key"))
    a_guard(stack, incidents_topic=topic).watch(an_instance(stack))

    subscriptions = template_of(stack).of("AWS::SNS::Subscription").values()

    [to_theirs] = [each for each in subscriptions if "Theirs" in str(each["TopicArn"])]
    assert to_theirs["Endpoint"] == "on-call@example.com"


def test_an_address_may_be_a_parameter(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    address = CfnParameter(stack, "Address").value_as_string
    a_guard(stack, emails=[address])

    subscriptions = template_of(stack).of("AWS::SNS::Subscription").values()

    emails = [each["Endpoint"] for each in subscriptions if each["Protocol"] == "email"]
    assert [referred(each) for each in emails] == ["Address", "Address"]


def a_table(stack: Stack, **index: Any) -> dynamodb.Table:
    text = dynamodb.AttributeType.STRING
    table = dynamodb.Table(
        stack,
        "Table",
        partition_key=dynamodb.Attribute(name="pk", type=text),
        sort_key=dynamodb.Attribute(name="sk", type=text),
    )
    keys = {
        "partition_key": dynamodb.Attribute(name="pending", type=text),
        "sort_key": dynamodb.Attribute(name="due_at", type=text),
    }
    table.add_global_secondary_index(index_name="pending", **(keys | index))
    return table


@pytest.mark.parametrize(
    "index",
    [
        {"projection_type": dynamodb.ProjectionType.KEYS_ONLY},
        {"sort_key": dynamodb.Attribute(name="due_at", type=dynamodb.AttributeType.NUMBER)},
    ],
)
def test_an_index_of_other_types_or_with_less_in_it_is_refused(
    tmp_path: Path, index: dict[str, Any]
) -> None:
    stack = Stack(an_app(tmp_path), "Shop")

    with pytest.raises(ConfigurationError, match="it has no index of what is pending"):
        a_guard(stack, table=a_table(stack, **index))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"emails": "on-call@example.com"}, 'emails: "on-call@example.com" is not a list'),
        ({"incident_accounts": ["12"]}, 'incident_accounts: "12" is not an AWS account ID'),
        ({"alarm_prefix": "our guard"}, 'alarm_prefix: "our guard" is not a prefix of names'),
        ({"architecture": "riscv"}, 'architecture: "riscv" is not one of "arm64", "x86_64"'),
    ],
)
def test_a_wrong_argument_is_one_line(tmp_path: Path, arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^Shop/Guard: {re.escape(line)}[^\\n]*$"):
        a_guard(Stack(an_app(tmp_path), "Shop"), **arguments)


def test_a_list_that_only_cloudformation_knows_is_refused(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    addresses = CfnParameter(stack, "Addresses", type="CommaDelimitedList").value_as_list

    with pytest.raises(ConfigurationError, match="emails: is a list that is known only at deploy"):
        a_guard(stack, emails=addresses)


def test_a_fifo_topic_is_refused(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")

    with pytest.raises(ConfigurationError, match=r"^Shop/Topic: is a FIFO topic"):
        a_guard(stack, incidents_topic=sns.Topic(stack, "Topic", fifo=True))


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_a_region_with_other_certificates_is_refused(tmp_path: Path, region: str) -> None:
    stack = Stack(an_app(tmp_path), "Shop", env=Environment(region=region))

    with pytest.raises(ConfigurationError, match="has its own certificate authorities"):
        a_guard(stack)


def test_stacks_of_one_account_and_region_share_no_prefix(tmp_path: Path) -> None:
    app = an_app(tmp_path)
    a_guard(Stack(app, "Shop"), alarm_prefix="guard")

    with pytest.raises(ConfigurationError, match=r"^Bank/Guard: Shop/Guard has the same name"):
        a_guard(Stack(app, "Bank"), alarm_prefix="guard")
