"""The connections that are allowed inside the VPC."""

import json

import pytest
from aws_cdk import CfnOutput, Stack, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds

from connection_guard.configuration.bootstrap_command import bootstrap_command
from connection_guard.configuration.guard.guard_configuration import (
    Database,
)
from connection_guard.core.deployment.responder_settings import (
    ENVIRONMENT_VARIABLE,
    ResponderSettings,
)
from connection_guard_cdk.connection_guard import ConnectionGuard
from connection_guard_cdk.network.closed_security_group import ClosedSecurityGroup
from tests.cdk.database.stacks_of_one import (
    DATABASES,
    Way,
    group_of_proxy,
    group_of_responder,
    responder,
    stack_with,
    way_of,
    ways_in,
    ways_out,
)
from tests.cdk.template import (
    Template,
    referred,
    synthesized,
    template_of,
)
from tests.support.configurations import (
    a_configuration,
    a_database,
    an_existing_proxy,
)


@pytest.mark.parametrize("of", DATABASES)
def test_the_responder_reaches_its_doors_and_nothing_else_and_nothing_reaches_it(of: str) -> None:
    deployed, database = stack_with(of), DATABASES[of]
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
        *((each["GroupId"], *way_of(each, "SourceSecurityGroupId")) for each in ingress.values()),
        *(
            way_of(each, "DestinationSecurityGroupId")
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
    """Return a database that the same stack creates: its host, port and groups are known when it is
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
        guard = ConnectionGuard(stack, "Guard")
        guard.add(database)
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


def test_a_port_that_is_known_only_when_it_is_deployed_is_passed_on_unchanged(
    beside_its_database: Template,
) -> None:
    text = json.dumps(beside_its_database.resources) + json.dumps(beside_its_database.outputs)
    assert "e+289" not in text
    assert f"port={PORT} " in beside_its_database.outputs["BootstrapCommand"]["Value"]
    _, function = responder(beside_its_database)
    [written] = function["Environment"]["Variables"].values()
    deployed = {ENVIRONMENT_VARIABLE: written.replace(PORT, "6432")}
    assert ResponderSettings.from_environment(deployed).direct.port == 6432


@pytest.mark.parametrize("of", DATABASES)
def test_it_needs_nothing_else_of_the_network(of: str) -> None:
    types = {each["Type"] for each in stack_with(of).resources.values()}
    network = {each for each in types if each.startswith("AWS::EC2::")}
    assert network == {"AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress"}
